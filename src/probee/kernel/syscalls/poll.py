"""epoll_wait(2) that a signal ends, once its handler has run: select.epoll waits on after signals (PEP 475).

For what polls in a loop of its own and looks at what its handlers set; nothing is told of which descriptors are ready.
"""

from __future__ import annotations

import ctypes

_wait = ctypes.CDLL(None).epoll_wait
_wait.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_int)
_EVENT_BYTES = 16  # struct epoll_event: 12 on x86
_LONGEST = (1 << 31) - 1


def wait_once(epoll: int, timeout: float) -> bool:
    """Wait for one of an epoll's descriptors, at most `timeout` milliseconds, without end if negative; True if one is ready."""
    limit = -1 if timeout < 0 else min(int(timeout), _LONGEST)
    return bool(_wait(epoll, ctypes.create_string_buffer(_EVENT_BYTES), 1, limit) > 0)
