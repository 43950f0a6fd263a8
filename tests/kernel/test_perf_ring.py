"""Perf buffers of a live map: programs write by test run, natively; nothing is attached anywhere."""

from __future__ import annotations

import select
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from live_object import NOTHING, program
from probee.errors import KernelError, UsageError
from probee.kernel.maps.create import create
from probee.kernel.maps.event import PerfEventArrayMap
from probee.kernel.maps.map import Map
from probee.kernel.programs.load import load
from probee.kernel.programs.program import Program
from probee.kernel.syscalls.cpu import online_cpus, possible_cpus
from probee.kernel.syscalls.ring import PAGE_SIZE
from probee.model.spec import MapSpec, MapType, ProgramType
from probee.runtime.perfring import PerfBatch, PerfBuffer

pytestmark = pytest.mark.kernel

PACKET = bytes(range(64)) * 3
HEADER = 16  # a number and the helper's result of the record before
ENOENT, ENOSPC = 2, 28
SOON_S, WAIT_S = 0.05, 5.0

# Writes a record: the run's number, and behind it as much of the packet as {shown} says.  Notes what the helper returns.
WRITE = """
    r6 = r1
    r1 = map_value[counter]+0 ll
    r2 = *(u64 *)(r1 + 0)
    *(u64 *)(r10 - 16) = r2
    r2 += 1
    *(u64 *)(r1 + 0) = r2
    r2 = *(u64 *)(r1 + 8)
    *(u64 *)(r10 - 8) = r2
    r1 = r6
    r2 = map[records] ll
    r3 = {flags} ll
    r4 = r10
    r4 += -16
    r5 = 16
    call perf_event_output
    r1 = map_value[counter]+0 ll
    *(u64 *)(r1 + 8) = r0
    r0 = 2
    exit
"""


class Writer:
    """A program that writes a record each time it runs."""

    def __init__(self, records: Map, counter: Map, loaded: Program) -> None:
        assert isinstance(records, PerfEventArrayMap)
        self.map = records
        self._counter = counter
        self._program = loaded

    def write(self, count: int) -> None:
        """Run it as an XDP program, on whatever CPU."""
        self._program.test_run(data=PACKET, repeat=count)

    def write_here(self, count: int = 1) -> None:
        """Run it as a raw tracepoint, on the first CPU."""
        for _ in range(count):
            self._program.test_run(cpu=online_cpus()[0])

    def write_on(self, cpu: int) -> None:
        self._program.test_run(cpu=cpu)

    @property
    def result(self) -> int:
        """What the helper returned last."""
        return int(struct.unpack("=Qq", self._counter.lookup(bytes(4)) or b"")[1])

    def buffer(self, pages: int = 64, **options: int) -> PerfBuffer:
        return PerfBuffer(self.map, pages, **options)


@contextmanager
def writing(type: int, *, shown: int = 0) -> Iterator[Writer]:
    with (
        create(MapSpec("records", MapType.PERF_EVENT_ARRAY, 0, 0, 0)) as records,
        create(MapSpec("counter", MapType.ARRAY, 4, 16, 1)) as counter,
        load(
            program(WRITE.format(flags=shown << 32 | 0xFFFFFFFF), type), NOTHING, {"records": records, "counter": counter}
        ) as loaded,
    ):
        yield Writer(records, counter, loaded)


@pytest.fixture
def writer() -> Iterator[Writer]:
    """An XDP program, which can be run many times in one call."""
    with writing(ProgramType.XDP) as made:
        yield made


@pytest.fixture
def raw_writer() -> Iterator[Writer]:
    """A raw tracepoint, which can be told the CPU."""
    with writing(ProgramType.RAW_TRACEPOINT) as made:
        yield made


def numbers(batches: list[PerfBatch]) -> list[int]:
    return [struct.unpack_from("=Q", record)[0] for batch in batches for record in batch]


def all_of(buffer: PerfBuffer) -> list[PerfBatch]:
    found = []
    while batches := buffer.read():
        found += batches
    return found


def test_every_record_arrives_once_and_whole(writer: Writer) -> None:
    with writer.buffer() as buffer:
        writer.write(1000)
        batches = all_of(buffer)
        assert sorted(numbers(batches)) == list(range(1000))
        assert {len(record) for batch in batches for record in batch} == {HEADER + 4}
        assert buffer.lost == 0
        assert not buffer.pending


def test_the_packet_comes_behind_the_header() -> None:
    with writing(ProgramType.XDP, shown=len(PACKET)) as writer, writer.buffer() as buffer:
        writer.write(3)
        records = [bytes(record) for batch in all_of(buffer) for record in batch]
    assert [record[HEADER : HEADER + len(PACKET)] for record in records] == [PACKET] * 3


def test_a_ring_that_wraps_many_times_gives_every_record_in_order(writer: Writer) -> None:
    with writer.buffer(pages=1) as buffer:
        per_cpu: dict[int, list[int]] = {}
        for _ in range(200):
            writer.write(37)  # of 127 that fit, so that records lie across the end again and again
            for batch in all_of(buffer):
                per_cpu.setdefault(batch.cpu, []).extend(numbers([batch]))
        assert buffer.lost == 0
    assert sorted(number for found in per_cpu.values() for number in found) == list(range(200 * 37))
    assert all(found == sorted(found) for found in per_cpu.values())


def test_what_has_no_room_is_counted_exactly(raw_writer: Writer) -> None:
    with raw_writer.buffer(pages=1) as buffer:
        results = []
        for _ in range(200):
            raw_writer.write_here()
            results.append(raw_writer.result)
        arrived = numbers(all_of(buffer))
        assert results.count(0) == len(arrived) == PAGE_SIZE // 32 - 1, "a ring is never quite full"
        assert results.count(-ENOSPC) == 200 - len(arrived)
        raw_writer.write_here()  # with this one it tells what it lost
        assert numbers(all_of(buffer)) == [200]
        assert buffer.lost == 200 - len(arrived)


def test_each_cpu_has_its_ring(raw_writer: Writer) -> None:
    with raw_writer.buffer() as buffer:
        for cpu in online_cpus():
            raw_writer.write_on(cpu)
        batches = buffer.read()
        assert [batch.cpu for batch in batches] == online_cpus()
        assert numbers(batches) == list(range(len(online_cpus())))


@contextmanager
def waiting(buffer: PerfBuffer) -> Iterator[select.epoll]:
    with select.epoll() as poll:
        for fd in buffer.descriptors:
            poll.register(fd, select.EPOLLIN)
        yield poll


def test_a_record_wakes_who_waits(writer: Writer) -> None:
    with writer.buffer() as buffer, waiting(buffer) as poll:
        assert not poll.poll(0)
        writer.write(1)
        assert poll.poll(WAIT_S)


def test_who_is_woken_less_often_leaves_nothing_unread(raw_writer: Writer) -> None:
    with raw_writer.buffer(wakeup_events=3) as buffer, waiting(buffer) as poll:
        raw_writer.write_here(2)
        assert not poll.poll(SOON_S)
        assert numbers(all_of(buffer)) == [0, 1], "it is there to be read all the same"
        raw_writer.write_here()
        assert poll.poll(WAIT_S)


def test_a_watermark_counts_bytes(raw_writer: Writer) -> None:
    with raw_writer.buffer(wakeup_watermark=100) as buffer, waiting(buffer) as poll:
        raw_writer.write_here(3)
        assert not poll.poll(SOON_S)
        raw_writer.write_here()
        assert poll.poll(WAIT_S)


def test_a_cpu_without_a_ring_refuses_records(writer: Writer) -> None:
    writer.write(1)
    assert writer.result == -ENOENT


def test_the_map_has_a_slot_for_each_cpu(writer: Writer) -> None:
    assert writer.map.max_entries >= possible_cpus()


def test_pages_must_be_a_power_of_two(writer: Writer) -> None:
    with pytest.raises(UsageError, match="1, 2, 4, 8"):
        writer.buffer(pages=3)


def test_a_ring_that_is_too_large_says_so(writer: Writer) -> None:
    with pytest.raises(KernelError, match="use fewer pages"):
        writer.buffer(pages=1 << 30)
