"""What a session waits for: descriptors in one epoll, and a wake-up that signal handlers and other threads may call."""

from __future__ import annotations

import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Watch:
    """Polls readable itself (`fileno`) when something that is watched does, or after `wake`."""

    def __init__(self) -> None:
        self._poll: Any = None
        self._wake = -1

    def open(self) -> None:
        self._poll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._wake, select.EPOLLIN)

    def add(self, *fds: int) -> None:
        for fd in fds:
            self._poll.register(fd, select.EPOLLIN)

    def remove(self, fd: int) -> None:
        self._poll.unregister(fd)

    def wait(self, timeout_s: float) -> list[int]:
        """Return the descriptors that can be read now, or after at most so long."""
        return [fd for fd, _ in self._poll.poll(timeout_s)]

    def wake(self) -> None:
        """Make the next wait return at once; safe in a signal handler, and nothing while it is not open."""
        if self._wake >= 0:
            os.eventfd_write(self._wake, 1)

    def awake(self) -> None:
        """Take a wake-up that was made back."""
        os.eventfd_read(self._wake)

    def fileno(self) -> int:
        return int(self._poll.fileno())

    def close(self) -> None:
        wake, self._wake = self._wake, -1
        if wake >= 0:
            self._poll.close()
            os.close(wake)
