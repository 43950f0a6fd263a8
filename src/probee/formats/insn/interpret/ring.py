"""Models of the maps that carry records to user space (ring buffer, perf event array) and of the stack trace map.

A ring counts its room as kernel/bpf/ringbuf.c does: 8 bytes of header before each record, records rounded up to 8.
Nothing is consumed until the test calls `drain`.
"""

from __future__ import annotations

from probee.formats.insn.interpret.map import EEXIST, EINVAL, ENOENT, MapModel
from probee.formats.insn.interpret.memory import InterpretError, Region

ENOSPC = 28
_HEADER_BYTES = 8
_BUSY, _READY, _DISCARDED = range(3)


class _Record:
    __slots__ = ("data", "region", "room", "state")

    def __init__(self, data: bytes | bytearray, room: int, region: Region | None) -> None:
        self.data = data
        self.room = room
        self.region = region
        self.state = _BUSY if region else _READY


class RingBuf(MapModel):
    """BPF_MAP_TYPE_RINGBUF of `max_entries` bytes."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(0, 0, size_bytes)
        self._records: list[_Record] = []
        self._reserved: dict[int, _Record] = {}
        self.produced = 0
        self.consumed = 0
        self.n_dropped = 0

    @property
    def records(self) -> list[bytes]:
        """The submitted records, in the order in which they were reserved."""
        return [bytes(record.data) for record in self._records if record.state == _READY]

    def drain(self) -> list[bytes]:
        """Return the records that a reader gets: all before the first busy one; their room is free again."""
        result = []
        while self._records and self._records[0].state != _BUSY:
            record = self._records.pop(0)
            self.consumed += record.room
            if record.state == _READY:
                result.append(bytes(record.data))
        return result

    def _claim(self, size: int) -> int:
        """Return the room that a record takes, 0 if there is none (counted)."""
        room = (size + _HEADER_BYTES + 7) & ~7
        if self.produced + room - self.consumed > self.max_entries:
            self.n_dropped += 1
            return 0
        self.produced += room
        return room

    def output(self, data: bytes) -> int:
        room = self._claim(len(data))
        if not room:
            return -ENOSPC
        self._records.append(_Record(data, room, None))
        return 0

    def reserve(self, size: int) -> int:
        """Return the address of a record to fill, 0 if there is no room.  Its bytes are not cleared."""
        room = self._claim(size)
        if not room:
            return 0
        region = self.memory.add(bytearray(b"\xa5" * size), "ring", f"record of {self.name}", owner=self)
        assert isinstance(region.data, bytearray)
        record = _Record(region.data, room, region)
        self._records.append(record)
        self._reserved[region.base] = record
        return region.base

    def release(self, address: int, *, submit: bool) -> None:
        record = self._reserved.pop(address, None)
        if record is None or record.region is None:
            raise InterpretError(f"{address:#x} is no open reservation of {self.name}")
        record.state = _READY if submit else _DISCARDED
        self.memory.remove(record.region)

    def query(self, what: int) -> int:
        return {0: self.produced - self.consumed, 1: self.max_entries, 2: self.consumed, 3: self.produced}.get(what, 0)

    def check_released(self) -> None:
        """Raise if a reservation was neither submitted nor discarded, which the verifier refuses."""
        if self._reserved:
            raise InterpretError(f"{len(self._reserved)} reservation(s) of ring {self.name} never submitted or discarded")


class PerfEventArray(MapModel):
    """BPF_MAP_TYPE_PERF_EVENT_ARRAY; `records` holds (cpu, bytes), no more than `room` of them."""

    def __init__(self, max_entries: int = 0) -> None:
        super().__init__(4, 4, max_entries)
        self.records: list[tuple[int, bytes]] = []
        self.room = 1 << 20

    def output(self, data: bytes, flags: int, current_cpu: int) -> int:
        index = flags & 0xFFFF_FFFF
        if flags >> 52 or index not in (0xFFFF_FFFF, current_cpu):
            return -EINVAL
        if len(self.records) >= self.room:
            return -ENOSPC
        self.records.append((current_cpu, data))
        return 0


class StackTraceMap(MapModel):
    """BPF_MAP_TYPE_STACK_TRACE; the identity of a stack comes from a hash of its addresses."""

    def __init__(self, max_frames: int, max_entries: int) -> None:
        super().__init__(4, 8 * max_frames, max_entries)
        self.stacks: dict[int, tuple[int, ...]] = {}

    def store(self, frames: list[int], flags: int) -> int:
        """Return the identity of a stack; BPF_F_REUSE_STACKID lets a colliding one be overwritten."""
        skip = flags & 0xFF
        stack = tuple(frames[skip : skip + self.value_size // 8])
        if not stack:
            return -14  # EFAULT: everything was skipped
        identity = hash(stack) % self.max_entries
        old = self.stacks.get(identity)
        if old is not None and old != stack and not flags & 1 << 10:
            return -EEXIST
        self.stacks[identity] = stack
        return identity

    def delete(self, key: bytes) -> int:
        return 0 if self.stacks.pop(int.from_bytes(key, "little"), None) else -ENOENT
