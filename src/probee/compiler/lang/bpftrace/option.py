"""What the command line says about how to compile a script."""

from __future__ import annotations


class Options:
    """The defaults are those of a script that runs as it is, for all processes."""

    __slots__ = (
        "environment", "has_child", "has_pid", "include_dirs", "includes", "mode", "named", "parameters", "pid_namespace",
        "unsafe", "warning_level", "without",
    )  # fmt: skip

    def __init__(
        self,
        *,
        parameters: tuple[str, ...] = (),
        unsafe: bool = False,
        has_pid: bool = False,
        has_child: bool = False,
        includes: tuple[str, ...] = (),
        named: tuple[str, ...] = (),
        warning_level: int = 1,
        pid_namespace: bool = False,
        environment: dict[str, str] | None = None,
        mode: str = "",
        without: tuple[str, ...] = (),
        include_dirs: tuple[str, ...] = (),
    ) -> None:
        self.parameters = parameters
        self.unsafe = unsafe
        self.has_pid = has_pid
        self.has_child = has_child
        self.includes = includes
        self.named = named
        self.warning_level = warning_level
        self.pid_namespace = pid_namespace
        self.environment = environment or {}
        self.mode = mode
        self.without = without
        self.include_dirs = include_dirs
