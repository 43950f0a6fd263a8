"""Accesses to the stack through pointers that a variable has moved: as wide as is certainly aligned."""

from __future__ import annotations

import pytest

from probee.compiler.codegen.alignment import alignment
from probee.compiler.codegen.pointer import pieces
from probee.compiler.ir import op
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


def test_what_a_loop_adds_counts_and_the_loop_itself_does_not() -> None:
    b = builder()
    start, loop = b.block, b.new_block()
    first = b.const(0)
    b.jump(loop)
    b.at(loop)
    counter = b.emit(op.PHI, I64, [])
    b.jump(loop)
    step = b.add(counter, 24)
    counter.args, counter.attr = [first, step], [start, loop]
    assert alignment(moved(b, counter)) == 8
    counter.args[0] = b.const(4)
    assert alignment(moved(b, counter)) == 4


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [(20, (0, 4), [4] * 5), (20, (0, 8), [8, 8, 4]), (12, (4, 8), [4, 8]), (12, (4, 4), [4, 4, 4]), (3, (1, 8), [1, 2]),
     (3, (1, 1), [1, 1, 1]), (9, None, [8, 1])],
)  # fmt: skip
def test_no_piece_is_wider_than_what_its_place_is_certainly_a_multiple_of(
    size: int, side: tuple[int, int] | None, expected: list[int]
) -> None:
    assert pieces(size, side) == expected
