"""Periodic and counted events: interval, profile, software, hardware: perf events with a period, whose overflow runs the
program.
"""

from __future__ import annotations

from probee.errors import AttachError
from probee.kernel.links.event import set_program
from probee.kernel.links.link import Link, attach_error
from probee.kernel.programs.program import Program
from probee.kernel.syscalls.bpf import EACCES, ENOENT, EOPNOTSUPP
from probee.kernel.syscalls.cpu import online_cpus
from probee.kernel.syscalls.perf import SW_CPU_CLOCK, TYPE_HARDWARE, TYPE_HW_CACHE, TYPE_SOFTWARE, perf_event_open
from probee.model.spec import LinkSpec

_ENODEV = 19


def attach_clock(spec: LinkSpec, program: Program) -> Link:
    """Attach an interval (on one CPU) or a profile (on every CPU that is online now)."""
    cpus = online_cpus()
    return _attach(spec, program, TYPE_SOFTWARE, SW_CPU_CLOCK, _period_ns(spec), cpus if spec.kind == "profile" else cpus[:1])


def attach_counter(spec: LinkSpec, program: Program) -> Link:
    """Attach to every `period` occurrences of a software or hardware event, counted per CPU."""
    event, period = _number(spec, "event"), _number(spec, "period")
    if spec.kind == "software":
        type = TYPE_SOFTWARE
    else:
        type = TYPE_HW_CACHE if event >= 1 << 8 else TYPE_HARDWARE
    return _attach(spec, program, type, event, max(period, 1), online_cpus())


def _attach(spec: LinkSpec, program: Program, type: int, config: int, period: int, cpus: list[int]) -> Link:
    link = Link(spec, program)
    for cpu in cpus:
        result = perf_event_open(type, config, cpu=cpu, period=period, disabled=True)
        if result >= 0:
            result = set_program(link, link.own(result).fd)
        elif result == -_ENODEV and len(cpus) > 1:
            link.skipped.append((f"CPU {cpu}", "it went offline"))
            continue
        if result < 0:
            link.close()
            raise attach_error(spec.probe, -result, _cause(-result, type))
        link.targets += 1
    return link


def _period_ns(spec: LinkSpec) -> int:
    """The kernel makes a frequency of the CPU clock into this period itself, but bounds it by a sysctl."""
    if "period_ns" in spec.parameters:
        period = _number(spec, "period_ns")
    else:
        period = 1_000_000_000 // max(_number(spec, "frequency_hz"), 1)
    if period <= 0:
        raise AttachError(spec.probe, f"Unable to attach probe: {spec.probe}: the period must be at least 1 ns")
    return period


def _number(spec: LinkSpec, name: str) -> int:
    value = spec.parameters[name]
    assert isinstance(value, int)
    return value


def _cause(errno: int, type: int) -> str:
    import os

    if errno in (ENOENT, EOPNOTSUPP) and type != TYPE_SOFTWARE:
        return "this machine has no such hardware counter (virtual machines often have none); try a software event"
    if errno == EACCES:
        return "not permitted: kernel.perf_event_paranoid forbids it; be root or have CAP_PERFMON"
    return os.strerror(errno)
