"""Descriptor: the owner of one file descriptor of a BPF or perf object.

Only this file closes descriptors.  A Descriptor that is dropped while open closes itself and says so with a
ResourceWarning.  After `watch()` (or with PROBEE_DEBUG_FDS=1) every open one remembers the stack that created it, and
`leaks()` lists them.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    Stack = list[tuple[str, int, str]]

STACK_DEPTH = 12
HALF_OF_THE_USUAL_LIMIT = 512  # of open files, 1024 for most logins


class Descriptor:
    """Owns file descriptor `fd` until `close()`; `what` names it in messages ("map counts")."""

    __slots__ = ("_fd", "what")
    watched: dict[int, tuple[str, Stack]] | None = {} if os.environ.get("PROBEE_DEBUG_FDS") == "1" else None

    def __init__(self, fd: int, what: str) -> None:
        self._fd = fd
        self.what = what
        if fd >= HALF_OF_THE_USUAL_LIMIT:
            from probee.kernel.syscalls.capability import raise_open_files

            raise_open_files()  # before any other open() in the process fails
        if self.watched is not None:
            self.watched[id(self)] = (what, _stack())

    @property
    def fd(self) -> int:
        """The number; ValueError once closed."""
        if self._fd < 0:
            raise ValueError(f"{self.what} is closed")
        return self._fd

    @property
    def closed(self) -> bool:
        return self._fd < 0

    def fileno(self) -> int:
        return self.fd

    def close(self) -> None:
        """Close the descriptor; closing twice is nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            if self.watched is not None:
                self.watched.pop(id(self), None)
            os.close(fd)

    def __enter__(self) -> Descriptor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) < 0:
            return
        import warnings

        warnings.warn(f"{self.what}: never closed", ResourceWarning, stacklevel=2, source=self)
        self.close()

    def __repr__(self) -> str:
        return f"Descriptor({self._fd}, {self.what!r})"


def watch(*, on: bool = True) -> None:
    """Begin (or end) remembering where descriptors are created; those that are open already stay unknown."""
    Descriptor.watched = {} if on else None


def leaks() -> list[str]:
    """Return what is open and the stack that opened it, one text per descriptor opened since `watch()`."""
    return [f"{what} is still open, created by\n{_shown(stack)}" for what, stack in (Descriptor.watched or {}).values()]


def _stack() -> Stack:
    """Return the callers' places, outermost first; source lines are looked up when a leak is shown, not before."""
    import sys

    places: Stack = []
    frame = sys._getframe(2)
    while frame is not None and len(places) < STACK_DEPTH:
        places.append((frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name))
        frame = frame.f_back  # type: ignore[assignment]
    return places[::-1]


def _shown(stack: Stack) -> str:
    import traceback

    return "".join(traceback.format_list([(file, line, name, None) for file, line, name in stack]))
