"""From LinkSpec to a live Link: picks the way of attaching by the spec's kind."""

from __future__ import annotations

from probee.errors import AttachError
from probee.kernel.links.link import Link
from probee.kernel.programs.program import Program
from probee.model.spec import LinkSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from probee.kernel.links.kprobe import FunctionList

    Attach = Callable[[LinkSpec, Program], Link]


def attach(spec: LinkSpec, program: Program, *, functions: FunctionList | None = None, pid: int = 0) -> Link:
    """Attach a loaded program.

    `functions()` gives (name, module) of every traceable function: patterns are expanded by it, misspellings explained.
    Probes in programs, watchpoints and iterators of tasks are for the process `pid` alone, 0 for all.
    "begin" and "end" are not attached but test-run by their owner.  Raises AttachError, PermissionMissing or KernelError.
    """
    kind = spec.kind
    if kind in ("interval", "profile"):
        from probee.kernel.links.sample import attach_clock

        return attach_clock(spec, program)
    if kind == "tracepoint":
        from probee.kernel.links.tracepoint import attach_tracepoint

        return attach_tracepoint(spec, program)
    if kind in ("kprobe", "kretprobe"):
        from probee.kernel.links.kprobe import attach_kprobe

        return attach_kprobe(spec, program, functions)
    if kind == "rawtracepoint":
        from probee.kernel.links.tracepoint import attach_raw_tracepoint

        return attach_raw_tracepoint(spec, program)
    if kind in ("uprobe", "uretprobe", "usdt"):
        from probee.kernel.links.uprobe import attach_uprobe

        return attach_uprobe(spec, program, pid=pid)
    if kind in ("fentry", "fexit", "fmod_ret", "lsm"):
        from probee.kernel.links.tracing import attach_tracing

        return attach_tracing(spec, program)
    if kind == "iter":
        from probee.kernel.links.iter import attach_iter

        return attach_iter(spec, program, pid=pid)
    if kind in ("watchpoint", "asyncwatchpoint"):
        from probee.kernel.links.watchpoint import attach_watchpoint

        return attach_watchpoint(spec, program, pid=pid)
    if kind in ("software", "hardware"):
        from probee.kernel.links.sample import attach_counter

        return attach_counter(spec, program)
    other = _OTHERS.get(kind)
    if other is not None:
        return other()(spec, program)
    raise AttachError(spec.probe, f"Unable to attach probe: {spec.probe}: nothing here attaches probes of kind {kind}")


# -- what no script language has a probe for


def _xdp() -> Attach:
    from probee.kernel.links.xdp import attach_xdp

    return attach_xdp


def _tc() -> Attach:
    from probee.kernel.links.tc import attach_tc

    return attach_tc


def _socket() -> Attach:
    from probee.kernel.links.socket import attach_socket

    return attach_socket


def _cgroup() -> Attach:
    from probee.kernel.links.hook import attach_cgroup

    return attach_cgroup


def _perf_event() -> Attach:
    from probee.kernel.links.counter import attach_perf_event

    return attach_perf_event


_OTHERS: dict[str, Callable[[], Attach]] = {
    "xdp": _xdp, "tc": _tc, "socket": _socket, "cgroup": _cgroup, "perf_event": _perf_event,
}  # fmt: skip
