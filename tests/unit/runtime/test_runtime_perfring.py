"""The perf buffer reader over a ring in ordinary memory, written as kernel/events/ring_buffer.c writes it."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probee.errors import FormatError
from probee.runtime.perfring import LOST, SAMPLE, PerfReader, parse

KERNEL, USER = 1, 2  # PERF_RECORD_MISC_*: where the program ran
COMM = 3  # a record that nobody asked for


def sample(payload: bytes, misc: int = KERNEL) -> bytes:
    """Return PERF_RECORD_SAMPLE with PERF_SAMPLE_RAW: the size counts the padding (perf_prepare_sample)."""
    length = len(payload) + 4 + 7 & -8
    return pack("<IHHI", SAMPLE, misc, 8 + length, length - 4) + payload.ljust(length - 4, b"\0")


def lost(count: int) -> bytes:
    return pack("<IHHQQ", LOST, 0, 24, 7, count)


class Ring:
    """Stands in for PerfRingMemory, with the kernel's half beside it."""

    def __init__(self, size: int = 4096) -> None:
        self.size, self.mask = size, size - 1
        self.data = bytearray(size)
        self.head = self.tail = 0
        self.unheard = 0  # lost, and not told yet

    def put(self, record: bytes) -> bool:
        """Write a record, behind one that tells what was lost before; False when there is no room."""
        whole = (lost(self.unheard) if self.unheard else b"") + record
        if self.head + len(whole) - self.tail > self.size:
            self.unheard += 1
            return False
        for index, byte in enumerate(whole):
            self.data[(self.head + index) & self.mask] = byte
        self.head += len(whole)
        self.unheard = 0
        return True


def payloads(batch) -> list[bytes]:
    return [bytes(view) for view in batch]


def test_records_come_in_order_and_their_room_is_given_back():
    ring = Ring()
    reader = PerfReader(ring, 3)
    ring.put(sample(b"first one...", USER))
    ring.put(sample(b"second, which is longer....."))
    batch = reader.read()
    assert (batch.cpu, payloads(batch)) == (3, [b"first one...", b"second, which is longer....."])
    assert ring.tail == ring.head
    assert reader.read() is None
    assert not reader.pending


def test_a_record_is_as_long_as_the_kernel_padded_it():
    ring = Ring()
    ring.put(sample(b"12345"))
    assert payloads(PerfReader(ring, 0).read()) == [b"12345\0\0\0\0\0\0\0"]


def test_a_record_that_wraps_is_put_together():
    ring = Ring()
    reader = PerfReader(ring, 0)
    for number in range(200):
        payload = bytes([number]) * 100
        assert ring.put(sample(payload))
        assert payloads(reader.read()) == [payload]
    assert ring.head > 4 * ring.size


def test_a_header_that_wraps_is_read_whole():
    ring = Ring()
    reader = PerfReader(ring, 0)
    ring.put(sample(bytes(4096 - 8 - 12)))
    reader.read()
    ring.put(sample(b"header at the end, data at the start"))
    assert payloads(reader.read()) == [b"header at the end, data at the start"]


def test_what_has_no_room_is_told_with_the_next_record_that_has():
    ring = Ring()
    reader = PerfReader(ring, 0)
    written = [ring.put(sample(bytes(1000))) for _ in range(7)]
    batch = reader.read()
    assert (written.count(True), len(batch), batch.lost) == (4, 4, 0)
    ring.put(sample(b"next"))
    batch = reader.read()
    assert (payloads(batch), batch.lost) == ([b"next"], 3)


def test_records_that_are_alike_are_one_run():
    ring = Ring(1 << 16)
    for number in range(100):
        ring.put(sample(pack("<QI", number, 0)))
    batch = PerfReader(ring, 0).read()
    assert len(batch) == 100
    assert [count for _, _, count, _ in batch.runs] == [8, 32, 60]


def test_other_records_are_passed_over():
    data = sample(b"a" * 12) + pack("<IHHQ", COMM, 0, 16, 0) + sample(b"b" * 12)
    runs, missing, read = parse(data)
    assert [data[offset : offset + length] for offset, length, _, _ in runs] == [b"a" * 12, b"b" * 12]
    assert (missing, read) == (0, len(data))


def test_a_batch_ends_before_a_record_that_is_not_all_there():
    data = sample(b"a" * 12) + sample(b"b" * 28)
    runs, _, read = parse(data[:-8])
    assert (len(runs), read) == (1, 24)


def test_reading_in_small_pieces_gives_the_same_records():
    ring = Ring(1 << 18)
    reader = PerfReader(ring, 0)
    wanted = [bytes([number % 256]) * 996 for number in range(250)]
    for payload in wanted:
        assert ring.put(sample(payload))
    found, batches = [], 0
    while (batch := reader.read(max_bytes=1)) is not None:
        found += payloads(batch)
        batches += 1
    assert found == wanted
    assert batches > 2


def test_a_record_without_a_length_is_an_error_and_no_endless_loop():
    with pytest.raises(FormatError, match="without a length"):
        parse(bytes(16))


Step = tuple[str, int]


@given(st.lists(st.tuples(st.sampled_from(["put", "read"]), st.integers(0, 700)), max_size=120))
@settings(deadline=None, max_examples=60)
def test_every_record_arrives_once_or_is_counted_as_lost(steps: list[Step]) -> None:
    ring = Ring()
    reader = PerfReader(ring, 0)
    written: list[bytes] = []
    refused, found, missing = 0, [], 0

    def read() -> None:
        nonlocal missing
        batch = reader.read()
        if batch is not None:
            found.extend(payloads(batch))
            missing += batch.lost

    for number, (what, length) in enumerate(steps):
        if what == "read":
            read()
            continue
        payload = (pack("<I", number) + bytes(length))[: length // 8 * 8 + 4]
        if ring.put(sample(payload)):
            written.append(payload)
        else:
            refused += 1
    read()
    ring.put(sample(b"last"))
    read()
    assert found == [*written, b"last"]
    assert missing == refused
