"""The memory of a ring buffer map (BPF_MAP_TYPE_RINGBUF).

Mirrors struct bpf_ringbuf of kernel/bpf/ringbuf.c: a consumer page that we write, a producer page that we only read, and the
data, with its beginning once more behind its end, so that no record wraps.  Only the memory: finding records in it is the
runtime's work.
"""

from __future__ import annotations

import mmap

from probee.kernel.syscalls.bpf import failure

PAGE_SIZE = mmap.PAGESIZE
REPEATED_BYTES = 1 << 20


class RingMemory:
    """The mapped ring of a map's descriptor; `size` is the map's max_entries, a power of two.

    Position p is at data[p & mask].  From data[size] on, the first REPEATED_BYTES of the ring are there again: a kernel would
    repeat all of it, but every page counts in our resident size.  Reading `producer_position` before the records it covers is
    enough order on x86-64, and elsewhere the interpreter's work between the two makes it so in practice.
    """

    def __init__(self, fd: int, size: int) -> None:
        self.size = size
        self.mask = size - 1
        try:
            self._consumer = mmap.mmap(fd, PAGE_SIZE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
            length = PAGE_SIZE + size + min(size, REPEATED_BYTES)
            self._producer = mmap.mmap(fd, length, mmap.MAP_SHARED, mmap.PROT_READ, offset=PAGE_SIZE)
        except OSError as error:
            raise failure(error.errno or 0, "map the ring buffer into memory") from None
        # Items of an unsigned long: one load, one store.
        self._consumer_words = memoryview(self._consumer).cast("Q")
        self._producer_words = memoryview(self._producer)[:8].cast("Q")
        self.data = memoryview(self._producer)[PAGE_SIZE:]

    @property
    def producer_position(self) -> int:
        """How many bytes producers have reserved since the ring was made."""
        return self._producer_words[0]

    @property
    def consumer_position(self) -> int:
        """How many bytes we have given back; setting it frees that much of the ring."""
        return self._consumer_words[0]

    @consumer_position.setter
    def consumer_position(self, position: int) -> None:
        self._consumer_words[0] = position

    def close(self) -> None:
        """Unmap; slices of `data` that are still alive keep the memory until they die."""
        unmap(self._consumer_words, self._producer_words, self.data, self._consumer, self._producer)

    def __enter__(self) -> RingMemory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def unmap(*parts: memoryview | mmap.mmap) -> None:
    """Release views and close mappings, in this order; what somebody still uses goes when they do."""
    for part in parts:
        try:
            part.release() if isinstance(part, memoryview) else part.close()
        except BufferError:
            continue
