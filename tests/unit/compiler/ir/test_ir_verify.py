"""verify: one test per rule, each with IR that is legal but for one thing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from probee.compiler.ir import op
from probee.compiler.ir.build import Builder
from probee.compiler.ir.rule import RULES
from probee.compiler.ir.type import BOOL, FUNCTION, I8, I16, I32, I64, MAP, VOID, Type, pointer
from probee.compiler.ir.unit import Function, Program, Unit, Value
from probee.compiler.ir.verify import IllegalIr, verify, verify_function
from probee.model.spec import MapSpec, MapType, ProgramType

NULLABLE = pointer("map", nullable=True)


def builder(*parameters: Type) -> Builder:
    return Builder(Function("f", parameters or (pointer("context"),), I64))


def reason(b: Builder, unit: Unit | None = None) -> str:
    if not b.terminated:
        b.return_(b.const(0))
    with pytest.raises(IllegalIr) as error:
        verify_function(b.function, {b.function.name: b.function}, unit)
    assert "f(" in str(error.value), "the function's text is part of the message"
    return error.value.reason


def test_every_operation_has_a_rule() -> None:
    names = {value for name, value in vars(op).items() if name.isupper() and isinstance(value, str)}
    assert names == {*RULES, op.CLAIMED}


def test_legal_function_passes() -> None:
    b = builder()
    slot = b.alloca(8)
    b.store(slot, b.load_context(b.param(0), I32, 4))
    found = b.helper("map_lookup_elem", b.map("m"), slot, type=NULLABLE)
    yes, no = b.new_block(), b.new_block()
    b.branch(b.check_null(found), yes, no)
    b.at(yes)
    b.atomic("add", b.non_null(found), b.const(1))
    b.jump(no)
    b.at(no)
    b.return_(b.const(0))
    unit = Unit()
    unit.maps["m"] = MapSpec("m", MapType.HASH, 8, 8, 4)
    unit.programs.append(Program("f", ProgramType.KPROBE, [b.function]))
    assert verify(unit) is unit


def test_block_without_terminator() -> None:
    b = builder()
    b.const(1)
    with pytest.raises(IllegalIr, match="terminator"):
        verify_function(b.function)


def test_terminator_in_the_middle() -> None:
    b = builder()
    b.return_(b.const(0))
    b.return_(b.const(0))
    assert "middle" in reason(b)


def test_alloca_outside_the_entry_block() -> None:
    b = builder()
    block = b.new_block()
    b.jump(block)
    b.at(block)
    b.emit(op.ALLOCA, pointer("stack"), [], b.alloca(8).attr)
    assert "entry" in reason(b)


def test_jump_to_the_entry_block() -> None:
    b = builder()
    b.jump(b.function.entry)
    assert "entry" in reason(b)


def test_phi_after_other_values() -> None:
    b = builder()
    block = b.new_block()
    one = b.const(1)
    b.jump(block)
    b.at(block)
    b.const(2)
    b.emit(op.PHI, I64, [one])
    assert "phi after" in reason(b)


def test_phi_with_too_few_arguments() -> None:
    b = builder()
    one, two, join = b.const(1), b.new_block(), b.new_block()
    b.branch(b.compare(op.EQ, one, 1), two, join)
    b.at(two)
    b.jump(join)
    b.at(join)
    b.emit(op.PHI, I64, [one])
    assert "2 predecessors" in reason(b)


def test_argument_that_comes_later() -> None:
    b = builder()
    late = Value(op.CONST, I64, [], 1)
    b.add(late, late)
    b.block.values.append(late)
    assert "later" in reason(b)


def test_argument_in_no_block() -> None:
    b = builder()
    b.add(Value(op.CONST, I64, [], 1), 1)
    assert "in no block" in reason(b)


def test_argument_of_one_arm_used_after_the_join() -> None:
    b = builder()
    yes, join = b.new_block(), b.new_block()
    b.branch(b.compare(op.EQ, b.const(1), 1), yes, join)
    b.at(yes)
    inner = b.const(5)
    b.jump(join)
    b.at(join)
    b.add(inner, 1)
    assert "may not be there" in reason(b)


def test_phi_argument_that_does_not_reach_its_edge() -> None:
    b = builder()
    yes, no, join = b.new_block(), b.new_block(), b.new_block()
    b.branch(b.compare(op.EQ, b.const(1), 1), yes, no)
    b.at(yes)
    left = b.const(5)
    b.jump(join)
    b.at(no)
    right = b.const(6)
    b.jump(join)
    b.at(join)
    join.predecessors = [yes, no]
    b.emit(op.PHI, I64, [right, left])
    assert "may not be there" in reason(b)


def _kernel(b: Builder) -> Value:
    return b.pointer(b.const(1), "kernel")


ILLEGAL: dict[str, tuple[Callable[[Builder], object], str]] = {
    "arithmetic on two types": (lambda b: b.add(b.const(1, I8), b.const(1, I16)), "operand"),
    "arithmetic on pointers": (lambda b: b.binary(op.ADD, b.alloca(8), b.alloca(8)), "int"),
    "addition of bools": (lambda b: b.binary(op.ADD, b.const(1, BOOL), b.const(1, BOOL)), "int"),
    "constant too large": (lambda b: b.emit(op.CONST, I8, [], 256), "fit"),
    "negative constant": (lambda b: b.emit(op.CONST, I64, [], -1), "fit"),
    "constant pointer": (lambda b: b.emit(op.CONST, pointer("map"), [], 0), "null"),
    "comparison of widths": (lambda b: b.compare(op.EQ, b.const(1, I8), b.const(1, I16)), "compares"),
    "comparison of spaces": (lambda b: b.compare(op.EQ, b.alloca(8), _kernel(b)), "compare"),
    "order against null": (lambda b: b.compare(op.ULT, _kernel(b), b.null("user")), "compare"),
    "zext to the same width": (lambda b: b.emit(op.ZEXT, I32, [b.const(1, I32)]), "narrower"),
    "sext of a bool": (lambda b: b.emit(op.SEXT, I32, [b.const(1, BOOL)]), "extend"),
    "trunc to wider": (lambda b: b.emit(op.TRUNC, I64, [b.const(1, I32)]), "wider"),
    "bswap of a byte": (lambda b: b.bswap(b.const(1, I8)), "i16"),
    "offset of a nullable": (lambda b: b.offset(b.helper("map_lookup_elem", type=NULLABLE), 8), "goes from"),
    "offset by i32": (lambda b: b.offset(b.alloca(8), b.const(1, I32)), "i64"),
    "variable trusted offset": (lambda b: b.offset(b.ksym("runqueues", "trusted"), b.helper("ktime_get_ns")), "constant"),
    "pointer to the stack from a number": (lambda b: b.pointer(b.const(1), "stack"), "kernel, user or some"),
    "address of a number": (lambda b: b.address(b.const(1)), "i64 of a pointer"),
    "distance on the stack": (lambda b: b.emit(op.DISTANCE, I64, [b.alloca(8), b.alloca(8)]), "packet"),
    "empty slot": (lambda b: b.alloca(0), "one byte"),
    "odd alignment": (lambda b: b.alloca(8, 3), "aligned"),
    "load through a nullable": (lambda b: b.load(b.helper("map_lookup_elem", type=NULLABLE), I64), "may be null"),
    "load from the context": (lambda b: b.load(b.param(0), I64), "context"),
    "load from a number": (lambda b: b.load(b.const(1), I64), "needs a pointer"),
    "load of nothing": (lambda b: b.load(b.alloca(8), VOID), "loads"),
    "store to the kernel": (lambda b: b.store(_kernel(b), b.const(1)), "does not reach"),
    "store of a map": (lambda b: b.store(b.alloca(8), b.map("m")), "store"),
    "copy to user memory": (lambda b: b.copy(b.pointer(b.const(1), "user"), b.alloca(8), 8), "does not reach"),
    "copy of nothing": (lambda b: b.emit(op.COPY, VOID, [b.alloca(8), b.alloca(8)], (0, 0, 0)), "size"),
    "zero of nothing": (lambda b: b.emit(op.ZERO, VOID, [b.alloca(8)], (0, 0)), "size"),
    "atomic on i16": (lambda b: b.atomic("add", b.alloca(8), b.const(1, I16)), "i32 or i64"),
    "atomic that does not exist": (lambda b: b.atomic("nand", b.alloca(8), b.const(1)), "no atomic"),
    "atomic with a result": (lambda b: b.emit(op.ATOMIC, I64, [b.alloca(8), b.const(1)], ("add", 0, False)), "nothing"),
    "exchange of two types": (
        lambda b: b.emit(op.COMPARE_EXCHANGE, I64, [b.alloca(8), b.const(1), b.const(1, I32)], 0), "one type"),
    "context from elsewhere": (lambda b: b.load_context(b.offset(b.param(0), 8), I64, 0), "itself"),
    "load_trusted of user memory": (lambda b: b.load_trusted(b.pointer(b.const(4096), "user"), I64, 0), "does not reach"),
    "check_null of a number": (lambda b: b.check_null(b.const(1)), "pointer"),
    "non_null unchecked": (lambda b: b.non_null(b.helper("map_lookup_elem", type=NULLABLE)), "no check_null"),
    "bound of a byte": (lambda b: b.bound(b.const(1, I8), 8), "i64"),
    "six arguments": (lambda b: b.helper("x", *[b.const(0)] * 6), "5 arguments"),
    "no such map": (lambda b: b.map("nowhere"), "no map"),
    "no such late constant": (lambda b: b.late("nowhere"), "no late constant"),
    "no such callback": (lambda b: b.callback("nowhere"), "no callback"),
    "no such subprogram": (lambda b: b.call("nowhere"), "no subprogram"),
    "map value out of bounds": (lambda b: b.map_value("m", 8), "outside"),
    "kernel variable in user memory": (lambda b: b.ksym("runqueues", "user"), "percpu or trusted"),
    "no such parameter": (lambda b: b.emit(op.PARAM, I64, [], 7), "no such parameter"),
    "parameter of another type": (lambda b: b.emit(op.PARAM, I64, [], 0), "of type"),
    "undef of void": (lambda b: b.emit(op.UNDEF, VOID, []), "type"),
    "unknown operation": (lambda b: b.emit("frobnicate", I64, []), "no such operation"),
    "branch on a number": (lambda b: b.branch(b.const(1), *_two(b)), "bool"),
    "return of another type": (lambda b: b.return_(b.const(1, I8)), "returns i64"),
    "map handle that is none": (lambda b: b.emit(op.MAP, I64, [], "m"), "map handle"),
    "callback that is none": (lambda b: b.emit(op.CALLBACK, MAP, [], "f"), "function"),
}  # fmt: skip


def _two(b: Builder):  # type: ignore[no-untyped-def]
    blocks = b.new_block(), b.new_block()
    here = b.block
    for block in blocks:
        b.at(block)
        b.return_(b.const(0))
    b.at(here)
    return blocks


@pytest.mark.parametrize("name", ILLEGAL)
def test_refuses(name: str) -> None:
    write, message = ILLEGAL[name]
    unit = Unit()
    unit.maps["m"] = MapSpec("m", MapType.ARRAY, 4, 8, 1)
    b = builder()
    write(b)
    assert message in reason(b, unit)


def test_phi_of_context_pointers() -> None:
    b = builder()
    block = b.new_block()
    context = b.param(0)
    b.jump(block)
    b.at(block)
    b.emit(op.PHI, pointer("context"), [context])
    assert "no phi of context" in reason(b)


def test_non_null_on_the_wrong_side() -> None:
    b = builder()
    found = b.helper("map_lookup_elem", type=NULLABLE)
    yes, no = _two(b)
    b.branch(b.check_null(found), yes, no)
    no.values.insert(0, Value(op.NON_NULL, pointer("map"), [found]))
    assert "no check_null" in reason(b)


def test_call_with_another_type_of_argument() -> None:
    b = builder()
    sub = Function("sub", (I32,), I64, kind="subprogram")
    Builder(sub).return_()
    b.call("sub", b.const(1, I64))
    b.return_(b.const(0))
    with pytest.raises(IllegalIr, match="the parameter i32"):
        verify_function(b.function, {"f": b.function, "sub": sub})


def test_callback_must_be_of_that_kind() -> None:
    b = builder()
    assert b.callback("f").type is FUNCTION
    assert "no callback" in reason(b)
