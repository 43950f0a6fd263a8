"""Ring buffer reader for records of the program's own layout (BPF_MAP_TYPE_RINGBUF), told apart by length alone.

The records of our own compiler's scripts begin with a number that ring.py sorts by; this is for programs that write what
they like.  Mirrors the same record headers of kernel/bpf/ringbuf.c, and copies a batch out of the ring before its room is
given back.
"""

from __future__ import annotations

from struct import Struct

from probee.runtime.ring import BUSY, DISCARD, HEADER_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from probee.kernel.syscalls.ring import RingMemory

_read_length = Struct("<I").unpack_from
_FIRST_GUESS, _LARGEST_GUESS = 8, 4096

Run = tuple[int, int, int, int]  # offset of the first record, length of each, how many, bytes from one to the next


class RawRingReader:
    """Reads the mapped memory of a ring; it neither maps nor unmaps it."""

    def __init__(self, memory: RingMemory) -> None:
        self._memory = memory
        self._lengths = memoryview(memory.data).cast("B").cast("I")
        self._edge = len(memory.data)  # up to here nothing wraps

    def read(self, *, max_bytes: int = 1 << 18) -> tuple[bytes, list[Run]]:
        """Return some bytes and the runs of records in them, about max_bytes at most, and give their room back.

        A record that is still being written ends the batch; discarded ones are passed over.
        """
        memory = self._memory
        start = position = memory.consumer_position  # which another process may have moved: a child shares the memory
        base = start & memory.mask
        end = min(memory.producer_position, start + max_bytes, start + self._edge - base - HEADER_BYTES)
        shift = base - start
        guess = _FIRST_GUESS
        runs: list[Run] = []
        while position < end:
            (length,) = _read_length(memory.data, position + shift)
            if length & BUSY:
                break
            stride = ((length & ~DISCARD) + HEADER_BYTES + 7) & -8
            count = 1
            if not length & DISCARD:
                wanted = min(guess, (end - position) // stride)
                if wanted > 1:
                    count = self._alike(position + shift, length, stride, wanted)
                    guess = min(guess * 4, _LARGEST_GUESS) if count == wanted else _FIRST_GUESS
                runs.append((position - start + HEADER_BYTES, length, count, stride))
            position += count * stride
        if position == start:
            return b"", runs
        stop = position + shift
        copy = bytes(memory.data[base:stop])
        if stop > self._edge:  # only the last record reaches over it
            copy += bytes(memory.data[self._edge - memory.size : stop - memory.size])
        memory.consumer_position = position
        return copy, runs

    def _alike(self, at: int, length: int, stride: int, wanted: int) -> int:
        """Return how many of `wanted` records from `at` on have this length, hence follow each other."""
        lengths = self._lengths[at // 4 : (at + stride * wanted) // 4 : stride // 4].tolist()
        if lengths.count(length) == wanted:
            return wanted
        return next(index for index, found in enumerate(lengths) if found != length)

    @property
    def pending(self) -> bool:
        """True while there is something that was not read, a record that is being written included."""
        return self._memory.producer_position != self._memory.consumer_position

    def close(self) -> None:
        """Let go of the memory, so that it can be unmapped."""
        self._lengths.release()
