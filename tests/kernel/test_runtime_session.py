"""Sessions over hand-assembled objects: what the compiler will make, run natively by raw tracepoint test run."""

from __future__ import annotations

import os
from io import BytesIO

import pytest

from probee.formats.insn import insn as i
from probee.formats.insn.encode import encode, relocations
from probee.formats.insn.opcode import ADD
from probee.formats.insn.ref import MapRef, MapValueRef
from probee.model.spec import (
    Action,
    LinkSpec,
    MapSpec,
    MapType,
    ObjectSpec,
    ProgramSpec,
    ProgramType,
    Relocation,
)
from probee.model.value import integer, string
from probee.outputs.text import TextOutput
from probee.runtime.session import Session

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="loading programs needs root"),
]

U64 = integer(8, signed=False)
RINGBUF_OUTPUT, MAP_UPDATE = 130, 2


def program(name: str, code: list[i.Insn], **more) -> ProgramSpec:
    found = []
    for slot, ref in relocations(code):
        assert isinstance(ref, (MapRef, MapValueRef))
        kind = "map" if isinstance(ref, MapRef) else "map_value"
        found.append(Relocation(slot, kind, ref.name, getattr(ref, "offset", 0)))
    return ProgramSpec(name, ProgramType.RAW_TRACEPOINT, encode(code), relocations=tuple(found), **more)


def output(*words: int) -> list[i.Insn]:
    """Write a record of u64 words to the ring."""
    size = 8 * len(words)
    code = [i.st_imm(8, 10, 8 * at - size, word) for at, word in enumerate(words)]
    return [
        *code,
        i.ld_map(1, "ring"),
        i.mov64_reg(2, 10),
        i.alu64_imm(ADD, 2, -size),
        i.mov64_imm(3, size),
        i.mov64_imm(4, 0),
        i.call(RINGBUF_OUTPUT),
    ]


def update(name: str, key: int, *value: int) -> list[i.Insn]:
    size = 8 * len(value)
    return [
        i.st_imm(8, 10, -8, key),
        *[i.st_imm(8, 10, -8 - size + 8 * at, word) for at, word in enumerate(value)],
        i.ld_map(1, name),
        i.mov64_reg(2, 10),
        i.alu64_imm(ADD, 2, -8),
        i.mov64_reg(3, 10),
        i.alu64_imm(ADD, 3, -8 - size),
        i.mov64_imm(4, 0),
        i.call(MAP_UPDATE),
    ]


def done(*parts: list[i.Insn]) -> list[i.Insn]:
    return [*[insn for part in parts for insn in part], i.mov64_imm(0, 0), i.exit_()]


RING = MapSpec("ring", MapType.RINGBUF, 0, 0, 0, role="ring")


def an_object(begin: list[i.Insn], *, end: list[i.Insn] | None = None, maps=(), actions=(), options=None) -> ObjectSpec:
    programs = [program("begin", begin)]
    links = [LinkSpec("begin", "begin", "begin", {})]
    if end is not None:
        programs.append(program("end", end))
        links.append(LinkSpec("end", "end", "end", {}))
    return ObjectSpec(
        programs=tuple(programs), maps=(RING, *maps), links=tuple(links), actions=tuple(actions), options=options,
        source_name="stdin", source_text="begin { }",
    )  # fmt: skip


HELLO = Action("printf", "hello %d\n", fields=((8, U64),), size=16)
EXIT = Action("exit", fields=((8, integer(1, signed=False)),), size=16)


def text_of(spec: ObjectSpec) -> tuple[str, str, int]:
    out, err = BytesIO(), BytesIO()
    with Session(spec) as session:
        writer = TextOutput(out, err, session.source)
        for batch in session.batches():
            writer.write(batch)
        writer.close()
    return out.getvalue().decode(), err.getvalue().decode(), session.exit_status


def test_begin_prints_and_the_session_ends_by_itself():
    out, err, status = text_of(an_object(done(output(0, 7), output(0, 8)), actions=[HELLO]))
    assert (out, err, status) == ("hello 7\nhello 8\n\n\n", "Attached 1 probe\n", 0)


def test_exit_drops_later_events_and_end_still_prints():
    spec = an_object(
        done(output(0, 1), output(1, 3), output(0, 2)), end=done(output(0, 9)), actions=[HELLO, EXIT]
    )
    assert text_of(spec) == ("hello 1\nhello 9\n\n\n", "Attached 2 probes\n", 3)


def test_maps_are_printed_at_exit_sorted_by_name():
    counts = MapSpec("@b", MapType.HASH, 8, 8, 16, key=U64, value=U64)
    scalar = MapSpec("@a", MapType.HASH, 8, 8, 1, key=None, value=U64, scalar=True)
    never = MapSpec("@c", MapType.HASH, 8, 8, 1, key=None, value=U64, scalar=True)
    begin = done(update("@b", 5, 20), update("@b", 6, 10), update("@a", 0, 42))
    out, _, _ = text_of(an_object(begin, maps=[counts, scalar, never]))
    assert out == "\n\n@a: 42\n@b[6]: 10\n@b[5]: 20\n"


def test_aggregations_are_merged_from_per_cpu_values():
    stats = MapSpec(
        "@s", MapType.PERCPU_HASH, 8, 16, 16, key=U64, aggregation="stats", aggregation_parameters=(1,),
    )  # fmt: skip
    hist = MapSpec(
        "@h", MapType.PERCPU_HASH, 8, 8, 70, aggregation="hist", aggregation_parameters=(1, 0), scalar=True
    )
    begin = done(update("@s", 3, 10, 4), update("@h", 3, 2), update("@h", 5, 1))
    out, _, _ = text_of(an_object(begin, maps=[stats, hist]))
    bars = ("@" * 52, "", "@" * 26)
    rows = [
        f"{label:<16}{count:>8} |{bar:<52}|\n"
        for label, count, bar in zip(("[2, 4)", "[4, 8)", "[8, 16)"), (2, 0, 1), bars, strict=False)
    ]
    assert out == "\n\n@h:\n" + "".join(rows) + "\n@s[3]: { .count = 4, .average = 2, .total = 10 }\n"


def test_print_and_clear_act_when_their_record_is_read():
    counts = MapSpec("@x", MapType.HASH, 8, 8, 16, key=U64, value=U64)
    actions = [Action("print_map", "@x", size=8), Action("clear", "@x", size=8)]
    begin = done(update("@x", 1, 2), output(0), output(1), output(0))
    out, _, _ = text_of(an_object(begin, maps=[counts], actions=actions))
    assert out == "@x[1]: 2\n\n\n"


def test_events_carry_their_arguments():
    with Session(an_object(done(output(0, 7)), actions=[HELLO])) as session:
        kinds = [(event.kind, getattr(event, "arguments", None)) for event in session]
    assert kinds == [("attached", None), ("printf", (7,)), ("maps_at_exit", None)]


def test_a_ring_of_one_page_works_and_what_does_not_fit_is_not_delivered():
    spec = an_object(done(*[output(0, n) for n in range(200)]), actions=[HELLO], options={"perf_rb_pages": 1})
    out, _, _ = text_of(spec)
    lines = out.splitlines()[:-2]
    assert lines == [f"hello {n}" for n in range(len(lines))]
    assert len(lines) == 4096 // 24  # 8 bytes of header and 16 of data each


def test_losses_are_counted_and_shown():
    loss = MapSpec("loss", MapType.PERCPU_ARRAY, 4, 24, 1, role="loss")
    begin = [
        i.ld_map(1, "loss"),
        i.st_imm(4, 10, -4, 0),
        i.mov64_reg(2, 10),
        i.alu64_imm(ADD, 2, -4),
        i.call(1),
        i.jmp_imm(0x10, 0, 0, 2),
        i.st_imm(8, 0, 0, 5),
        i.st_imm(8, 0, 16, 2),
        i.mov64_imm(0, 0),
        i.exit_(),
    ]
    spec = an_object(begin, maps=[loss])
    _out, err, _ = text_of(spec)
    assert err == "Attached 1 probe\nLost 5 events\nWARNING: Total lost event count: 5\n"
    with Session(spec) as session:
        assert (session.loss.dropped, session.loss.refused) == (5, 2)


def test_a_program_that_is_refused_leaves_nothing_behind():
    from probee.errors import KernelError
    from probee.kernel.syscalls import fd

    fd.watch()
    try:
        with pytest.raises(KernelError):
            Session(an_object([i.mov64_reg(0, 3), i.exit_()])).start()
        assert fd.leaks() == []
    finally:
        fd.watch(on=False)


def test_strings_pass_from_kernel_to_text():
    show = Action("printf", "[%s]\n", fields=((8, string(8)),), size=16)
    word = int.from_bytes(b"abc\0", "little")
    out, _, _ = text_of(an_object(done(output(0, word)), actions=[show]))
    assert out == "[abc]\n\n\n"


def test_a_session_that_is_only_iterated_over_closes_itself_and_keeps_its_maps():
    counts = MapSpec("@x", MapType.HASH, 8, 8, 16, key=U64, value=U64)
    session = Session(an_object(done(update("@x", 1, 2)), maps=[counts]))
    assert [event.kind for event in session] == ["attached", "maps_at_exit"]
    assert session.maps["@x"].items() == [(1, 2)]
    assert session.loss.dropped == 0


def test_events_can_be_awaited():
    import asyncio

    async def collect() -> list[str]:
        return [event.kind async for event in Session(an_object(done(output(0, 1), output(0, 2)), actions=[HELLO]))]

    assert asyncio.run(collect()) == ["attached", "printf", "printf", "maps_at_exit"]


def test_public_names_run_a_bundle(tmp_path):
    import probee
    from probee.formats.bundle import write_bundle

    path = tmp_path / "hello.pbo"
    path.write_bytes(write_bundle(an_object(done(output(0, 5)), actions=[HELLO])))
    assert [event.text for event in probee.load(str(path)) if event.kind == "printf"] == ["hello 5\n"]


def test_a_child_runs_after_attaching_and_ends_the_session(tmp_path):
    made = tmp_path / "made"
    every_ms = ObjectSpec(
        programs=(ProgramSpec("tick", ProgramType.PERF_EVENT, encode(done())),), maps=(RING,),
        links=(LinkSpec("interval", "tick", "interval:ms:1", {"period_ns": 1_000_000}),),
    )  # fmt: skip
    with Session(every_ms, command=["touch", str(made)]) as session:
        kinds = [event.kind for event in session]
    assert kinds == ["attached", "maps_at_exit"]
    assert made.exists()


def test_stop_from_another_thread_ends_the_session():
    import threading

    every_ms = ObjectSpec(
        programs=(ProgramSpec("tick", ProgramType.PERF_EVENT, encode(done())),), maps=(RING,),
        links=(LinkSpec("interval", "tick", "interval:ms:1", {"period_ns": 1_000_000}),),
    )  # fmt: skip
    with Session(every_ms) as session:
        threading.Timer(0.05, session.stop).start()
        assert [event.kind for event in session] == ["attached", "maps_at_exit"]


def test_many_equal_records_are_all_delivered_in_order():
    begin = done(*[output(0, n) for n in range(300)])
    out, _, _ = text_of(an_object(begin, actions=[HELLO]))
    assert out.splitlines()[:-2] == [f"hello {n}" for n in range(300)]
