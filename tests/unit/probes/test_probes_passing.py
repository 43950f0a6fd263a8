"""Where functions of programs find their parameters: the calling conventions of x86-64 and aarch64, floating point included."""

from __future__ import annotations

import pytest

from probee.model.ctype import (
    VOID,
    ArrayType,
    CType,
    EnumType,
    FloatType,
    FunctionType,
    IntType,
    Member,
    Parameter,
    PassedByReference,
    PointerType,
    StructType,
    TypedefType,
)
from probee.probes.passing import passed_arguments

CHAR, INT, LONG = IntType("char", 1, signed=True), IntType("int", 4, signed=True), IntType("long int", 8, signed=True)
WIDE = IntType("__int128", 16, signed=True)
FLOAT, DOUBLE, LONG_DOUBLE = FloatType("float", 4), FloatType("double", 8), FloatType("long double", 16)
COMPLEX = FloatType("complex double", 16)
POINTER = PointerType(VOID)


def struct(*members: CType, kind: str = "struct", step: int = 0, size: int = 0) -> StructType:
    """A struct whose members lie where C puts them, or `step` bytes apart."""
    placed, end = [], 0
    for member in members:
        at = 0 if kind == "union" else end if step else -(-end // min(member.size, 8)) * min(member.size, 8)
        placed.append(Member(f"m{len(placed)}", member, at * 8))
        end = max(end, at + (step or member.size))
    return StructType(kind, "s", size or -(-end // 8) * 8, tuple(placed))


def function(*types: CType, result: CType = VOID) -> FunctionType:
    return FunctionType(result, tuple(Parameter(f"p{index}", type) for index, type in enumerate(types)))


def places(*types: CType, arch: str = "x86_64", result: CType = VOID) -> list[str]:
    return [passed.where for passed in passed_arguments(function(*types, result=result), arch)]


def test_numbers_and_pointers_are_in_registers_then_on_the_stack():
    assert places(CHAR, INT, LONG, POINTER, INT, INT, INT, CHAR) == [
        "arg0", "arg1", "arg2", "arg3", "arg4", "arg5", "sarg0", "sarg1",
    ]  # fmt: skip
    assert places(*[INT] * 9, arch="aarch64")[7:] == ["arg7", "sarg0"]


def test_floating_point_takes_no_register_of_the_others():
    assert places(DOUBLE, INT, FLOAT, LONG) == ["xmm0", "arg0", "xmm1", "arg1"]
    assert places(DOUBLE, INT, FLOAT, LONG, arch="aarch64") == ["v0", "arg0", "v1", "arg1"]
    assert places(*[DOUBLE] * 9)[7:] == ["xmm7", "sarg0"]
    (passed,) = passed_arguments(function(DOUBLE), "x86_64")
    assert passed.in_vector


def test_what_the_x87_computes_with_is_in_memory():
    assert places(LONG_DOUBLE, INT) == ["sarg0, sarg1", "arg0"]
    assert places(LONG_DOUBLE, arch="aarch64") == ["v0"]
    assert places(COMPLEX, DOUBLE) == ["xmm0, xmm1", "xmm2"]


@pytest.mark.parametrize(
    ("type", "x86", "arm"),
    [
        (struct(INT, INT), "arg0", "arg0"),
        (struct(LONG, CHAR), "arg0, arg1", "arg0, arg1"),
        (struct(LONG, DOUBLE), "arg0, xmm0", "arg0, arg1"),
        (struct(FLOAT, FLOAT), "xmm0", "v0, v1"),
        (struct(DOUBLE, DOUBLE), "xmm0, xmm1", "v0, v1"),
        (struct(INT, FLOAT), "arg0", "arg0"),
        (struct(INT, FLOAT, kind="union"), "arg0", "arg0"),
        (struct(ArrayType(FLOAT, 3, size=12)), "xmm0, xmm1", "v0, v1, v2"),
        (struct(LONG, LONG, LONG), "sarg0-sarg2", "at arg0"),
        (struct(DOUBLE, DOUBLE, DOUBLE), "sarg0-sarg2", "v0, v1, v2"),
        (struct(CHAR, LONG, step=1, size=9), "sarg0, sarg1", "arg0, arg1"),
        (struct(LONG_DOUBLE), "sarg0, sarg1", "v0"),
        (struct(), "", ""),
        (struct(struct(size=1)), "", ""),
        (TypedefType("t", struct(INT)), "arg0", "arg0"),
        (WIDE, "arg0, arg1", "arg0, arg1"),
        (EnumType("e", 1, (("A", 0),)), "arg0", "arg0"),
    ],
)
def test_a_struct_is_where_its_members_want_it(type: CType, x86: str, arm: str):
    assert (places(type), places(type, arch="aarch64")) == ([x86], [arm])


def test_a_struct_that_does_not_fit_leaves_the_registers_to_others():
    pair = struct(LONG, LONG)
    assert places(*[INT] * 5, pair, INT) == ["arg0", "arg1", "arg2", "arg3", "arg4", "sarg0, sarg1", "arg5"]
    assert places(*[INT] * 7, pair, INT, arch="aarch64")[6:] == ["arg6", "sarg0, sarg1", "sarg2"]


def test_sixteen_bytes_are_aligned_where_the_platform_does():
    assert places(INT, WIDE, arch="aarch64") == ["arg0", "arg2, arg3"]
    assert places(*[INT] * 6, INT, WIDE) == [f"arg{n}" for n in range(6)] + ["sarg0", "sarg2, sarg3"]


def test_a_class_that_is_not_copied_is_an_address():
    heavy = PassedByReference("struct", "Heavy", 8, (Member("n", LONG, 0),))
    (passed, other) = passed_arguments(function(heavy, INT), "x86_64")
    assert passed.by_reference and (passed.where, other.where) == ("at arg0", "arg1")
    assert places(INT, result=heavy) == ["arg1"] and places(INT, result=heavy, arch="aarch64") == ["arg0"]


def test_a_large_result_takes_the_first_register():
    assert places(INT, result=struct(LONG, LONG, LONG)) == ["arg1"]
    assert places(INT, result=struct(LONG, DOUBLE)) == ["arg0"]
