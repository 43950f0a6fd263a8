"""Stragglers: descriptors that take the kernel long to close, left to a process that outlives ours.

Closing a perf event with a program on it waits for the kernel's RCU, one after the other for all: since Linux commit
ef1b808e3b7c "bpf: Fix UAF via mismatching bpf_prog/attachment RCU flavors" (in v6.13 and stable kernels from 5.15 on) that is
some 20 ms each, and a pattern may have thousands.  Whoever pressed Ctrl-C has the results by then, and is not kept waiting.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from probee.kernel.links.link import Link

FEW = 16  # are closed by ourselves


def hand_over(links: Iterable[Link]) -> bool:
    """Leave the open descriptors of links to a child that closes them when ours are closed; False when they are few.

    For a process that is about to end: nobody waits for the child.
    """
    owned = [descriptor for link in links for descriptor in link.descriptors]
    if len(owned) <= FEW:
        return False
    ended, ours = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(ended)
        os.close(ours)
        return False
    if pid == 0:
        try:
            _outlive(ended, sorted(descriptor.fd for descriptor in owned))
        finally:
            os._exit(0)
    os.close(ended)
    for link in links:
        link.close()
    return True  # `ours` closes with this process: then the child knows that its descriptors are the last ones


def _outlive(ended: int, kept: list[int]) -> None:
    """In the child: hold on to nothing but these descriptors, and return when the parent is gone."""
    import signal

    os.setsid()
    os.chdir("/")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    before = -1
    for fd in sorted([ended, *kept]):
        os.closerange(before + 1, fd)
        before = fd
    os.closerange(before + 1, os.sysconf("SC_OPEN_MAX"))
    os.read(ended, 1)
