"""Accesses to the stack through pointers that a variable has moved: as wide as is certainly aligned."""

from __future__ import annotations

import pytest

from probee.compiler.codegen.alignment import alignment
from probee.compiler.ir.build import Builder
from probee.compiler.ir.type import I64
from probee.compiler.ir.unit import Function, Value


def builder() -> Builder:
    return Builder(Function("f", (I64,), I64))


def moved(b: Builder, by: Value | int) -> Value:
    return b.offset(b.alloca(64), by)


def test_a_pointer_is_aligned_as_what_it_is_moved_by() -> None:
    b = builder()
    x = b.param(0)
    assert alignment(moved(b, b.mul(x, 12))) == 4
    assert alignment(moved(b, b.shl(x, 3))) == 8
    assert alignment(moved(b, b.and_(x, 0x3E))) == 2
    assert alignment(moved(b, b.add(b.mul(x, 16), 6))) == 2
    assert alignment(moved(b, x)) == 1


@pytest.mark.parametrize(("by", "expected"), [(0, 8), (4, 4), (6, 2), (7, 1), (64, 8)])
def test_a_pointer_that_a_constant_moves_is_aligned_as_that(by: int, expected: int) -> None:
    b = builder()
    assert alignment(moved(b, b.const(by))) == expected
