"""Where a function's parameters are, and where pt_regs keeps registers."""

from __future__ import annotations

import pytest

from probee.errors import CompileError, UnknownName, Unsupported
from probee.formats.target import FileTarget
from probee.model.ctype import VOID, CType, FunctionType, IntType, Member, Parameter, PointerType, StructType, TypedefType
from probee.probes.argument import function_arguments
from probee.probes.register import registers

INT = IntType("int", 4, signed=True)
LONG = IntType("long", 8, signed=True)
WIDE = IntType("__int128", 16, signed=True)
POINTER = PointerType(VOID)
SMALL = StructType("struct", "small", 4, (Member("a", INT, 0),))
PAIR = StructType("struct", "pair", 16, (Member("a", LONG, 0), Member("b", LONG, 64)))
LARGE = StructType("struct", "large", 24, (Member("a", LONG, 0), Member("b", LONG, 64), Member("c", LONG, 128)))
PACKED = StructType("struct", "packed", 9, (Member("a", IntType("char", 1, signed=True), 0), Member("b", LONG, 8)))
EMPTY = StructType("struct", "empty", 0, ())


def function(*types: CType, result: CType = VOID) -> FunctionType:
    return FunctionType(result, tuple(Parameter(f"p{n}", type) for n, type in enumerate(types)))


CONVENTIONS: list[tuple[str, list[CType], list[str]]] = [
    ("x86_64", [INT] * 8, ["arg0", "arg1", "arg2", "arg3", "arg4", "arg5", "sarg0", "sarg1"]),
    ("x86_64", [POINTER, TypedefType("t", SMALL), LONG], ["arg0", "arg1", "arg2"]),
    ("x86_64", [INT, PAIR, INT], ["arg0", "arg1-arg2", "arg3"]),
    ("x86_64", [LARGE, INT], ["sarg0-sarg2", "arg0"]),
    ("x86_64", [PACKED, INT], ["sarg0-sarg1", "arg0"]),
    ("x86_64", [EMPTY, INT], ["", "arg0"]),
    # a pair that does not fit goes to the stack whole; the register that it leaves is taken by the next one
    ("x86_64", [INT] * 5 + [PAIR, INT, INT], ["arg0", "arg1", "arg2", "arg3", "arg4", "sarg0-sarg1", "arg5", "sarg2"]),
    ("x86_64", [INT, WIDE, INT], ["arg0", "arg1-arg2", "arg3"]),
    ("x86_64", [INT] * 7 + [WIDE], ["arg0", "arg1", "arg2", "arg3", "arg4", "arg5", "sarg0", "sarg2-sarg3"]),
    ("aarch64", [INT] * 9, [*(f"arg{n}" for n in range(8)), "sarg0"]),
    ("aarch64", [LARGE, INT], ["arg0", "arg1"]),
    ("aarch64", [INT, WIDE, INT], ["arg0", "arg2-arg3", "arg4"]),
    ("aarch64", [INT] * 7 + [PAIR, INT], [*(f"arg{n}" for n in range(7)), "sarg0-sarg1", "sarg2"]),
]  # fmt: skip


@pytest.mark.parametrize(("arch", "types", "places"), CONVENTIONS)
def test_parameters_are_where_the_calling_convention_puts_them(arch: str, types: list[CType], places: list[str]) -> None:
    assert [argument.where for argument in function_arguments(function(*types), arch)] == places


def test_a_large_result_takes_the_first_register_on_x86_only() -> None:
    assert function_arguments(function(INT, result=LARGE), "x86_64")[0].where == "arg1"
    assert function_arguments(function(INT, result=PAIR), "x86_64")[0].where == "arg0"
    assert function_arguments(function(INT, result=LARGE), "aarch64")[0].where == "arg0"


def test_a_large_struct_is_passed_by_address_on_arm64() -> None:
    assert function_arguments(function(LARGE), "aarch64")[0].by_reference
    assert not function_arguments(function(LARGE), "x86_64")[0].by_reference


def test_arp_create_has_its_last_two_parameters_on_the_stack(target: FileTarget) -> None:
    found = target.function("arp_create")
    assert found is not None
    places = {argument.name: argument.where for argument in function_arguments(found.type, target.arch)}
    assert places["dest_hw"] == "arg5"
    assert places["src_hw"] == "sarg0"
    assert places["target_hw"] == "sarg1"


def test_the_layout_of_pt_regs_is_the_one_that_btf_describes(target: FileTarget) -> None:
    struct = target.type_named("struct", "pt_regs")
    assert isinstance(struct, StructType)
    layout = registers("x86_64")
    for member in struct.members:
        assert layout.offset(member.name) == member.offset


def test_argument_registers_follow_the_convention() -> None:
    layout = registers("x86_64")
    assert [layout.argument(n) for n in range(6)] == [112, 104, 96, 88, 72, 64]
    assert (layout.return_value, layout.program_counter, layout.stack_pointer) == (80, 128, 152)
    assert (layout.stack_argument_offset(0), layout.stack_argument_offset(1)) == (8, 16)
    assert registers("aarch64").argument(7) == 56
    assert registers("aarch64").stack_argument_offset(0) == 0


def test_an_argument_beyond_the_registers_is_an_error_that_points_to_sarg() -> None:
    with pytest.raises(CompileError) as caught:
        registers("x86_64").argument(6)
    assert caught.value.message == "x86_64 doesn't support arg6"
    assert "sarg0" in caught.value.hint


def test_an_unknown_register_is_an_error_with_the_nearest_one() -> None:
    with pytest.raises(UnknownName) as caught:
        registers("x86_64").offset("r16")
    assert caught.value.message == "'r16' is not a valid register on this architecture (x86_64)"
    assert caught.value.hint


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(Unsupported, match="does not know the registers of riscv64"):
        registers("riscv64")
