"""User-space functions: uprobes and uretprobes through the uprobe PMU.

Mirrors perf_uprobe of kernel/events/core.c: config1 is the file's path, config2 the offset in the file, the upper half of
config the offset of a USDT semaphore that the kernel counts up while the probe is attached.
Parameters of the spec: {"path": file, "offset": bytes into the file, "pid": 0 for all, "semaphore": offset or 0}.
"""

from __future__ import annotations

from probee.kernel.links.event import set_program
from probee.kernel.links.link import Link, attach_error
from probee.kernel.programs.program import Program
from probee.kernel.syscalls.bpf import EACCES, EINVAL, ENOENT, EOPNOTSUPP
from probee.kernel.syscalls.cpu import online_cpus
from probee.kernel.syscalls.libc import address_of
from probee.kernel.syscalls.perf import perf_event_open, pmu_bit, pmu_type
from probee.model.spec import LinkSpec

_ESRCH = 3
_EIO = 5
_EILSEQ = 84
_REFERENCE_SHIFT = 32  # PERF_UPROBE_REF_CTR_OFFSET_SHIFT, Linux 4.20 (commit a6ca88b241d5)


def attach_uprobe(spec: LinkSpec, program: Program) -> Link:
    """Attach to an offset in a file, for one process or all."""
    type = pmu_type("uprobe")
    if type is None:
        raise attach_error(spec.probe, EOPNOTSUPP, _CAUSES[EOPNOTSUPP])
    path = str(spec.parameters["path"])
    name = bytearray(path.encode(errors="surrogateescape") + b"\0")
    config = _number(spec, "semaphore") << _REFERENCE_SHIFT
    if spec.kind == "uretprobe":
        config |= 1 << pmu_bit("uprobe", "retprobe")
    pid = _number(spec, "pid")
    event = perf_event_open(
        type, config, pid=pid or -1, cpu=-1 if pid else online_cpus()[0], config1=address_of(name),
        config2=_number(spec, "offset"), period=1,
    )  # fmt: skip
    if event < 0:
        raise attach_error(spec.probe, -event, _cause(-event, path))
    link = Link(spec, program)
    result = set_program(link, link.own(event).fd)
    if result < 0:
        link.close()
        raise attach_error(spec.probe, -result, _cause(-result, path))
    link.targets = 1
    return link


def _number(spec: LinkSpec, name: str) -> int:
    value = spec.parameters.get(name, 0)
    assert isinstance(value, int)
    return value


def _cause(errno: int, path: str) -> str:
    import os

    return _CAUSES.get(errno, "").format(path=path) or os.strerror(errno)


_CAUSES = {
    ENOENT: "there is no file {path}",
    _ESRCH: "there is no such process",
    _EIO: "{path} is no file that code runs from",
    EACCES: "not permitted: kernel.perf_event_paranoid forbids it; be root or have CAP_PERFMON",
    EINVAL: "{path} is no file that code runs from, or has no instruction at that offset",
    _EILSEQ: "Could not add uprobe into middle of instruction, or one that the kernel cannot step over, in {path}",
    EOPNOTSUPP: "this kernel has no uprobes (CONFIG_UPROBE_EVENTS), or not at such an instruction",
}
