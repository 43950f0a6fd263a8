"""Ring buffer reader (BPF_MAP_TYPE_RINGBUF).

Mirrors the record layout of kernel/bpf/ringbuf.c: 8 bytes of header (u32 length with the busy and discard bits, u32 page
offset), then the record, padded to 8 bytes.  Hands out batches: one copy out of the ring, after which its room is given back
to the kernel.  Decoding is decode.py's work.
"""

from __future__ import annotations

from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from probee.kernel.syscalls.ring import RingMemory

BUSY = 1 << 31  # BPF_RINGBUF_BUSY_BIT
DISCARD = 1 << 30  # BPF_RINGBUF_DISCARD_BIT
HEADER_BYTES = 8

_read_header = Struct("<IIQ").unpack_from  # length, page offset, and the first eight bytes of the record


class Batch:
    """Some records, in the order in which they were reserved.

    `data` holds them with their headers.  A run is records of one action and length that follow each other: (number of the
    action, offset of the first record, length of each, how many, bytes from one to the next).
    """

    __slots__ = ("data", "runs")

    def __init__(self, data: bytes, runs: list[tuple[int, int, int, int, int]]) -> None:
        self.data = data
        self.runs = runs

    def __len__(self) -> int:
        return sum([count for _, _, _, count, _ in self.runs])


EMPTY = Batch(b"", [])
_FIRST_GUESS, _LARGEST_GUESS = 8, 4096


class RingReader:
    """Reads the mapped memory of a ring; it neither maps nor unmaps it."""

    def __init__(self, memory: RingMemory) -> None:
        self._memory = memory
        self._position = memory.consumer_position
        self._lengths = memoryview(memory.data).cast("B").cast("I")  # a header's first word, its length, is at every 8 bytes
        self._words = memoryview(memory.data).cast("B").cast("Q")
        self._edge = len(self._words) * 8  # up to here nothing wraps

    def read(self, *, max_bytes: int = 1 << 18) -> Batch:
        """Return whole records, about max_bytes at most, and give their room back to the kernel.

        A record that is still being written ends the batch; discarded ones are passed over.  The headers are read before the
        data is copied, so that what counts as committed was whole when it was copied.
        """
        memory = self._memory
        start = position = self._position
        end = memory.producer_position
        if start == end:
            return EMPTY
        data = memory.data
        base = start & memory.mask
        end = min(end, start + max_bytes, start + self._edge - base - HEADER_BYTES)
        shift = base - start
        guess = _FIRST_GUESS
        runs: list[tuple[int, int, int, int, int]] = []
        while position < end:
            length, _, action = _read_header(data, position + shift)
            if length & BUSY:
                break
            stride = ((length & ~DISCARD) + HEADER_BYTES + 7) & -8
            count = 1
            if not length & DISCARD:
                if position + 2 * stride <= end:
                    wanted = min(guess, (end - position) // stride)
                    count = self._alike(position + shift, length, action, stride, wanted)
                    guess = min(guess * 4, _LARGEST_GUESS) if count == wanted else _FIRST_GUESS
                runs.append((action, position - start + HEADER_BYTES, length, count, stride))
            position += count * stride
        stop = position + shift
        copy = bytes(data[base:stop])
        if stop > self._edge:  # only the last record reaches over it
            copy += bytes(data[self._edge - memory.size : stop - memory.size])
        self._position = position
        memory.consumer_position = position
        return Batch(copy, runs) if runs else EMPTY

    def _alike(self, at: int, length: int, action: int, stride: int, wanted: int) -> int:
        """Return how many of `wanted` records from `at` on have this length, hence follow each other, and this action."""
        last = at + stride * wanted
        lengths = self._lengths[at // 4 : last // 4 : stride // 4].tolist()
        if lengths.count(length) != wanted:
            wanted = next(index for index, found in enumerate(lengths) if found != length)
        actions = self._words[at // 8 + 1 : last // 8 : stride // 8].tolist()[:wanted]
        if actions.count(action) != wanted:
            wanted = next(index for index, found in enumerate(actions) if found != action)
        return wanted

    def close(self) -> None:
        """Let go of the memory, so that it can be unmapped."""
        self._lengths.release()
        self._words.release()

    @property
    def pending(self) -> bool:
        """True while there is something that was not read, a record that is being written included."""
        return self._memory.producer_position != self._position
