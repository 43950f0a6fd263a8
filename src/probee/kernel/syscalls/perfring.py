"""The memory of a perf event's ring.

Mirrors struct perf_event_mmap_page of include/uapi/linux/perf_event.h: a page whose data_head the kernel moves and whose
data_tail we move, then a power of two of data pages, in which a record may wrap.  Only the memory: finding records in it is
the runtime's work.
"""

from __future__ import annotations

import mmap

from probee.errors import UsageError
from probee.kernel.syscalls.bpf import ENOMEM, EPERM, failure
from probee.kernel.syscalls.capability import raise_memlock
from probee.kernel.syscalls.ring import PAGE_SIZE, unmap

_HEAD, _TAIL = 1024 // 8, 1032 // 8  # of data_head and data_tail, in words


class PerfRingMemory:
    """The mapped ring of a perf event; position p is at data[p & mask].

    The kernel writes no further than one ring ahead of `tail`, and counts as lost what does not fit.  Reading `head` before the
    records that it covers is enough order on x86-64, and elsewhere the interpreter's work between the two makes it so.
    """

    def __init__(self, fd: int, pages: int) -> None:
        if pages < 1 or pages & (pages - 1):
            raise UsageError(f"a perf ring has 1, 2, 4, 8 … pages, not {pages}")
        self.size = pages * PAGE_SIZE
        self.mask = self.size - 1
        self._mapping = _map(fd, PAGE_SIZE + self.size)
        self._words = memoryview(self._mapping)[:PAGE_SIZE].cast("Q")  # one load, one store each
        self.data = memoryview(self._mapping)[PAGE_SIZE:]

    @property
    def head(self) -> int:
        """How many bytes the kernel has written since the ring was made."""
        return self._words[_HEAD]

    @property
    def tail(self) -> int:
        """How many bytes we have given back; setting it frees that much of the ring."""
        return self._words[_TAIL]

    @tail.setter
    def tail(self, position: int) -> None:
        self._words[_TAIL] = position

    def close(self) -> None:
        """Unmap; slices of `data` that are still alive keep the memory until they die."""
        unmap(self._words, self.data, self._mapping)


def _map(fd: int, length: int) -> mmap.mmap:
    """The kernel lets a user lock so much only (perf_mmap of kernel/events/core.c): the limit is raised if that helps."""
    protection = mmap.PROT_READ | mmap.PROT_WRITE
    try:
        return mmap.mmap(fd, length, mmap.MAP_SHARED, protection)
    except OSError as error:
        if error.errno != EPERM or not raise_memlock():
            raise _refused(error.errno or 0, length) from None
    try:
        return mmap.mmap(fd, length, mmap.MAP_SHARED, protection)
    except OSError as error:
        raise _refused(error.errno or 0, length) from None


def _refused(errno: int, length: int) -> Exception:
    remedy = {
        EPERM: "use fewer pages, or raise kernel.perf_event_mlock_kb or `ulimit -l`",
        ENOMEM: "the kernel has no memory for it: use fewer pages",
    }
    call = f"map a perf ring of {length >> 10} KB into memory"
    return failure(ENOMEM if errno == EPERM else errno, call, remedy.get(errno, ""))
