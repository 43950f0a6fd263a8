"""Watchpoints: programs that run when memory is read, written or executed, through the CPU's debug registers.

Mirrors perf's breakpoint PMU (kernel/events/hw_breakpoint.c): an address and a length of 1, 2, 4 or 8 bytes.
Parameters of the spec: {"address": where, "length": bytes, "mode": some of "rwx", "pid": whose memory, 0 for the kernel's}.
"""

from __future__ import annotations

import os

from probee.kernel.links.event import set_program
from probee.kernel.links.link import Link, attach_error
from probee.kernel.programs.program import Program
from probee.kernel.syscalls.bpf import EINVAL, ENOENT, ENOSPC, EOPNOTSUPP
from probee.kernel.syscalls.cpu import online_cpus
from probee.kernel.syscalls.perf import breakpoint_open
from probee.model.spec import LinkSpec

_ESRCH = 3
_ENODEV = 19
_READ, _WRITE, _EXECUTE = 1, 2, 4  # HW_BREAKPOINT_R, _W, _X
_LONG = 8
_MODES = {"r": _READ, "w": _WRITE, "x": _EXECUTE}


def attach_watchpoint(spec: LinkSpec, program: Program, *, pid: int = 0) -> Link:
    """Watch an address: in every thread that a process has, or on every CPU; `pid` stands where the spec has none."""
    pid = _number(spec, "pid") or pid
    mode = sum(_MODES[letter] for letter in set(str(spec.parameters["mode"])))
    address, length = _number(spec, "address"), _number(spec, "length")
    if mode == _EXECUTE:
        length = _LONG  # the only one there is for code: arch_build_bp_info in arch/x86/kernel/hw_breakpoint.c
    link = Link(spec, program)
    for who, cpu in [(thread, -1) for thread in _threads(pid)] if pid else [(-1, cpu) for cpu in online_cpus()]:
        result = breakpoint_open(address, length, mode, pid=who, cpu=cpu)
        if result >= 0:
            result = set_program(link, link.own(result).fd)
        elif result == -_ESRCH and who != pid:  # a thread that has ended meanwhile
            continue
        if result < 0:
            link.close()
            raise attach_error(spec.probe, -result, _CAUSES.get(-result) or os.strerror(-result))
        link.targets += 1
    return link


def _threads(pid: int) -> list[int]:
    """Return a process's threads, itself first; threads that it starts later inherit the watchpoint from their parents."""
    try:
        found = sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))
    except OSError:
        found = []
    return [pid, *(thread for thread in found if thread != pid)]


def _number(spec: LinkSpec, name: str) -> int:
    value = spec.parameters.get(name, 0)
    assert isinstance(value, int)
    return value


_NONE = "this machine has no debug registers that could watch memory (virtual machines often have none)"
_CAUSES = {
    _ESRCH: "there is no such process",
    EINVAL: "the address, length or mode cannot be watched: on x86, lengths are 1, 2, 4, 8, addresses are aligned to them, "
    "modes are w, rw and x (with the length of a long)",
    ENOSPC: "all debug registers are in use: a CPU has four",
    ENOENT: _NONE,
    EOPNOTSUPP: _NONE,
    _ENODEV: _NONE,
}
