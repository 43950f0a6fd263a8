"""Perf events by number: any type and configuration, or a whole struct perf_event_attr, on CPUs or in a process.

What periodic and counted probes of scripts (sample.py) do by name, for programs that bring perf's own numbers.
"""

from __future__ import annotations

import os
from struct import pack_into, unpack_from

from probee.kernel.links.event import set_program
from probee.kernel.links.link import Link, attach_error
from probee.kernel.programs.program import Program
from probee.kernel.syscalls.bpf import EACCES, EINVAL, ENOENT, EOPNOTSUPP
from probee.kernel.syscalls.cpu import online_cpus
from probee.kernel.syscalls.perf import open_event, perf_event_open
from probee.model.spec import LinkSpec

_ENODEV = 19
_ESRCH = 3
_LEAST = 64  # PERF_ATTR_SIZE_VER0


def attach_perf_event(spec: LinkSpec, program: Program, *, attribute: bytes = b"", group_fd: int = -1) -> Link:
    """Attach to a perf event of a spec's "type" and "config", every "period" occurrences or "frequency_hz" times a second.

    "pid" -1 means all processes, "cpu" -1 every CPU that is online.  A process's event counts what it starts later, too.
    `attribute`, a struct perf_event_attr, is taken as it is instead.  `group_fd` is another event's.
    """
    link = Link(spec, program)
    pid, cpu = _number(spec, "pid", -1), _number(spec, "cpu", -1)
    for place in [cpu] if cpu >= 0 else online_cpus():
        result = _open(spec, attribute, pid, place, group_fd)
        if result >= 0:
            result = set_program(link, link.own(result).fd)
        elif result == -_ENODEV and cpu < 0:
            link.skipped.append((f"CPU {place}", "it went offline"))
            continue
        if result < 0:
            link.close()
            raise attach_error(spec.probe, -result, _CAUSES.get(-result) or os.strerror(-result))
        link.targets += 1
    return link


def _open(spec: LinkSpec, attribute: bytes, pid: int, cpu: int, group_fd: int) -> int:
    if attribute:
        return open_event(_whole(attribute), pid, cpu, group_fd)
    frequency = _number(spec, "frequency_hz", 0)
    return perf_event_open(
        _number(spec, "type", 0), _number(spec, "config", 0), pid=pid, cpu=cpu, group_fd=group_fd, inherit=pid > 0,
        period=frequency or _number(spec, "period", 0), frequency=bool(frequency), disabled=True,
    )  # fmt: skip


def _whole(attribute: bytes) -> bytearray:
    """Return a struct perf_event_attr that is as long as its `size` says, which the kernel reads by."""
    size: int = unpack_from("=I", attribute, 4)[0] or len(attribute)
    whole = bytearray(attribute.ljust(max(size, _LEAST), b"\0"))
    pack_into("=I", whole, 4, size)
    return whole


def _number(spec: LinkSpec, name: str, default: int) -> int:
    value = spec.parameters.get(name, default)
    assert isinstance(value, int)
    return value


_CAUSES = {
    _ESRCH: "there is no such process",
    EACCES: "not permitted: kernel.perf_event_paranoid forbids it; be root or have CAP_PERFMON",
    EINVAL: "the kernel has no such event, or it cannot run a program",
    ENOENT: "this machine has no such hardware counter (virtual machines often have none); try a software event",
    EOPNOTSUPP: "this machine has no such hardware counter (virtual machines often have none); try a software event",
}
