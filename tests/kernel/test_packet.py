"""skboutput(), from script to capture file, with real packets over the loopback device of a network namespace of our own.

Functions and tracepoints of the kernel's network are traced, so all of this is for guests.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from struct import iter_unpack, unpack, unpack_from

import pytest

from probee.errors import CompileError, VerifierError
from probee.kernel.target import LiveTarget
from probee.model.event import Event
from probee.model.spec import PACKET_BYTES, ObjectSpec
from probee.runtime.session import Session

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("kprobes"), pytest.mark.timeout(240)]

ETHERNET_BYTES, UDP_HEADERS = 14, 20 + 8
ICMP, UDP, ECHO = 1, 17, 8


class Packet:
    """A packet of a capture file: when it was seen (seconds since 1970), what there is of it, how long it was."""

    def __init__(self, seen_s: float, data: bytes, length: int) -> None:
        self.seen_s = seen_s
        self.data = data
        self.length = length

    @property
    def protocol(self) -> int:
        return self.data[9]

    @property
    def payload(self) -> bytes:
        return self.data[20:]

    def check_ip(self) -> None:
        """Assert that this is a whole IPv4 header without options, from this host to itself."""
        version, _, total, _, _, _, protocol, _, source, destination = unpack_from(">BBHHHBBH4s4s", self.data)
        assert version == 0x45
        assert protocol in (ICMP, UDP)
        assert source == destination == socket.inet_aton("127.0.0.1")
        assert total == self.length
        words = sum(word for (word,) in iter_unpack(">H", self.data[:20]))
        assert (words & 0xFFFF) + (words >> 16) == 0xFFFF, "the header's checksum"


def captured(path: Path) -> list[Packet]:
    data, found = path.read_bytes(), []
    magic, major, minor, _, _, _, link = unpack("=IHHiIII", data[:24])
    assert (magic, major, minor, link) == (0xA1B2C3D4, 2, 4, 101)
    at = 24
    while at < len(data):
        seconds, micros, size, length = unpack_from("=IIII", data, at)
        found.append(Packet(seconds + micros / 1e6, data[at + 16 : at + 16 + size], length))
        at += 16 + size
    assert at == len(data)
    return found


def compiled(script: str) -> ObjectSpec:
    from probee.compiler.compile import compile

    return compile(script, LiveTarget(), {"has_child": "cpid" in script})


def run(script: str, command: tuple[str, ...]) -> list[Event]:
    with Session(compiled(script), command=command) as session:
        return [event for batch in session.batches() for event in batch]


def of_kind(found: list[Event], kind: str) -> list[Event]:
    return [event for event in found if event.kind == kind]


SENDS = """
import socket
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
receiver.bind(("127.0.0.1", 0))
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
for size in SIZES:
    sender.sendto(bytes(index % 251 for index in range(size)), receiver.getsockname())
"""


def own_network(*command: str) -> tuple[str, ...]:
    """Return the command, run with nothing but a loopback device; the process stays the same."""
    unshare, ip = shutil.which("unshare"), shutil.which("ip")
    if not unshare or not ip:
        pytest.skip("making a network namespace takes the programs unshare and ip")
    return (unshare, "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command)


def sends(*sizes: int) -> tuple[str, ...]:
    """Return a command that sends datagrams with so many bytes each."""
    return own_network(sys.executable, "-S", "-c", SENDS.replace("SIZES", repr(sizes)))


def content(size: int) -> bytes:
    return bytes(index % 251 for index in range(size))


def test_a_ping_is_found_in_the_file_as_it_was_on_the_wire(tmp_path: Path) -> None:
    if not shutil.which("ping"):
        pytest.skip("there is no ping here")
    path = tmp_path / "ping.pcap"
    script = (
        f'fentry:__dev_queue_xmit /pid == cpid/ {{ $r = skboutput("{path}", args.skb, args.skb.len, {ETHERNET_BYTES});'
        ' printf("%d\\n", $r); }'
    )
    before = time.time()
    found = run(script, own_network("ping", "-c", "3", "-s", "56", "127.0.0.1"))
    after = time.time()
    packets = captured(path)
    assert [event.text for event in of_kind(found, "printf")] == ["0\n"] * len(packets)
    for packet in packets:
        packet.check_ip()
        assert (packet.protocol, len(packet.data), packet.length) == (ICMP, 84, 84)
        assert before - 1 < packet.seen_s < after + 1
    requests = [unpack_from(">BBHHH", packet.payload) for packet in packets if packet.payload[0] == ECHO]
    assert len(requests) == 3
    assert len({identity for _, _, _, identity, _ in requests}) == 1
    sequence = [number for *_, number in requests]
    assert sequence == [sequence[0], sequence[0] + 1, sequence[0] + 2]
    times = [packet.seen_s for packet in packets]
    assert times == sorted(times)
    assert times[-1] - times[0] > 1.5, "ping waits a second between two"


def test_packets_of_any_size_arrive_whole_and_the_largest_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "sizes.pcap"
    sizes = (0, 1, 3, 4, 5, 1000, 9000, 40_000, 65_507)
    script = f'fentry:__dev_queue_xmit /pid == cpid/ {{ skboutput("{path}", args.skb, args.skb.len, {ETHERNET_BYTES}); }}'
    found = run(script, sends(*sizes))
    assert not of_kind(found, "lost")
    packets = [packet for packet in captured(path) if packet.protocol == UDP]
    for packet, size in zip(packets, sizes, strict=True):
        packet.check_ip()
        assert packet.length == UDP_HEADERS + size
        room = PACKET_BYTES - ETHERNET_BYTES - UDP_HEADERS
        assert packet.data[UDP_HEADERS:] == content(size)[:room]
    assert len(packets[-1].data) == PACKET_BYTES - ETHERNET_BYTES


def test_a_raw_tracepoint_sends_packets_and_each_call_has_its_file(tmp_path: Path) -> None:
    whole, start = tmp_path / "whole.pcap", tmp_path / "start.pcap"
    script = (
        f'rawtracepoint:net_dev_queue /pid == cpid/ {{ $skb = args.skb; skboutput("{whole}", $skb, $skb.len, 14);'
        f' skboutput("{start}", (struct sk_buff *)arg0, 14 + 28, 14); }}'
    )
    run(script, sends(100, 200))
    assert [packet.data[UDP_HEADERS:] for packet in captured(whole)] == [content(100), content(200)]
    assert [len(packet.data) for packet in captured(start)] == [UDP_HEADERS] * 2


def test_what_was_sent_before_exit_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "exit.pcap"
    script = f'fentry:__dev_queue_xmit /pid == cpid/ {{ skboutput("{path}", args.skb, args.skb.len, 14); exit(); }}'
    run(script, sends(10, 20, 30))
    assert len(captured(path)) == 1


def test_more_than_there_is_gives_an_error_to_the_script(tmp_path: Path) -> None:
    path = tmp_path / "none.pcap"
    script = (
        f'fentry:__dev_queue_xmit /pid == cpid/ {{ $r = skboutput("{path}", args.skb, args.skb.len + 1, 0);'
        ' printf("%d\\n", $r); }'
    )
    found = run(script, sends(10))
    assert [event.text for event in of_kind(found, "printf")] == ["-14\n"]
    assert captured(path) == []
    assert not of_kind(found, "lost")


def test_packets_without_room_are_counted_and_shown(tmp_path: Path) -> None:
    """Nobody reads while they are sent: a page holds a few of them."""
    path, count = tmp_path / "lost.pcap", 40
    script = (
        "config = { perf_rb_pages = 1 } "
        f'fentry:__dev_queue_xmit /pid == {os.getpid()}/ {{ skboutput("{path}", args.skb, args.skb.len, 14); }}'
    )
    with Session(compiled(script)) as session, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        for _ in range(count):
            sender.sendto(bytes(500), ("127.0.0.1", 9))
        session.stop()
        found = [event for batch in session.batches() for event in batch]
    arrived = [packet for packet in captured(path) if packet.protocol == UDP]
    lost = sum(event.count for event in of_kind(found, "lost"))  # type: ignore[attr-defined]
    assert 2 <= len(arrived) < count
    assert session.loss.dropped == lost
    assert len(captured(path)) + lost >= count
    assert len(arrived) + lost <= 2 * count, "what comes back from port 9 counts, too"


def test_a_file_that_cannot_be_made_is_an_error_at_its_place() -> None:
    script = 'fentry:__dev_queue_xmit { skboutput("/no/such/place/x.pcap", args.skb, 1, 0); }'
    with pytest.raises(CompileError) as caught, Session(compiled(script)):
        pass
    first = caught.value.report().splitlines()[0]
    assert first == "stdin:1:27-77: ERROR: cannot write the packets to '/no/such/place/x.pcap': No such file or directory"


def test_a_pointer_that_the_kernel_does_not_know_is_refused_at_its_place(tmp_path: Path) -> None:
    script = f'fentry:vfs_read {{ skboutput("{tmp_path}/x", (struct sk_buff *)args.count, 1, 0); }}'
    with pytest.raises(VerifierError, match=r"stdin:1:19-\d+: the kernel refused fentry:vmlinux:vfs_read") as caught, Session(
        compiled(script)
    ):
        pass
    assert "skboutput(" in str(caught.value)
    assert not list(tmp_path.iterdir()), "no file is made before programs are loaded"
