"""Maps of just-in-time compilers: /tmp/perf-PID.map, a line `START SIZE NAME` per piece of code, numbers in hexadecimal.

The convention is perf's (tools/perf/Documentation/jit-interface.txt).  Compilers append while they run and use memory again:
of several pieces at one address the last one counts, and only what is new is read when the file has grown.
"""

from __future__ import annotations

import os
import stat
from bisect import bisect_right
from itertools import accumulate

_PIECE = 1 << 20
_FARTHEST = 256  # pieces below an address that are looked at


class PerfMap:
    """The code of one process; `owners` are the users whose file is believed."""

    __slots__ = ("_ends", "_identity", "_names", "_order", "_partial", "_position", "_sizes", "_starts", "owners", "path")

    def __init__(self, path: str, owners: tuple[int, ...] = ()) -> None:
        self.path = path
        self.owners = owners
        self._forget()

    def _forget(self) -> None:
        self._identity = (0, 0)
        self._position = 0
        self._partial = b""
        self._starts: list[int] = []  # in the order of the file
        self._sizes: list[int] = []
        self._names: list[bytes] = []
        self._order: list[int] = []  # their numbers, sorted by start
        self._ends: list[int] = []

    def find(self, address: int) -> tuple[str, int] | None:
        """Return (name, offset) of the code at an address."""
        return self._find(address) or (self._find(address) if self.refresh() else None)

    def _find(self, address: int) -> tuple[str, int] | None:
        at = bisect_right(self._order, address, key=self._starts.__getitem__) - 1
        lowest, best = at - _FARTHEST, -1
        while at >= 0 and at > lowest and self._ends[at] > address:
            number = self._order[at]
            if address < self._starts[number] + self._sizes[number]:
                best = max(best, number)
            at -= 1
        if best < 0:
            return None
        return self._names[best].decode("utf-8", "replace"), address - self._starts[best]

    def refresh(self) -> bool:
        """Read what is new in the file; returns whether there was anything."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            data = self._news(fd)
        finally:
            os.close(fd)
        self._position += len(data)
        if data:
            self._add(self._partial + data)
        return bool(data)

    def _news(self, fd: int) -> bytes:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or (self.owners and found.st_uid not in self.owners):
            return b""
        identity = (found.st_dev, found.st_ino)
        if identity != self._identity or found.st_size < self._position:
            self._forget()
            self._identity = identity
        pieces, at = [], self._position
        while piece := os.pread(fd, _PIECE, at):
            pieces.append(piece)
            at += len(piece)
        return b"".join(pieces)

    def _add(self, text: bytes) -> None:
        text, newline, self._partial = text.rpartition(b"\n")
        for line in (text + newline).splitlines():
            parts = line.split(None, 2)
            try:
                start, size, name = int(parts[0], 16), int(parts[1], 16), parts[2]
            except (IndexError, ValueError):
                continue  # perf reads over such lines, too
            self._starts.append(start)
            self._sizes.append(size)
            self._names.append(name)
        self._order = sorted(range(len(self._starts)), key=self._starts.__getitem__)
        self._ends = list(accumulate((self._starts[at] + self._sizes[at] for at in self._order), max))
