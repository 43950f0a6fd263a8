"""unroll where a program asks for it: loops of any size, and an error where it must be and cannot."""

from __future__ import annotations

import pytest
from test_passes_unroll import Body, add_to, count

from ir_interpreter import IrMachine
from ir_passes import Draft
from probee.compiler.ir import op
from probee.compiler.ir.dominance import loop_headers, reverse_postorder
from probee.compiler.ir.passes import number, promote, simplify, unroll
from probee.compiler.ir.type import I64
from probee.compiler.ir.unit import Value
from probee.errors import CompileError


def asked(d: Draft, body: Body, *, must: bool = True) -> Body:
    """A loop's body that asks to be unrolled."""

    def write(i: Value) -> None:
        d.unroll(must=must)
        body(i)

    return write


def has_loop(d: Draft) -> bool:
    return bool(loop_headers(reverse_postorder(d.function)))


def prepared(d: Draft) -> Draft:
    for run in (promote.run, number.run, simplify.run):
        d.run(run)
    return d


def summed(turns: int | Value, d: Draft, *, must: bool) -> None:
    total = d.alloca(8)
    d.store(total, d.const(0))
    count(d, turns, asked(d, add_to(d, total), must=must))
    d.return_(d.load(total, I64))


def test_a_loop_too_large_to_be_unrolled_unasked_is() -> None:
    d = Draft()
    summed(500, d, must=True)
    assert prepared(d).run(unroll.run)
    assert not has_loop(d)
    assert d.run(number.run)
    assert d.one(op.RETURN).args[0].attr == sum(range(500))


@pytest.mark.parametrize("must", [True, False])
def test_nothing_of_the_wish_stays(must: bool) -> None:
    d = Draft()
    summed(500, d, must=must)
    prepared(d).run(unroll.run)
    assert not any(value.op == op.UNROLL for block in d.function.blocks for value in block.values)


def test_an_unknown_number_of_turns_is_an_error_where_it_must_be_known() -> None:
    d = Draft(I64)
    d.span = 7 << 24
    summed(d.param(0), d, must=True)
    with pytest.raises(CompileError, match="cannot be unrolled: its number of turns is not known") as caught:
        prepared(d).run(unroll.run)
    assert caught.value.span == 7 << 24
    assert caught.value.hint


def test_an_unknown_number_of_turns_stays_a_loop_where_it_was_only_a_wish() -> None:
    d = Draft(I64)
    summed(d.param(0), d, must=False)
    prepared(d).run(unroll.run)
    assert has_loop(d)


def test_too_many_instructions_are_an_error() -> None:
    d = Draft()
    summed(1 << 20, d, must=True)
    with pytest.raises(CompileError, match="or more than"):
        prepared(d).run(unroll.run)


def test_a_loop_around_one_that_stays_is_an_error() -> None:
    d = Draft(I64)
    total = d.alloca(8)
    d.store(total, d.const(0))
    count(d, 3, asked(d, lambda _: count(d, d.param(0), add_to(d, total))))
    d.return_(d.load(total, I64))
    with pytest.raises(CompileError, match="has a loop in it that stays"):
        prepared(d).run(unroll.run)


def test_a_goto_into_the_loop_is_an_error() -> None:
    d = Draft(I64)
    total = d.alloca(8)
    d.store(total, d.const(0))
    head, inside, step, out = (d.new_block() for _ in range(4))
    d.branch(d.compare(op.EQ, d.param(0), 1), step, head)
    d.at(head)
    d.branch(d.compare(op.ULT, d.load(total, I64), 5), inside, out)
    d.at(inside)
    d.unroll(must=True)
    d.jump(step)
    d.at(step)
    d.store(total, d.add(d.load(total, I64), 1))
    d.jump(head)
    d.at(out)
    d.return_(d.load(total, I64))
    with pytest.raises(CompileError, match="a goto leads into it"):
        prepared(d).run(unroll.run)


def test_pointers_that_leave_the_loop_are_kept() -> None:
    """The place of the last element that is not 0, found in the loop, read behind it."""
    d = Draft()
    array = d.alloca(128)
    d.zero(array, 128)
    d.store(array, d.const(9), 64)
    place = d.alloca(8)
    d.store(place, array)

    def body(i: Value) -> None:
        found, on = d.new_block(), d.new_block()
        at = d.offset(array, d.shl(i, 3))
        d.branch(d.compare(op.NE, d.load(at, I64), 0), found, on)
        d.at(found)
        d.store(place, at)
        d.jump(on)
        d.at(on)

    count(d, 16, asked(d, body))
    d.return_(d.load(d.load(place, array.type), I64))
    assert prepared(d).run(unroll.run)
    assert not has_loop(d)
    assert IrMachine([d.function], d.unit.maps).run(bytes(8)) == 9
