"""What users import: `probee.run(script)`, `probee.load(object)`, `probee.compile(script)`.

    with probee.run('kprobe:vfs_read { @[comm] = count(); } interval:s:5 { exit(); }') as session:
        for event in session:
            print(event)
    print(session.maps["@"].items())
"""

from __future__ import annotations

from probee.model.spec import ObjectSpec
from probee.runtime.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from probee.model.target import Target


def compile(
    script: str, *, parameters: Iterable[object] = (), target: Target | None = None, unsafe: bool = False, **options: Any
) -> ObjectSpec:
    """Compile a bpftrace script for the running kernel, or for `target`; CompileError says where the script is wrong.

    `options` are those of compiler.compile: name, has_pid, has_child, includes, environment, local.
    """
    from probee.compiler.compile import compile as compile_script

    if target is None:
        from probee.kernel.target import LiveTarget

        target = LiveTarget()
    words = [str(parameter) for parameter in parameters]
    return compile_script(script, target, {"parameters": words, "unsafe": unsafe, **options})


def run(
    script: str, *parameters: object, pid: int = 0, command: str = "", unsafe: bool = False, warnings: bool = True,
    target: Target | None = None,
) -> Session:  # fmt: skip
    """Compile a bpftrace script and return its Session, which starts when it is entered or iterated over.

    `parameters` are the script's positional ones; `pid` traces that process only; `command` is started with the session.
    Raises CompileError; entering raises PermissionMissing, KernelError or AttachError.
    """
    spec = compile(
        script,
        parameters=parameters,
        target=target,
        unsafe=unsafe,
        has_pid=bool(pid),
        has_child=bool(command),
        local=target is None,
    )
    return load(spec, *parameters, pid=pid, command=command, warnings=warnings)


def load(
    object: ObjectSpec | bytes | str, *parameters: object, pid: int = 0, command: str = "", warnings: bool = True
) -> Session:
    """Return the Session of a compiled object: an ObjectSpec, a bundle's bytes, or the path of a bundle."""
    if isinstance(object, str):
        with open(object, "rb") as file:
            object = file.read()
    if isinstance(object, bytes):
        from probee.formats.bundle import read_bundle

        object = read_bundle(object)
    words: list[str] = []
    if command:
        from probee.runtime.child import split_command

        words = split_command(command)
    return Session(
        object, parameters=[str(parameter) for parameter in parameters], command=words, pid=pid, warnings=warnings
    )  # fmt: skip
