"""skboutput()'s files: what comes out of the perf buffer, as any reader of packet captures finds it in the file."""

from __future__ import annotations

import resource
from pathlib import Path
from struct import pack, unpack, unpack_from

import pytest

from probee.errors import CompileError, Source, make_span
from probee.formats.pcap import file_header, packet
from probee.model.spec import PACKET_BYTES, Action
from probee.runtime import packet as room
from probee.runtime.packet import PacketWriter
from probee.runtime.perfring import PerfBatch

TEXT = 'fentry:f { skboutput("x.pcap", args.skb, 1, 0); }'
SOURCE = Source("script.bt", TEXT)
SPAN = make_span(TEXT.index("skboutput"), 10)
SECOND = 1_000_000_000


class Buffer:
    """Stands in for PerfBuffer: gives the batches that a test puts there."""

    def __init__(self, live: object, pages: int) -> None:
        self.pages = pages
        self.waiting: list[list[PerfBatch]] = []
        self.descriptors: list[int] = []
        self.closed = False

    @property
    def pending(self) -> bool:
        return bool(self.waiting)

    def read(self, max_bytes: int) -> list[PerfBatch]:
        return self.waiting.pop(0) if self.waiting else []

    def close(self) -> None:
        self.closed = True


class Machine:
    """A writer over such a buffer."""

    def __init__(self, *paths: str, pages: int = 0) -> None:
        actions = [Action("printf"), *[Action("skboutput", path, span=SPAN) for path in paths]]
        self.writer = PacketWriter(None, actions, pages=pages)  # type: ignore[arg-type]
        self.buffer: Buffer = self.writer._buffer  # type: ignore[assignment]

    def send(self, *records: tuple[int, int, bytes], cpu: int = 0, skip: int = 0, length: int | None = None) -> PerfBatch:
        """Return a batch of (action, boot clock, packet)."""
        data, runs = b"", []
        for number, ns, content in records:
            record = pack("=QQQQ", number, ns, len(content) if length is None else length, skip) + content
            padded = record.ljust((len(record) + 4 + 7 & -8) - 4, b"\xee")
            runs.append((len(data) + 12, len(padded), 1, len(padded) + 12))
            data += bytes(12) + padded
        return PerfBatch(cpu, data, runs, 0)

    def put(self, *batches: PerfBatch) -> None:
        self.buffer.waiting.append(list(batches))


@pytest.fixture(autouse=True)
def _no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PerfBuffer", Buffer)
    monkeypatch.setattr(room, "offset_ns", lambda clock: 1000 * SECOND)


def packets(path: Path) -> list[tuple[int, bytes, int]]:
    """Return (microseconds, bytes, length) of the packets of a file."""
    data, found = path.read_bytes(), []
    magic, major, minor, _, _, snapshot, link = unpack_from("=IHHiIII", data)
    assert (magic, major, minor, snapshot, link) == (0xA1B2C3D4, 2, 4, 65535, 101)
    at = 24
    while at < len(data):
        seconds, micros, captured, length = unpack_from("=IIII", data, at)
        found.append((seconds * 1_000_000 + micros, data[at + 16 : at + 16 + captured], length))
        at += 16 + captured
    assert at == len(data)
    return found


def test_a_packet_has_its_time_its_bytes_and_its_length():
    written = packet(7 * SECOND + 123_456_789, b"abc", 60)
    assert unpack("=IIII3s", written) == (7, 123_456, 3, 60, b"abc")


def test_a_file_without_packets_is_a_capture_all_the_same(tmp_path: Path):
    machine = Machine(str(tmp_path / "x.pcap"))
    machine.writer.open(SOURCE)
    machine.writer.finish()
    assert (tmp_path / "x.pcap").read_bytes() == file_header()
    assert packets(tmp_path / "x.pcap") == []
    assert machine.buffer.closed


def test_packets_of_all_cpus_are_written_in_the_order_of_their_times(tmp_path: Path):
    machine = Machine(str(tmp_path / "x.pcap"))
    machine.writer.open(SOURCE)
    machine.put(
        machine.send((1, 2 * SECOND, b"two"), (1, 4 * SECOND, b"four")),
        machine.send((1, 1 * SECOND, b"one"), (1, 3 * SECOND, b"three"), cpu=1),
    )
    assert machine.writer.finish() == []
    assert packets(tmp_path / "x.pcap") == [
        ((1000 + second) * 1_000_000, content, len(content))
        for second, content in enumerate([b"one", b"two", b"three", b"four"], 1)
    ]


def test_what_is_there_is_flushed_at_once_and_more_follows(tmp_path: Path):
    machine = Machine(str(tmp_path / "x.pcap"))
    machine.writer.open(SOURCE)
    for content in (b"first", b"second"):
        machine.put(machine.send((1, SECOND, content)))
        machine.writer.drain()
        assert packets(tmp_path / "x.pcap")[-1][1] == content
    assert len(packets(tmp_path / "x.pcap")) == 2
    machine.writer.finish()


def test_what_the_kernel_padded_is_cut_off_and_the_offset_left_out(tmp_path: Path):
    machine = Machine(str(tmp_path / "x.pcap"))
    machine.writer.open(SOURCE)
    for size in range(40, 56):
        machine.put(machine.send((1, size, bytes(14) + bytes([size]) * size), skip=14))
    machine.writer.finish()
    assert [(content, length) for _, content, length in packets(tmp_path / "x.pcap")] == [
        (bytes([size]) * size, size) for size in range(40, 56)
    ]


def test_an_offset_behind_the_end_leaves_an_empty_packet(tmp_path: Path):
    machine = Machine(str(tmp_path / "x.pcap"))
    machine.writer.open(SOURCE)
    machine.put(machine.send((1, 0, b"short"), skip=14), machine.send((1, 0, b"another"), skip=1 << 63))
    machine.writer.finish()
    assert [(content, length) for _, content, length in packets(tmp_path / "x.pcap")] == [(b"", 0)] * 2


def test_a_packet_that_is_too_long_for_a_record_says_how_long_it_was(tmp_path: Path):
    machine = Machine(str(tmp_path / "x.pcap"))
    machine.writer.open(SOURCE)
    machine.put(machine.send((1, 0, bytes(PACKET_BYTES)), length=PACKET_BYTES + 400))
    machine.writer.finish()
    ((_, content, length),) = packets(tmp_path / "x.pcap")
    assert (len(content), length) == (PACKET_BYTES, PACKET_BYTES + 400)


def test_each_file_gets_its_own_packets_and_calls_may_share_one(tmp_path: Path):
    one, other = tmp_path / "one.pcap", tmp_path / "other.pcap"
    machine = Machine(str(one), str(other), str(one))
    machine.writer.open(SOURCE)
    machine.put(machine.send((1, 1, b"a"), (2, 2, b"b"), (3, 3, b"c")))
    machine.writer.finish()
    assert [content for _, content, _ in packets(one)] == [b"a", b"c"]
    assert [content for _, content, _ in packets(other)] == [b"b"]


def test_a_file_that_cannot_be_created_is_an_error_at_its_call():
    machine = Machine("/no/such/directory/x.pcap")
    with pytest.raises(CompileError) as caught:
        machine.writer.open(SOURCE)
    report = caught.value.report()
    assert "cannot write the packets to '/no/such/directory/x.pcap': No such file or directory" in report
    assert TEXT in report
    machine.writer.close()


def test_a_full_disk_is_an_error_before_anything_is_attached():
    machine = Machine("/dev/full")
    with pytest.raises(CompileError, match="cannot write the packets to '/dev/full': No space left on device"):
        machine.writer.open(SOURCE)
    machine.writer.close()


def test_a_file_that_breaks_later_is_told_once_and_its_packets_are_counted(tmp_path: Path):
    machine = Machine(str(tmp_path / "bad.pcap"), str(tmp_path / "good.pcap"))
    machine.writer.open(SOURCE)
    bad = machine.writer._files[str(tmp_path / "bad.pcap")]
    machine.writer._files[str(tmp_path / "bad.pcap")] = open("/dev/full", "wb", buffering=0)  # noqa: SIM115
    bad.close()
    told = []
    for _ in range(3):
        machine.put(machine.send((1, 0, bytes(20_000)), (2, 0, b"kept")))
        told += machine.writer.drain()
    told += machine.writer.finish()
    assert [event.text for event in told] == [
        f"cannot write to '{tmp_path}/bad.pcap': No space left on device",
        "3 packets were not written to their files",
    ]
    assert len(packets(tmp_path / "good.pcap")) == 3


def test_packets_are_counted_one_by_one_where_a_file_ends_in_the_middle_of_one(tmp_path: Path):
    machine = Machine(str(tmp_path / "x.pcap"))
    machine.writer.open(SOURCE)
    machine.put(machine.send(*[(1, at, b"x" * 100) for at in range(5)]))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (24 + 2 * 116 + 50, limits[1]))
    try:
        told = machine.writer.finish()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [event.text for event in told] == [
        f"cannot write to '{tmp_path}/x.pcap': File too large", "3 packets were not written to their files",
    ]  # fmt: skip


@pytest.mark.parametrize(("asked", "made"), [(0, 64), (1, 1), (5, 8), (1024, 1024)])
def test_the_ring_has_as_many_pages_as_are_asked_for_rounded_up(asked: int, made: int):
    assert Machine(pages=asked).buffer.pages == made
