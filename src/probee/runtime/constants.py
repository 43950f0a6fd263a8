"""Late constants: the numbers that only the running machine and this run know, asked by kind when programs are loaded."""

from __future__ import annotations

import os

from probee.errors import Source, UnknownName, UsageError
from probee.model.spec import LateConstant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

_U64 = (1 << 64) - 1


class Run:
    """What one run brings along: its parameters, processes, the symbols of the kernel and the script for messages."""

    __slots__ = ("child_pid", "filter_pid", "parameters", "source", "start_boot_ns", "symbols")

    def __init__(
        self, *, parameters: Sequence[str] = (), child_pid: int = 0, filter_pid: int = 0, source: Source | None = None,
        symbols: Any = None, start_boot_ns: int = 0,
    ) -> None:  # fmt: skip
        self.parameters = parameters
        self.child_pid = child_pid
        self.filter_pid = filter_pid
        self.source = source
        self.symbols = symbols
        self.start_boot_ns = start_boot_ns


def resolve_constants(constants: Sequence[LateConstant], run: Run) -> dict[str, int]:
    """Return the value of every constant by its name; UnknownName or UsageError when there is no answer."""
    values = {}
    for constant in constants:
        answer = _ANSWERS.get(constant.kind)
        if answer is None:
            raise UsageError(f"the program needs a number that this version cannot tell: {constant.kind} {constant.argument}")
        values[constant.name] = answer(constant, run) & _U64
    return values


def _kaddr(constant: LateConstant, run: Run) -> int:
    if run.symbols is None:
        from probee.kernel.symbols.kallsyms import Kallsyms

        run.symbols = Kallsyms()
    address: int | None = run.symbols.address(constant.argument)
    if address is None:
        raise UnknownName(f"Failed to resolve kernel symbol: {constant.argument}", constant.span, source=run.source)
    return address


def _parameter(constant: LateConstant, run: Run) -> int:
    """A positional parameter that is used as a number; one that was not given is 0."""
    number = int(constant.argument)
    text = run.parameters[number - 1] if 0 < number <= len(run.parameters) else "0"
    try:
        return int(text, 0)
    except ValueError:
        raise UsageError(f"parameter ${number} must be a number here, not '{text}'") from None


def _start_boot_ns(constant: LateConstant, run: Run) -> int:
    if not run.start_boot_ns:
        import time

        run.start_boot_ns = time.clock_gettime_ns(7)  # CLOCK_BOOTTIME
    return run.start_boot_ns


def _possible_cpus(constant: LateConstant, run: Run) -> int:
    from probee.kernel.syscalls.cpu import possible_cpus

    return possible_cpus()


def _cgroup_id(constant: LateConstant, run: Run) -> int:
    """The id of a cgroup is the number of its directory's inode in kernfs."""
    try:
        return os.stat(constant.argument).st_ino
    except OSError as error:
        message = f"Could not get the cgroup id of '{constant.argument}': {error.strerror}"
        raise UnknownName(message, constant.span, source=run.source) from None


def _sw_tai_offset(constant: LateConstant, run: Run) -> int:
    from probee.runtime.clock import sw_tai_offset_ns

    return sw_tai_offset_ns()


def _page_offset(constant: LateConstant, run: Run) -> int:
    from probee.kernel.symbols.kallsyms import Kallsyms

    symbols = run.symbols or Kallsyms()
    return int(symbols.address("page_offset_base") or 0)


_ANSWERS: dict[str, Callable[[LateConstant, Run], int]] = {
    "kaddr": _kaddr,
    "param": _parameter,
    "self_pid": lambda constant, run: os.getpid(),
    "child_pid": lambda constant, run: run.child_pid,
    "filter_pid": lambda constant, run: run.filter_pid,
    "start_boot_ns": _start_boot_ns,
    "possible_cpus": _possible_cpus,
    "cgroup_id": _cgroup_id,
    "self_pidns_dev": lambda constant, run: os.stat("/proc/self/ns/pid").st_dev,
    "self_pidns_ino": lambda constant, run: os.stat("/proc/self/ns/pid").st_ino,
    "sw_tai_offset_ns": _sw_tai_offset,
    "page_offset": _page_offset,
}
