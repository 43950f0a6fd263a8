"""What instruction selection writes for single constructs, as assembly text; each case is a lesson that costs if unlearnt."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from probee.compiler.codegen.generate import generate_object
from probee.compiler.ir import op
from probee.compiler.ir.build import Builder
from probee.compiler.ir.type import I8, I16, I32, I64, VOID, Type, pointer
from probee.compiler.ir.unit import FieldAccess, Function, Program, Unit, Value
from probee.compiler.ir.verify import verify
from probee.errors import CompileError, ProbeeError
from probee.formats.insn.disassemble import format_insn
from probee.formats.insn.symbolic import symbolic
from probee.model.spec import LateConstant, MapSpec, MapType, ObjectSpec, ProgramType

NULLABLE = pointer("map", nullable=True)


def builder(*, features: frozenset[str] = frozenset()) -> tuple[Builder, Unit]:
    function = Function("main", (pointer("context"),), I64)
    unit = Unit()
    unit.features = features
    unit.maps["data"] = MapSpec("data", MapType.ARRAY, 4, 64, 1)
    unit.constants["boot"] = LateConstant("boot", "start_boot_ns")
    unit.programs.append(Program("main", ProgramType.KPROBE, [function]))
    return Builder(function), unit


def generate(unit: Unit) -> ObjectSpec:
    return generate_object(verify(unit), source_name="t", source_text="one\ntwo three\n")


def listing(unit: Unit) -> list[str]:
    return [format_insn(insn) for insn in symbolic(generate(unit).programs[0])]


def code(write: Callable[[Builder], Value | None], **options: frozenset[str]) -> list[str]:
    """Return the instructions of a function that returns what `write` makes, without the map's address in front."""
    b, unit = builder(**options)
    _return(b, write(b))
    return listing(unit)


def _return(b: Builder, result: Value | None) -> None:
    if not b.terminated:
        b.return_(result if result is not None and result.type is not VOID else None)


def data(b: Builder, type: Type, offset: int = 0) -> Value:
    return b.load_context(b.param(0), type, offset)


def _branch(b: Builder, condition: Value) -> None:
    yes, no = b.new_block(), b.new_block()
    b.branch(condition, yes, no)
    b.at(yes)
    b.return_(b.const(1))
    b.at(no)
    b.return_(b.const(2))


def _odd_load(b: Builder) -> Value:
    slot = b.alloca(8)
    b.store(slot, b.const(0))
    return b.zext(b.load(slot, I32, 2), I64)


def _probe(b: Builder) -> Value:
    return b.helper("probe_read_kernel", b.alloca(16), b.const(16), b.pointer(b.const(4096), "kernel"))


CASES: dict[str, tuple[Callable[[Builder], Value | None], list[str]]] = {
    "constants are stored directly": (
        lambda b: b.store(b.map_value("data"), b.const(5, I16), 4),
        ["r1 = map_value[data]+0 ll", "*(u16 *)(r1 + 4) = 5", "r0 = 0", "exit"]),
    "a negative 64-bit constant is stored directly": (
        lambda b: b.store(b.map_value("data"), b.const(-3), 8),
        ["r1 = map_value[data]+0 ll", "*(u64 *)(r1 + 8) = -3", "r0 = 0", "exit"]),
    "a large constant needs a register": (
        lambda b: b.store(b.map_value("data"), b.const(0x8000_0000)),
        ["r1 = map_value[data]+0 ll", "w2 = -2147483648", "*(u64 *)(r1 + 0) = r2", "r0 = 0", "exit"]),
    "a context load keeps the context pointer": (
        lambda b: b.add(data(b, I64, 112), data(b, I64, 104)),
        ["r0 = *(u64 *)(r1 + 112)", "r1 = *(u64 *)(r1 + 104)", "r0 += r1", "exit"]),
    "a load is clean: zero extension is free": (
        lambda b: b.zext(data(b, I16), I64), ["r0 = *(u16 *)(r1 + 0)", "exit"]),
    "truncation is free, cleaning costs one": (
        lambda b: b.zext(b.trunc(data(b, I64), I32), I64), ["r1 = *(u64 *)(r1 + 0)", "w0 = w1", "exit"]),
    "an 8-bit sum is masked once": (
        lambda b: b.zext(b.add(data(b, I8), data(b, I8, 1)), I64),
        ["r0 = *(u8 *)(r1 + 0)", "r1 = *(u8 *)(r1 + 1)", "w0 += w1", "w0 &= 255", "exit"]),
    "sign extension of an int": (
        lambda b: b.sext(data(b, I32), I64), ["r0 = *(u32 *)(r1 + 0)", "r0 <<= 32", "r0 s>>= 32", "exit"]),
    "sign extension of what cannot be negative": (
        lambda b: b.sext(b.lshr(data(b, I32), 1), I64), ["r0 = *(u32 *)(r1 + 0)", "w0 >>= 1", "exit"]),
    "negation": (
        lambda b: b.sub(b.const(0), data(b, I64)), ["r0 = *(u64 *)(r1 + 0)", "r0 = -r0", "exit"]),
    "constants go right": (
        lambda b: b.add(b.const(7), data(b, I64)), ["r0 = *(u64 *)(r1 + 0)", "r0 += 7", "exit"]),
    "the mask of the lower half": (
        lambda b: b.and_(data(b, I64), 0xFFFF_FFFF), ["r1 = *(u64 *)(r1 + 0)", "w0 = w1", "exit"]),
    "a mask that fits only unsigned": (
        lambda b: b.and_(data(b, I64), 0xF000_0000), ["r0 = *(u64 *)(r1 + 0)", "w0 &= -268435456", "exit"]),
    "division by a constant zero": (
        lambda b: b.binary(op.UDIV, data(b, I64), b.const(0)), ["r0 = 0", "exit"]),
    "remainder by a constant zero": (
        lambda b: b.binary(op.UREM, data(b, I64), b.const(0)), ["r0 = *(u64 *)(r1 + 0)", "exit"]),
    "byte swap": (
        lambda b: b.zext(b.bswap(data(b, I16)), I64), ["r0 = *(u16 *)(r1 + 0)", "r0 = be16 r0", "exit"]),
    "shift counts wrap": (
        lambda b: b.shl(data(b, I64), 67), ["r0 = *(u64 *)(r1 + 0)", "r0 <<= 3", "exit"]),
    "a bool as a number": (
        lambda b: b.zext(b.compare(op.EQ, data(b, I64), 3), I64),
        ["r1 = *(u64 *)(r1 + 0)", "r0 = 1", "if r1 == 3 goto +1", "r0 = 0", "exit"]),
    "i32 compares in 32 bits where dirty": (
        lambda b: _branch(b, b.compare(op.ULT, b.trunc(data(b, I64), I32), 9)),
        ["r1 = *(u64 *)(r1 + 0)", "if w1 >= 9 goto +2", "r0 = 1", "exit", "r0 = 2", "exit"]),
    "i32 compares in 64 bits where clean": (
        lambda b: _branch(b, b.compare(op.ULT, data(b, I32), 9)),
        ["r1 = *(u32 *)(r1 + 0)", "if r1 >= 9 goto +2", "r0 = 1", "exit", "r0 = 2", "exit"]),
    "a signed byte compares at the top of 32 bits": (
        lambda b: _branch(b, b.compare(op.SLT, data(b, I8), -2)),
        ["r1 = *(u8 *)(r1 + 0)", "w1 <<= 24", "if w1 s>= -33554432 goto +2", "r0 = 1", "exit", "r0 = 2", "exit"]),
    "offsets fold through sums": (
        lambda b: b.load(b.offset(b.offset(b.map_value("data"), 8), 16), I64, 4),
        ["r1 = map_value[data]+0 ll", "r0 = *(u64 *)(r1 + 28)", "exit"]),
    "an odd offset in the stack is read in pieces": (
        _odd_load,
        ["*(u64 *)(r10 - 8) = 0", "r0 = *(u16 *)(r10 - 6)", "r1 = *(u16 *)(r10 - 4)", "r1 <<= 16", "r0 |= r1", "exit"]),
    "frame addresses are made where they are used": (
        _probe,
        ["r1 = r10", "r1 += -16", "r2 = 16", "r3 = 4096", "call probe_read_kernel", "exit"]),
    "copies use the widest pieces": (
        lambda b: b.copy(b.map_value("data"), b.map_value("data", 32), 13),
        ["r1 = map_value[data]+0 ll", "r2 = map_value[data]+32 ll", "r3 = *(u64 *)(r2 + 0)", "*(u64 *)(r1 + 0) = r3",
         "r3 = *(u32 *)(r2 + 8)", "*(u32 *)(r1 + 8) = r3", "r2 = *(u8 *)(r2 + 12)", "*(u8 *)(r1 + 12) = r2", "r0 = 0", "exit"]),
    "copies in the stack are aligned at both ends": (
        lambda b: b.copy(b.alloca(8), b.alloca(8), 3, to_offset=1),
        ["r1 = *(u8 *)(r10 - 8)", "*(u8 *)(r10 - 15) = r1", "r1 = *(u8 *)(r10 - 7)", "*(u8 *)(r10 - 14) = r1",
         "r1 = *(u8 *)(r10 - 6)", "*(u8 *)(r10 - 13) = r1", "r0 = 0", "exit"]),
    "bound": (
        lambda b: b.bound(data(b, I64), 63),
        ["r0 = *(u64 *)(r1 + 0)", "if r0 <= 63 goto +1", "r0 = 63", "exit"]),
    "the int results of map helpers are widened": (
        lambda b: b.helper("map_delete_elem", b.map("data"), b.alloca(4)),
        ["r1 = map[data] ll", "r2 = r10", "r2 += -8", "call map_delete_elem", "r0 <<= 32", "r0 s>>= 32", "exit"]),
    "a bit test": (
        lambda b: _branch(b, b.compare(op.NE, b.and_(data(b, I32), 0x40), 0)),
        ["r1 = *(u32 *)(r1 + 0)", "if w1 & 64 goto +2", "r0 = 2", "exit", "r0 = 1", "exit"]),
    "a bit test the other way round": (
        lambda b: _branch(b, b.compare(op.EQ, b.and_(data(b, I64), 0x40), 0)),
        ["r1 = *(u64 *)(r1 + 0)", "if r1 & 64 goto +2", "r0 = 1", "exit", "r0 = 2", "exit"]),
    "a kernel variable": (
        lambda b: b.helper("this_cpu_ptr", b.ksym("runqueues")), ["r1 = btf[var runqueues] ll", "call this_cpu_ptr", "exit"]),
    "the int results of map helpers are compared in 32 bits": (
        lambda b: _branch(b, b.compare(op.SLT, b.helper("map_delete_elem", b.map("data"), b.alloca(4)), 0)),
        ["r1 = map[data] ll", "r2 = r10", "r2 += -8", "call map_delete_elem", "if w0 s>= 0 goto +2", "r0 = 1", "exit",
         "r0 = 2", "exit"]),
    "a late constant": (lambda b: b.late("boot"), ["r0 = const[boot] ll", "exit"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_selects(name: str) -> None:
    write, want = CASES[name]
    b, unit = builder()
    _return(b, write(b))
    assert listing(unit) == want


def test_ends_are_one_behind_what_falls_into_it() -> None:
    """Two tests, each with an end of its own, and at last something stored: the ends are where the store comes to one."""

    def write(b: Builder) -> None:
        for bound in (2, 7):
            leave, stay = b.new_block(), b.new_block()
            b.branch(b.compare(op.UGT, data(b, I64, 8 * bound), b.const(bound)), leave, stay)
            b.at(leave)
            b.return_(b.const(0))
            b.at(stay)
        b.helper("ktime_get_ns")
        b.return_(b.const(0))

    got = code(write)
    assert got.count("exit") == 1 and got[-2:] == ["r0 = 0", "exit"]
    assert [line for line in got if "goto" in line] == ["if r2 > 2 goto +3", "if r1 > 7 goto +1"], got


def test_a_condition_that_is_shifted_is_made_so() -> None:
    def write(b: Builder) -> Value:
        return b.shl(b.zext(b.compare(op.UGT, data(b, I64), 255), I64), 3)

    assert code(write) == ["r1 = *(u64 *)(r1 + 0)", "r0 = 8", "if r1 > 255 goto +1", "r0 = 0", "exit"]


def test_what_only_a_dropped_branch_asked_for_is_not_computed() -> None:
    def write(b: Builder) -> Value:
        yes, no, end = b.new_block(), b.new_block(), b.new_block()
        b.branch(b.compare(op.EQ, data(b, I64), 7), yes, no)
        for way in (yes, no):
            b.at(way)
            b.jump(end)
        b.at(end)
        return b.const(1)

    assert code(write) == ["r0 = 1", "exit"]


def test_version_4_extends_in_one_instruction() -> None:
    got = code(lambda b: b.sext(data(b, I8), I64), features=frozenset(("insn_v4",)))
    assert got == ["r1 = *(u8 *)(r1 + 0)", "r0 = (s8)r1", "exit"]


def test_compare_and_use_see_the_same_register() -> None:
    """The bounds that the verifier learns of an i16 hold for the index made of it."""

    def write(b: Builder) -> Value:
        index = b.add(data(b, I16), b.const(1, I16))
        yes, no = b.new_block(), b.new_block()
        b.branch(b.compare(op.ULT, index, b.const(60, I16)), yes, no)
        b.at(no)
        b.return_(b.const(0))
        b.at(yes)
        return b.zext(b.load(b.offset(b.map_value("data"), b.zext(index, I64)), I8), I64)

    got = code(write)
    assert got.count("w1 &= 65535") == 1
    assert "if r1 >= 60 goto +5" in got or "if r1 < 60 goto +2" in got
    assert any(line.endswith("+= r1") for line in got)


def test_null_check_is_on_the_register_of_the_result() -> None:
    def write(b: Builder) -> Value:
        slot = b.alloca(8)
        b.store(slot, b.const(0))
        found = b.helper("map_lookup_elem", b.map("data"), slot, type=NULLABLE)
        yes, no = b.new_block(), b.new_block()
        b.branch(b.check_null(found), yes, no)
        b.at(no)
        b.return_(b.const(0))
        b.at(yes)
        return b.load(b.non_null(found), I64, 8)

    assert code(write)[-5:] == ["if r0 == 0 goto +2", "r0 = *(u64 *)(r0 + 8)", "exit", "r0 = 0", "exit"]


def test_relocations_name_what_the_loader_fills() -> None:
    b, unit = builder()
    slot = b.alloca(8)
    b.store(slot, b.late("boot"))
    b.helper("map_lookup_elem", b.map("data"), slot)
    b.return_(b.load(b.map_value("data", 16), I64))
    program = generate_object(unit, source_name="t", source_text="").programs[0]
    got = [(item.slot, item.kind, item.name, item.addend) for item in program.relocations]
    assert got == [(0, "constant", "boot", 0), (3, "map", "data", 0), (8, "map_value", "data", 16)]
    assert len(program.instructions) == 12 * 8


def test_field_accesses_are_kept_for_the_loader() -> None:
    b, unit = builder()
    task = b.helper("get_current_task_btf", type=pointer("trusted"))
    pid = b.load_trusted(task, I32, 1256, field=FieldAccess("struct task_struct", "pid"))
    moved = b.offset(b.pointer(b.address(task), "kernel"), 72)
    b.function.fields[moved] = FieldAccess("struct task_struct", "comm")
    b.helper("probe_read_kernel", b.alloca(16), b.const(16), moved)
    b.return_(b.zext(pid, I64))
    program = generate(unit).programs[0]
    got = {(item.path, item.offset, item.field) for item in program.field_relocations}
    assert got == {("pid", 1256, "insn_offset"), ("comm", 72, "immediate")}
    insns = program.instructions
    for item in program.field_relocations:
        at = item.slot * 8 + (2 if item.field == "insn_offset" else 4)
        assert int.from_bytes(insns[at : at + (2 if item.field == "insn_offset" else 4)], "little") == item.offset


def test_spans_become_lines() -> None:
    b, unit = builder()
    b.span = 4 << 24 | 3
    b.helper("ktime_get_ns")
    b.span = 8 << 24 | 5
    b.return_(b.const(0))
    object = generate(unit)
    program = object.programs[0]
    assert [(slot, span >> 24) for slot, span in program.lines] == [(0, 4), (1, 8)]
    assert len(program.line_info) == 2 * 16
    lines = [int.from_bytes(program.line_info[at : at + 4], "little") for at in (12, 28)]
    assert [(line >> 10, line & 1023) for line in lines] == [(2, 1), (2, 5)]
    assert b"two three\0" in object.btf


def test_functions_follow_the_entry_and_are_described() -> None:
    b, unit = builder()
    sub = Function("twice", (I64,), I64, kind="subprogram")
    unused = Function("unused", (), I64, kind="subprogram")
    for function in (sub, unused):
        Builder(function).return_()
        unit.programs[0].functions.append(function)
    b.return_(b.call("twice", b.const(4)))
    program = generate(unit).programs[0]
    assert [format_insn(insn) for insn in symbolic(program)] == ["r1 = 4", "call pc+1", "exit", "r0 = 0", "exit"]
    assert len(program.func_info) == 2 * 8


def test_too_large_a_frame_names_the_variables() -> None:
    b, unit = builder()
    for name in ("first", "second", "third"):
        slot = b.alloca(200, name=name)
        b.zero(slot, 200)
        b.helper("ringbuf_output", b.map("data"), slot, b.const(200), b.const(0))
        b.store(b.alloca(8, name="keeper"), slot)
    b.return_(b.const(0))
    with pytest.raises(CompileError, match=r"512.*(first|second|third) \(200 bytes\)"):
        generate(unit)


def test_frames_of_a_chain_of_calls_count_together() -> None:
    b, unit = builder()
    sub = Function("sub", (), I64, kind="subprogram")
    unit.programs[0].functions.append(sub)
    inner = Builder(sub)
    for each, name in ((b, "outer"), (inner, "inner")):
        slot = each.alloca(280, name=name)
        each.zero(slot, 280)
        each.helper("ringbuf_output", each.map("data"), slot, each.const(280), each.const(0))
    inner.return_(inner.const(0))
    b.return_(b.call("sub"))
    with pytest.raises(CompileError, match="576 bytes"):
        generate(unit)


def test_recursion_is_refused() -> None:
    b, unit = builder()
    sub = Function("sub", (), I64, kind="subprogram")
    unit.programs[0].functions.append(sub)
    inner = Builder(sub)
    inner.return_(inner.call("sub"))
    b.return_(b.call("sub"))
    with pytest.raises(CompileError, match="recursion"):
        generate(unit)


def test_fetching_atomics_need_their_feature() -> None:
    with pytest.raises(CompileError, match=r"5\.12"):
        code(lambda b: b.atomic("add", b.map_value("data"), b.const(1), fetch=True))
    got = code(lambda b: b.atomic("add", b.map_value("data"), b.const(1), fetch=True), features=frozenset(("atomic_fetch",)))
    assert got == ["r1 = map_value[data]+0 ll", "r0 = 1", "r0 = atomic64_fetch_add((u64 *)(r1 + 0), r0)", "exit"]


def test_kernel_memory_never_reaches_selection() -> None:
    with pytest.raises(ProbeeError, match=r"internal error: load from ptr\.kernel"):
        code(lambda b: b.load(b.pointer(b.const(1), "kernel"), I64))


def test_unknown_helper_is_an_internal_error() -> None:
    with pytest.raises(ProbeeError, match="no helper is called 'frobnicate'"):
        code(lambda b: b.helper("frobnicate"))


def test_eight_thousand_instructions_take_no_recursion() -> None:
    def write(b: Builder) -> Value:
        value = data(b, I64)
        for number in range(2600):
            join, other = b.new_block(), b.new_block()
            b.branch(b.compare(op.EQ, value, number), other, join)
            b.at(other)
            b.store(b.map_value("data"), b.const(number), 8)
            b.jump(join)
            b.at(join)
        return value

    b, unit = builder()
    b.return_(write(b))
    program = generate_object(unit, source_name="t", source_text="").programs[0]
    assert len(program.instructions) // 8 > 7800


def test_a_loop_tests_at_its_end() -> None:
    b, unit = builder()
    head, body, out = b.new_block(), b.new_block(), b.new_block()
    count = Value(op.PHI, I64, [b.const(0)])
    limit = data(b, I64)
    b.jump(head)
    b.at(head)
    head.values.append(count)
    b.branch(b.compare(op.ULT, count, limit), body, out)
    b.at(body)
    b.helper("ktime_get_ns")
    count.args.append(b.add(count, 1))
    b.jump(head)
    b.at(out)
    b.return_(count)
    insns = listing(unit)
    assert "if r7 < r6 goto -3" in insns
    assert not any(insn.startswith("goto") for insn in insns)


def test_a_number_stored_as_a_pointer_is_an_immediate() -> None:
    """char *p = 0; &p goes to a helper."""

    def write(b: Builder) -> Value:
        slot = b.alloca(8)
        b.store(slot, b.pointer(b.const(0), "user"))
        return b.helper("trace_printk", slot, b.const(8))

    assert code(write)[0] == "*(u64 *)(r10 - 8) = 0"


def test_an_old_value_that_nobody_looks_at_is_not_fetched() -> None:
    def write(b: Builder) -> Value:
        data = b.map_value("data")
        b.atomic("add", data, b.const(1), fetch=True)
        return b.const(0)

    assert not any("fetch" in line for line in code(write))


def test_writes_to_the_context_are_from_registers() -> None:
    def write(b: Builder) -> Value:
        b.store_context(b.param(0), b.const(7, I32), 8)
        return b.const(0)

    lines = code(write)
    assert any(line.startswith("*(u32 *)(r1 + 8) = r") for line in lines), lines


def test_a_helper_may_be_a_number() -> None:
    assert "call ktime_get_ns" in code(lambda b: b.helper("#5"))
