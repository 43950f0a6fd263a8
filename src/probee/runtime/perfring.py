"""Perf buffer reader (BPF_MAP_TYPE_PERF_EVENT_ARRAY): what bpf_perf_event_output and its relatives write, a ring for each CPU.

Mirrors struct perf_event_header and the records PERF_RECORD_SAMPLE (with PERF_SAMPLE_RAW alone) and PERF_RECORD_LOST of
include/uapi/linux/perf_event.h.  Hands out batches: one copy out of the ring, after which its room is given back to the kernel.
What the bytes mean is the caller's business, and so is waiting, for `PerfBuffer.descriptors`.
"""

from __future__ import annotations

from probee.errors import FormatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from probee.kernel.maps.event import PerfEventArrayMap
    from probee.kernel.syscalls.perfring import PerfRingMemory

    Run = tuple[int, int, int, int]

LOST, SAMPLE = 2, 9  # enum perf_event_type
HEADER_BYTES = 12  # struct perf_event_header, and the u32 size of what follows
LARGEST_RECORD = 1 << 16  # its length is a u16
_FIRST_GUESS, _LARGEST_GUESS = 8, 4096


class PerfBatch:
    """Records of one CPU, in the order in which they were written.

    A run is records of one length that follow each other in `data`: (offset of the first, length of each, how many, bytes
    from one to the next).  The kernel pads a record to 8n + 4 bytes, and the length is that of the padded one.  `lost` is how
    many it says it had no room for.  Iterating gives views of the records.
    """

    __slots__ = ("cpu", "data", "lost", "runs")

    def __init__(self, cpu: int, data: bytes, runs: list[Run], lost: int) -> None:
        self.cpu = cpu
        self.data = data
        self.runs = runs
        self.lost = lost

    def __len__(self) -> int:
        return sum([count for _, _, count, _ in self.runs])

    def __iter__(self) -> Iterator[memoryview]:
        view = memoryview(self.data)
        for offset, length, count, stride in self.runs:
            for at in range(offset, offset + count * stride, stride):
                yield view[at : at + length]


class PerfReader:
    """Reads the mapped ring of one CPU; it neither maps nor unmaps it."""

    def __init__(self, memory: PerfRingMemory, cpu: int) -> None:
        self._memory = memory
        self._position = memory.tail
        self.cpu = cpu

    @property
    def pending(self) -> bool:
        """True while there is something that was not read."""
        return self._memory.head != self._position

    def read(self, *, max_bytes: int = 1 << 18) -> PerfBatch | None:
        """Return whole records, about max_bytes at most, and give their room back; None when there is nothing."""
        memory = self._memory
        start = self._position
        length = memory.head - start
        if not length:
            return None
        length = min(length, max(max_bytes & -8, LARGEST_RECORD))
        base = start & memory.mask
        copy = bytes(memory.data[base : base + length])
        if len(copy) < length:
            copy += bytes(memory.data[: length - len(copy)])
        runs, lost, read = parse(copy)
        self._position = memory.tail = start + read
        return PerfBatch(self.cpu, copy, runs, lost)


def parse(data: bytes) -> tuple[list[Run], int, int]:
    """Return the runs of samples in a ring's bytes, how many records were lost, and how many bytes are whole records."""
    words = memoryview(data).cast("Q")
    runs: list[Run] = []
    lost, at, end = 0, 0, len(words)
    guess = _FIRST_GUESS
    while at < end:
        header = words[at]  # u32 type, u16 misc, u16 length
        stride = header >> 51
        if not stride:
            raise FormatError("the perf ring holds a record without a length: somebody else writes to it")
        if at + stride > end:
            break
        count, kind = 1, header & 0xFFFF_FFFF
        if kind == SAMPLE:
            wanted = min(guess, (end - at) // stride)
            if wanted > 1:
                count = _alike(words[at : at + wanted * stride : stride].tolist(), header)
                guess = min(guess * 4, _LARGEST_GUESS) if count == wanted else _FIRST_GUESS
            runs.append((8 * at + HEADER_BYTES, 8 * stride - HEADER_BYTES, count, 8 * stride))
        elif kind == LOST:
            lost += words[at + 2]  # after the header and the event's id
        at += count * stride
    return runs, lost, 8 * at


def _alike(headers: list[int], header: int) -> int:
    """Return how many begin as the first one does, hence are as long, and follow each other."""
    if headers.count(header) == len(headers):
        return len(headers)
    return next(index for index, found in enumerate(headers) if found != header)


class PerfBuffer:
    """The rings of all CPUs of a map, `pages` pages each (a power of two); owns their memory, not the map.

    `descriptors` poll readable after `wakeup_events` records each, or after `wakeup_watermark` bytes if that is given, and tell
    it once (perf_poll of kernel/events/core.c): register them before programs run, in an epoll that is in no other.  What is
    there is read in any case, whether a descriptor told or not.  `lost` is what the kernel said so far: of what was lost last
    it tells with the next record that has room.
    """

    def __init__(self, live: PerfEventArrayMap, pages: int, *, wakeup_events: int = 1, wakeup_watermark: int = 0) -> None:
        from probee.kernel.syscalls.perfring import PerfRingMemory

        self.lost = 0
        self._memories: list[PerfRingMemory] = []
        self._readers: list[PerfReader] = []
        events = live.open_output(wakeup_events=wakeup_events, wakeup_watermark=wakeup_watermark)
        self.descriptors = [event.fd for event in events.values()]
        try:
            for cpu, event in events.items():
                self._memories.append(PerfRingMemory(event.fd, pages))
                self._readers.append(PerfReader(self._memories[-1], cpu))
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        """How many bytes all rings hold together."""
        return sum([memory.size for memory in self._memories])

    @property
    def pending(self) -> bool:
        """True while there is something that was not read."""
        return any(reader.pending for reader in self._readers)

    def read(self, *, max_bytes: int = 1 << 18) -> list[PerfBatch]:
        """Return a batch from each CPU that has something, never waiting; none means that all was read."""
        batches = []
        for reader in self._readers:
            batch = reader.read(max_bytes=max_bytes)
            if batch is not None:
                self.lost += batch.lost
                batches.append(batch)
        return batches

    def close(self) -> None:
        """Unmap the rings; closing twice is nothing."""
        for memory in self._memories:
            memory.close()
        self._memories, self._readers = [], []

    def __enter__(self) -> PerfBuffer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
