"""Waiting for an epoll's descriptors until a signal comes: select.epoll waits on once its handler has run (PEP 475).

For what polls in a loop of its own and looks at what its handlers set.  Which descriptors are ready is not told.
"""

from __future__ import annotations

from probee.kernel.syscalls.libc import SYS_EPOLL_PWAIT, address_of, syscall_once

_EVENT_BYTES = 16  # struct epoll_event: 12 on x86
_LONGEST = (1 << 31) - 1


def wait_once(epoll: int, timeout: float) -> bool:
    """Wait at most `timeout` milliseconds, without end if negative; True if a descriptor is ready, False after a signal."""
    event = bytearray(_EVENT_BYTES)
    limit = -1 if timeout < 0 else min(int(timeout), _LONGEST)
    return syscall_once(SYS_EPOLL_PWAIT, epoll, address_of(event), 1, limit) > 0
