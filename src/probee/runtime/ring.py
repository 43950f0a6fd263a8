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
    """Some records in the order in which they were reserved: (number of the action, offset into `data`, length)."""

    __slots__ = ("data", "records")

    def __init__(self, data: bytes, records: list[tuple[int, int, int]]) -> None:
        self.data = data
        self.records = records


EMPTY = Batch(b"", [])


class RingReader:
    """Reads the mapped memory of a ring; it neither maps nor unmaps it."""

    def __init__(self, memory: RingMemory) -> None:
        self._memory = memory
        self._position = memory.consumer_position

    def read(self, *, max_bytes: int = 1 << 20) -> Batch:
        """Return whole records, about max_bytes at most, and give their room back to the kernel.

        A record that is still being written ends the batch; discarded ones are passed over.
        """
        memory = self._memory
        start = position = self._position
        end = memory.producer_position
        if start == end:
            return EMPTY
        end = min(end, start + max_bytes)
        data, mask = memory.data, memory.mask
        base = start & mask  # the data is mapped twice: from here on nothing wraps
        shift = base - start
        records = []
        while position < end:
            length, _, action = _read_header(data, position + shift)
            if length & BUSY:
                break
            size = length & ~DISCARD
            if size == length:
                records.append((action, position - start + HEADER_BYTES, size))
            position += (size + HEADER_BYTES + 7) & -8
        copy = bytes(data[base : position + shift])
        self._position = position
        memory.consumer_position = position
        return Batch(copy, records) if records else EMPTY

    @property
    def pending(self) -> bool:
        """True while there is something that was not read, a record that is being written included."""
        return self._memory.producer_position != self._position
