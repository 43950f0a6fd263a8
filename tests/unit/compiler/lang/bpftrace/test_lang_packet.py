"""skboutput(): what goes into a record, what it returns, where it may be called and with what."""

from __future__ import annotations

from struct import unpack_from

import pytest

from probee.errors import CompileError
from probee.formats.insn.interpret import Environment, PerfEventArray
from probee.model.spec import PACKET_BYTES, MapType, ProgramType
from script_harness import World, _Run, compile_script, run

SKB = 0xFFFF_A000_0000_0000
PACKET = bytes(range(100))
LEN_OFFSET = 72  # of `len` in the fixture's struct sk_buff


def world(packet: bytes = PACKET) -> World:
    """A packet in the second argument of tcp_drop."""
    environment = Environment()
    environment.packets = {SKB: packet}
    buffer = bytearray(4096)
    buffer[LEN_OFFSET : LEN_OFFSET + 4] = len(packet).to_bytes(4, "little")
    context = bytes(8) + SKB.to_bytes(8, "little") + bytes(496)
    return World(context=context, kernel={SKB: bytes(buffer)}, environment=environment)


def records(body: str, packet: bytes = PACKET, probe: str = "fentry:tcp_drop") -> list[tuple[int, int, int, int, bytes]]:
    """Return (action, boot clock, length, offset, packet) of what a probe sends."""
    sent = run(f"{probe} {{ {body} }}", world(packet)).packets
    return [(*unpack_from("=QQQQ", record), record[32:]) for record in sent]


def test_a_record_has_the_boot_clock_the_length_the_offset_and_the_packet() -> None:
    (record,) = records('skboutput("x.pcap", args.skb, args.skb.len, 14);')
    assert record == (0, 6_000_000_000, 100, 14, PACKET)


def test_no_more_of_the_packet_is_sent_than_was_asked_for() -> None:
    (record,) = records('skboutput("x.pcap", args.skb, 20, 0);')
    assert record[2:] == (20, 0, PACKET[:20])


def test_a_packet_longer_than_a_record_is_cut_and_its_length_kept() -> None:
    (record,) = records('skboutput("x.pcap", args.skb, args.skb.len, 0);', bytes(70_000))
    assert (record[2], len(record[4])) == (70_000, PACKET_BYTES)


def test_lengths_and_offsets_need_not_be_literals() -> None:
    (record,) = records('$n = args.skb.len / 2; skboutput("x.pcap", args.skb, $n, $n - 40);')
    assert record[2:] == (50, 10, PACKET[:50])


def test_the_pointer_may_go_through_a_variable_and_a_cast() -> None:
    assert len(records('$skb = args.skb; skboutput("x.pcap", $skb, 1, 0);')) == 1
    text = 'skboutput("x.pcap", (struct sk_buff *)arg1, 1, 0);'
    assert len(records(text, probe="rawtracepoint:sched_switch")) == 1


def test_each_call_has_its_number_and_its_file() -> None:
    body = 'skboutput("a.pcap", args.skb, 1, 0); skboutput("b.pcap", args.skb, 2, 0);'
    spec = compile_script(f"fentry:tcp_drop {{ {body} }}")
    assert [(spec.actions[record[0]].text, record[2]) for record in records(body)] == [("a.pcap", 1), ("b.pcap", 2)]


def test_the_program_is_typed_and_writes_to_a_perf_buffer() -> None:
    spec = compile_script('rawtracepoint:sched_switch { skboutput("x.pcap", (struct sk_buff *)arg1, 1, 0); }')
    (program,) = spec.programs
    assert (program.type, program.attach_target) == (ProgramType.TRACING, "sched_switch")
    (buffer,) = [found for found in spec.maps if found.role == "packets"]
    assert (buffer.type, buffer.max_entries) == (MapType.PERF_EVENT_ARRAY, 0)


RESULT = 'fentry:tcp_drop { printf("%d", skboutput("x.pcap", args.skb, LENGTH, 0)); }'


def outcome(length: int, *, room: int = 1) -> tuple[str, int]:
    """Return what is printed of the result, and how many records count as dropped."""
    made = _Run(compile_script(RESULT.replace("LENGTH", str(length))), world())
    buffer, loss = made.models["packets"], made.models["loss"]
    assert isinstance(buffer, PerfEventArray)
    buffer.room = room
    printed = made.run().out
    return printed, sum(int.from_bytes(value, "little") for value in loss.items()[bytes(4)])


def test_the_result_is_zero_or_negative() -> None:
    assert outcome(100) == ("0", 0)


def test_more_than_there_is_of_a_packet_is_an_error_and_no_loss() -> None:
    assert outcome(101) == ("-14", 0)


def test_a_packet_without_room_counts_as_dropped() -> None:
    assert outcome(100, room=0) == ("-28", 1)


@pytest.mark.parametrize(
    ("arguments", "marked", "message"),
    [
        ('"x", args.skb, 1', 'skboutput("x", args.skb, 1)', "skboutput() requires 4 arguments (3 provided)"),
        ('"x", args.sk, 1, 0', "args.sk", "only supports 'struct sk_buff *' as the packet ('struct sock *' provided)"),
        ('comm, args.skb, 1, 0', "comm", "skboutput() expects a string literal"),
        ('"", args.skb, 1, 0', '""', "skboutput() needs the name of a file"),
        ('"x", 5, 1, 0', "5", "skboutput() only supports 'struct sk_buff *' as the packet (int8 provided)"),
        ('"x", args.skb, "y", 0', '"y"', "skboutput() only supports integer arguments"),
        ('"x", args.skb, 1, args.skb', "args.skb", "skboutput() only supports integer arguments"),
        ('"x", args.skb, 1, -1', "-1", "skboutput() takes no negative length or offset (-1 provided)"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_marked(arguments: str, marked: str, message: str) -> None:
    text = f"fentry:tcp_drop {{ skboutput({arguments}); }}"
    with pytest.raises(CompileError) as caught:
        compile_script(text)
    assert message in caught.value.message
    start, length = caught.value.span >> 24, caught.value.span & 0xFFFFFF
    assert text[start : start + length] == marked


@pytest.mark.parametrize("probe", ["kprobe:tcp_drop", "interval:s:1", "tracepoint:sched:sched_process_exit"])
def test_other_probes_cannot_send_packets(probe: str) -> None:
    with pytest.raises(CompileError, match=f'can not be used with "{probe.partition(":")[0]}" probes'):
        compile_script(f'{probe} {{ skboutput("x", (struct sk_buff *)0, 1, 0); }}')
