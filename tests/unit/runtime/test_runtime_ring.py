"""The ring reader over a ring in ordinary memory, written as kernel/bpf/ringbuf.c writes it."""

from __future__ import annotations

from struct import pack, pack_into

from hypothesis import given, settings
from hypothesis import strategies as st

from probee.runtime.ring import BUSY, DISCARD, RingReader


class Ring:
    """Stands in for RingMemory, with the producer's half beside it; data is kept twice in a row."""

    def __init__(self, size: int = 4096) -> None:
        self.size, self.mask = size, size - 1
        self.data = bytearray(2 * size)
        self.producer_position = self.consumer_position = 0

    def put(self, payload: bytes, flags: int = 0) -> int | None:
        """Reserve and commit; return where the record is, None when there is no room."""
        needed = (len(payload) + 8 + 7) & ~7
        if self.producer_position + needed - self.consumer_position > self.size:
            return None
        at = self.producer_position
        for index, byte in enumerate(pack("<II", len(payload) | flags, 0) + payload):
            place = (at + index) & self.mask
            self.data[place] = self.data[place + self.size] = byte
        self.producer_position += needed
        return at

    def commit(self, at: int, length: int) -> None:
        for copy in (0, self.size):
            pack_into("<I", self.data, (at & self.mask) + copy, length)


def records(batch) -> list[bytes]:
    return [
        batch.data[at : at + length]
        for _, offset, length, count, stride in batch.runs
        for at in range(offset, offset + count * stride, stride)
    ]


def payload(number: int, extra: bytes = b"") -> bytes:
    return pack("<Q", number) + extra


def test_records_come_in_order_with_their_action_number():
    ring = Ring()
    reader = RingReader(ring)
    ring.put(payload(3, b"abc"))
    ring.put(payload(1))
    batch = reader.read()
    assert [run[0] for run in batch.runs] == [3, 1]
    assert records(batch) == [payload(3, b"abc"), payload(1)]
    assert ring.consumer_position == ring.producer_position


def test_an_empty_ring_gives_an_empty_batch():
    reader = RingReader(Ring())
    assert reader.read().runs == []
    assert not reader.pending


def test_a_busy_record_ends_the_batch_until_it_is_committed():
    ring = Ring()
    reader = RingReader(ring)
    ring.put(payload(0))
    busy = ring.put(payload(1), BUSY)
    ring.put(payload(2))
    assert records(reader.read()) == [payload(0)]
    assert reader.pending
    assert reader.read().runs == []
    ring.commit(busy, 8)
    assert records(reader.read()) == [payload(1), payload(2)]


def test_discarded_records_are_passed_over_and_their_room_is_given_back():
    ring = Ring()
    reader = RingReader(ring)
    ring.put(payload(0), DISCARD)
    assert reader.read().runs == []
    assert ring.consumer_position == ring.producer_position
    ring.put(payload(1), DISCARD)
    ring.put(payload(2))
    assert records(reader.read()) == [payload(2)]


def test_a_batch_owns_its_bytes():
    ring = Ring()
    reader = RingReader(ring)
    ring.put(payload(7, b"x" * 8))
    batch = reader.read()
    ring.data[:] = bytes(len(ring.data))
    assert records(batch) == [payload(7, b"x" * 8)]


def test_records_of_one_action_and_length_make_one_run():
    ring = Ring()
    reader = RingReader(ring)
    for number in [5] * 20 + [6] * 3:
        ring.put(payload(number, b"abc"))
    ring.put(payload(6, b"longer than abc"))
    batch = reader.read()
    assert sum(count for action, _, _, count, _ in batch.runs if action == 5) == 20
    assert len(batch.runs) <= 6
    assert len(records(batch)) == 24


def test_a_busy_record_in_the_midst_of_a_run_ends_the_batch():
    ring = Ring()
    reader = RingReader(ring)
    for number in range(20):
        ring.put(payload(1), BUSY if number == 11 else 0)
    assert len(reader.read()) == 11


def test_max_bytes_bounds_a_batch_to_whole_records():
    ring = Ring()
    reader = RingReader(ring)
    for number in range(10):
        ring.put(payload(number))
    assert len(reader.read(max_bytes=20)) == 2  # 16 bytes each: the second one begins before byte 20
    assert len(reader.read()) == 8


PAYLOADS = st.sampled_from([b"", b"12345678", b"x" * 100, b"y" * 300])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2), PAYLOADS, st.booleans(), st.booleans()), max_size=120))
def test_everything_put_comes_out_once_and_in_order_around_the_end_of_the_ring(steps):
    ring = Ring(4096)
    reader = RingReader(ring)
    expected, found = [], []
    for number, extra, discarded, read_now in steps:
        data = payload(number, extra)
        if ring.put(data, DISCARD if discarded else 0) is not None and not discarded:
            expected.append(data)
        if read_now:
            found += records(reader.read())
    found += records(reader.read())
    assert found == expected


@given(before=st.integers(0, 511), length=st.integers(8, 4000), repeated=st.sampled_from((64, 1024, 4096)))
@settings(max_examples=200)
def test_a_record_that_reaches_over_what_is_mapped_again_is_whole(before: int, length: int, repeated: int):
    ring = Ring()
    reader = RingReader(ring)
    while ring.producer_position < 8 * before:  # so that the records begin anywhere in the ring
        assert ring.put(payload(0)) is not None
        reader.read()
    first, second = payload(1, bytes(range(1, 25))), payload(2, bytes(n % 251 for n in range(length - 8)))
    put = [item for item in (first, first, second, first) if ring.put(item) is not None]
    ring.data = ring.data[: ring.size + repeated]
    reader = RingReader(ring)
    found = []
    while batch := reader.read():
        found += records(batch)
    assert found == put
