"""A program on a perf event: the step that all event-based links share.

A BPF link where the kernel has it (it counts misses and carries a cookie), else the event's own ioctl: the program is then
attached for as long as the event's descriptor lives.  A spec with {"by_ioctl": 1} asks for the latter: the event is armed when
it is open, so that a probe on bpf()'s return would see the call that makes the link.
"""

from __future__ import annotations

from probee.kernel.links.link import Link
from probee.kernel.syscalls.bpf import EINVAL
from probee.kernel.syscalls.link import perf_link
from probee.kernel.syscalls.perf import IOC_ENABLE, IOC_SET_BPF, perf_ioctl

_without_links: list[bool] = []


def set_program(link: Link, event_fd: int, cookie: int = 0) -> int:
    """Attach link.program to an event that `link` owns, and enable the event; return 0 or -errno."""
    result = -EINVAL
    if not _without_links and not link.spec.parameters.get("by_ioctl"):
        result = perf_link(link.program.fd, event_fd, cookie)
        if result >= 0:
            link.own_bpf_link(result)
    if result == -EINVAL:
        # Linux before commit b89fbfbb854c "bpf: Implement minimal BPF perf link" (in v5.15).
        result = perf_ioctl(event_fd, IOC_SET_BPF, link.program.fd)
        if result == 0 and not _without_links and not link.spec.parameters.get("by_ioctl"):
            _without_links.append(True)
    if result < 0:
        return result
    return perf_ioctl(event_fd, IOC_ENABLE)
