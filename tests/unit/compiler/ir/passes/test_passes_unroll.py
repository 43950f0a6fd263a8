"""unroll: small counted loops are written out, others are left to run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ir_passes import Draft, assert_same, each
from probee.compiler.ir import op
from probee.compiler.ir.dominance import loop_headers, reverse_postorder
from probee.compiler.ir.passes import dce, number, promote, simplify, unroll
from probee.compiler.ir.type import I8, I64, Type, pointer
from probee.compiler.ir.unit import Function, Unit, Value, connect

Body = Callable[[Value], object]


def count(d: Draft, n: Value | int, body: Body, *, step: int = 1, type: Type = I64) -> None:
    """for (i = 0; i < n; i += step) body(i)"""
    counter = d.alloca(type.size)
    d.store(counter, d.const(0, type))
    head, inside, out = d.new_block(), d.new_block(), d.new_block()
    d.jump(head)
    d.at(head)
    d.branch(d.compare(op.ULT, d.load(counter, type), n), inside, out)
    d.at(inside)
    body(d.load(counter, type))
    d.store(counter, d.add(d.load(counter, type), step))
    d.jump(head)
    d.at(out)


def unrolled(d: Draft) -> bool:
    d.run(promote.run)
    d.run(number.run)
    d.run(simplify.run)
    changed = d.run(unroll.run)
    d.run(number.run)
    d.run(simplify.run)
    d.run(dce.run)
    return changed


def add_to(d: Draft, total: Value) -> Body:
    return lambda i: d.store(total, d.add(d.load(total, I64), i))


def result(d: Draft) -> int | None:
    """Return the number that a function returns, None when that takes computing."""
    value = d.one(op.RETURN).args[0]
    return value.attr if value.op == op.CONST else None


def test_a_sum_of_a_counter_becomes_a_number() -> None:
    d = Draft()
    total = d.alloca(8)
    d.store(total, d.const(0))
    count(d, 10, add_to(d, total))
    d.return_(d.load(total, I64))
    assert unrolled(d)
    assert result(d) == 45
    assert len(d.function.blocks) == 1


def test_nested_loops_are_unrolled_from_the_inside() -> None:
    d = Draft()
    total = d.alloca(8)
    d.store(total, d.const(0))
    count(d, 4, lambda _: count(d, 3, add_to(d, total)))
    d.return_(d.load(total, I64))
    assert unrolled(d)
    assert result(d) == 12


def test_a_counter_may_wrap_and_take_any_step() -> None:
    d = Draft()
    turns = d.alloca(8)
    d.store(turns, d.const(0))
    count(d, 250, lambda i: d.store(turns, d.add(d.load(turns, I64), 1)), step=25, type=I8)
    d.return_(d.load(turns, I64))
    assert unrolled(d)
    assert result(d) == 10


def test_a_test_at_the_end_of_a_turn_counts_too() -> None:
    d = Draft()
    counter = d.alloca(8)
    d.store(counter, d.const(1))
    body, out = d.new_block(), d.new_block()
    d.jump(body)
    d.at(body)
    d.helper("send_signal", d.load(counter, I64))
    d.store(counter, d.mul(d.load(counter, I64), 3))
    d.branch(d.compare(op.ULT, d.load(counter, I64), 100), body, out)
    d.at(out)
    d.return_(d.load(counter, I64))
    assert unrolled(d)
    assert [value.args[0].attr for value in d.all(op.HELPER)] == [1, 3, 9, 27, 81]
    assert result(d) == 243


def test_a_loop_that_is_left_early_keeps_every_way_out() -> None:
    d = Draft(pointer("context"), I64)
    wanted, found = d.param(1), d.alloca(8)
    d.store(found, d.const(77))
    out = d.new_block()

    def body(i: Value) -> None:
        hit, on = d.new_block(), d.new_block()
        d.branch(d.compare(op.EQ, d.mul(i, i), wanted), hit, on)
        d.at(hit)
        d.store(found, i)
        d.jump(out)
        d.at(on)

    count(d, 4, body)
    d.jump(out)
    d.at(out)
    d.return_(d.load(found, I64))
    assert unrolled(d)
    assert not loop_headers(reverse_postorder(d.function))
    assert sorted(arg.attr for arg in d.one(op.PHI).args) == [0, 1, 2, 3, 77]


def test_continue_leads_to_the_next_turn() -> None:
    d = Draft(pointer("context"), I64)
    counter = d.alloca(8)
    d.store(counter, d.const(0))
    head, body, skipped, rest, out = (d.new_block() for _ in range(5))
    d.jump(head)
    d.at(head)
    d.branch(d.compare(op.ULT, d.load(counter, I64), 3), body, out)
    d.at(body)
    d.store(counter, d.add(d.load(counter, I64), 1))
    d.branch(d.compare(op.EQ, d.param(1), d.load(counter, I64)), skipped, rest)
    d.at(skipped)
    d.jump(head)
    d.at(rest)
    d.helper("send_signal", d.load(counter, I64))
    d.jump(head)
    d.at(out)
    assert unrolled(d)
    assert [value.args[0].attr for value in d.all(op.HELPER)] == [3, 2, 1]  # in the order of the blocks
    assert not loop_headers(reverse_postorder(d.function))


@pytest.mark.parametrize("n", [unroll.MOST_TURNS, unroll.MOST_TURNS + 1])
def test_only_few_turns_are_unrolled(n: int) -> None:
    d = Draft()
    count(d, n, lambda i: d.helper("send_signal", i))
    assert unrolled(d) == (n == unroll.MOST_TURNS)


def test_a_large_body_is_left_to_run() -> None:
    d = Draft()
    count(d, 8, lambda i: [d.helper("send_signal", i) for _ in range(20)])
    assert not unrolled(d)
    assert len(d.all(op.HELPER)) == 20


def test_a_loop_that_the_input_ends_is_left_to_run() -> None:
    d = Draft(pointer("context"), I64)
    count(d, d.param(1), lambda i: d.helper("send_signal", i))
    assert not unrolled(d)


def test_a_pointer_that_leaves_the_loop_keeps_it() -> None:
    d = Draft()
    key, found = d.alloca(8), d.alloca(8)
    d.store(found, d.null("map"))
    count(d, 3, lambda i: (d.store(key, i), d.store(found, d.lookup(key))))
    d.return_(d.zext(d.check_null(d.load(found, pointer("map", nullable=True))), I64))
    d.run(promote.run)
    assert not d.run(unroll.run)


def test_fields_stay_with_their_loads() -> None:
    from probee.compiler.ir.unit import FieldAccess

    d = Draft(pointer("context"), pointer("kernel"))
    count(d, 3, lambda i: d.helper("send_signal", d.load(d.param(1), I64, 8, field=FieldAccess("task_struct", "pid"))))
    d.run(promote.run)
    assert d.run(unroll.run)
    assert {d.function.fields[load].path for load in d.all(op.LOAD)} == {"pid"}
    assert len(d.all(op.LOAD)) == 3


def test_random_loops_do_the_same_unrolled() -> None:
    n_unrolled = 0

    def run(function: Function, unit: Unit) -> bool:
        nonlocal n_unrolled
        connect(function)
        changed = unroll.run(function, unit)
        n_unrolled += changed
        return changed

    for seed in range(150):
        assert_same(seed, each(promote.run, number.run, simplify.run, dce.run, run), far=seed % 2 == 1)
    assert n_unrolled > 50
