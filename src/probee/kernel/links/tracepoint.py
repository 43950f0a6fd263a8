"""Tracepoints (tracefs events, by number through perf_event_open) and raw tracepoints (by name through bpf)."""

from __future__ import annotations

from probee.kernel.links.event import set_program
from probee.kernel.links.link import Link, attach_error
from probee.kernel.programs.program import Program
from probee.kernel.syscalls.bpf import EACCES, EINVAL, ENOENT
from probee.kernel.syscalls.cpu import online_cpus
from probee.kernel.syscalls.link import raw_tracepoint_open
from probee.kernel.syscalls.perf import TYPE_TRACEPOINT, perf_event_open
from probee.kernel.syscalls.tracefs import tracefs_root, tracepoint_id
from probee.model.spec import LinkSpec


def attach_tracepoint(spec: LinkSpec, program: Program) -> Link:
    """Attach to category:name.  One event on one CPU suffices: the program runs for all, in whatever CPU it happens."""
    category, name = str(spec.parameters["category"]), str(spec.parameters["name"])
    id = tracepoint_id(category, name)
    if id is None:
        raise attach_error(spec.probe, ENOENT, _absence(category), _neighbours(category, name))
    link = Link(spec, program)
    event = perf_event_open(TYPE_TRACEPOINT, id, cpu=online_cpus()[0], period=1)
    if event < 0:
        raise attach_error(spec.probe, -event, _cause(-event))
    result = set_program(link, link.own(event).fd)
    if result < 0:
        link.close()
        raise attach_error(spec.probe, -result, _TOO_FAR if result == -EACCES else _cause(-result))
    link.targets = 1
    return link


def attach_raw_tracepoint(spec: LinkSpec, program: Program) -> Link:
    """Attach to a raw tracepoint; a BTF-typed program was loaded for its target and names it no more."""
    if program.spec.attach_target:
        from probee.kernel.links.tracing import attach_tracing

        return attach_tracing(spec, program)
    result = raw_tracepoint_open(program.fd, str(spec.parameters["name"]))
    if result < 0:
        cause = "there is no such raw tracepoint" if result == -ENOENT else _cause(-result)
        raise attach_error(spec.probe, -result, cause)
    link = Link(spec, program)
    link.own_bpf_link(result)
    link.targets = 1
    return link


def _absence(category: str) -> str:
    from os.path import isdir

    root = tracefs_root()
    if root is None:
        return "tracefs is not mounted or may not be read; mount it: mount -t tracefs tracefs /sys/kernel/tracing"
    if not isdir(f"{root}/events/{category}"):
        return f"there is no category {category} in {root}/events"
    return "there is no such tracepoint"


def _neighbours(category: str, name: str) -> tuple[str, ...]:
    """Return existing tracepoints whose names are close."""
    from os import listdir

    from probee.probes.candidate import closest

    try:
        names = listdir(f"{tracefs_root()}/events/{category}")
    except OSError:
        return ()
    return tuple(f"tracepoint:{category}:{other}" for other in closest(name, names))


# perf_event_set_bpf_prog gives EACCES when the program's largest offset is beyond the record.
_TOO_FAR = "the program reads beyond the tracepoint's record: it was compiled for another kernel's format"


def _cause(errno: int) -> str:
    import os

    if errno == EINVAL:
        return "the kernel refused the program: it is of another type than the probe"
    if errno == EACCES:
        return "not permitted: kernel.perf_event_paranoid forbids it; be root or have CAP_PERFMON"
    return os.strerror(errno)
