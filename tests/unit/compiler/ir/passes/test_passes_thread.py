"""thread: ways are led past branches that they decide."""

from __future__ import annotations

import pytest

from ir_passes import Draft, assert_same, each
from probee.compiler.ir import op
from probee.compiler.ir.passes import dce, number, promote, simplify, thread
from probee.compiler.ir.type import I64, pointer
from probee.compiler.ir.unit import Value


def test_a_or_b_is_two_branches() -> None:
    d = Draft(pointer("context"), I64)
    x, flag = d.param(1), d.alloca(8)
    d.store(flag, d.const(1))
    d.diamond(
        d.compare(op.EQ, x, 2), None, lambda: d.diamond(d.compare(op.EQ, x, 10), None, lambda: d.store(flag, d.const(0)))
    )
    d.diamond(d.compare(op.NE, d.load(flag, I64), 0), lambda: d.helper("send_signal", d.const(9)))
    d.run(promote.run)
    assert len(d.all(op.BRANCH)) == 3
    d.run(simplify.run)
    assert d.run(thread.run)
    d.run(simplify.run)
    d.run(dce.run)
    assert len(d.all(op.BRANCH)) == 2
    assert not d.all(op.PHI)


def test_a_pointer_checked_on_both_ways_is_not_checked_where_they_join() -> None:
    d = Draft()
    key, found = d.alloca(8), d.alloca(8)
    nullable = pointer("map", nullable=True)
    d.store(key, d.const(3))

    def insert() -> None:
        d.helper("map_update_elem", d.map("table"), key, key, d.const(0))
        d.store(found, d.lookup(key))
        d.diamond(d.check_null(d.load(found, nullable)), None, lambda: d.helper("send_signal", d.const(9)))

    d.store(found, d.lookup(key))
    d.diamond(d.check_null(d.load(found, nullable)), None, insert)
    pointer_again = d.load(found, nullable)
    d.diamond(d.check_null(pointer_again), lambda: d.atomic("add", d.non_null(pointer_again), d.const(1)))
    d.run(promote.run)
    assert len(d.all(op.CHECK_NULL)) == 3
    d.run(simplify.run)
    assert d.run(thread.run)
    for one in (simplify.run, dce.run):
        d.run(one)
    assert len(d.all(op.CHECK_NULL)) == 2
    assert d.one(op.ATOMIC).args[0].op == op.PHI
    assert [arg.op for arg in d.one(op.PHI).args] == [op.NON_NULL, op.NON_NULL]


def test_a_way_that_decides_nothing_still_goes_through_with_its_proof() -> None:
    d = Draft(pointer("context"), I64)
    key, found = d.alloca(8), d.alloca(8)
    nullable = pointer("map", nullable=True)
    d.store(key, d.const(3))
    d.store(found, d.lookup(key))
    d.diamond(d.check_null(d.load(found, nullable)), None, lambda: d.store(found, d.lookup(key)))
    again = d.load(found, nullable)
    d.diamond(d.check_null(again), lambda: d.atomic("add", d.non_null(again), d.const(1)))
    d.run(promote.run)
    assert d.run(thread.run)
    d.run(simplify.run)
    assert len(d.all(op.CHECK_NULL)) == 2
    assert {arg.op for arg in d.one(op.ATOMIC).args[0].args} == {op.NON_NULL}


def test_a_condition_tested_again_behind_the_join() -> None:
    d = Draft(pointer("context"), I64)
    test = d.compare(op.EQ, d.param(1), 2)
    d.diamond(test, lambda: d.helper("send_signal", d.const(1)), lambda: d.helper("send_signal", d.const(2)))
    d.diamond(test, lambda: d.helper("send_signal", d.const(3)), lambda: d.helper("send_signal", d.const(4)))
    d.run(promote.run)
    assert d.run(thread.run)
    d.run(simplify.run)
    assert len(d.all(op.BRANCH)) == 1
    assert len(d.function.blocks) == 4


def test_nothing_is_duplicated() -> None:
    d = Draft(pointer("context"), I64)
    test = d.compare(op.EQ, d.param(1), 2)
    d.diamond(test, lambda: d.helper("send_signal", d.const(1)))
    d.helper("send_signal", d.const(2))
    d.diamond(test, lambda: d.helper("send_signal", d.const(3)))
    assert not d.run(thread.run), "there is a call between"


def test_a_constant_of_the_crossing_that_others_use_keeps_it() -> None:
    d = Draft(pointer("context"), I64)
    flag = d.alloca(8)
    d.diamond(d.compare(op.EQ, d.param(1), 2), lambda: d.store(flag, d.const(1)), lambda: d.store(flag, d.const(0)))
    seven = d.const(7)
    d.diamond(d.compare(op.NE, d.load(flag, I64), 0), lambda: d.helper("send_signal", seven))
    d.run(promote.run)
    assert not d.run(thread.run)


def test_a_loop_keeps_its_head() -> None:
    d = Draft()
    counter = d.alloca(8)
    d.store(counter, d.const(0))
    head, body, out = d.new_block(), d.new_block(), d.new_block()
    d.jump(head)
    d.at(head)
    d.branch(d.compare(op.ULT, d.load(counter, I64), 10), body, out)
    d.at(body)
    d.store(counter, d.add(d.load(counter, I64), 1))
    d.helper("send_signal", d.const(1))
    d.jump(head)
    d.at(out)
    d.run(promote.run)
    assert not d.run(thread.run)


def test_a_value_of_the_crossing_that_is_used_behind_it_is_right() -> None:
    d = Draft(pointer("context"), I64)
    flag = d.alloca(8)
    d.store(flag, d.const(7))
    d.diamond(d.compare(op.EQ, d.param(1), 2), None, lambda: d.store(flag, d.param(1)))
    value = d.load(flag, I64)
    d.diamond(d.compare(op.EQ, value, 7), lambda: d.helper("send_signal", d.const(1)), lambda: d.helper("send_signal", value))
    d.return_(value)
    d.run(promote.run)
    assert d.run(thread.run)
    result = d.one(op.RETURN).args[0]
    assert isinstance(result, Value)
    assert result.op == op.PHI


@pytest.mark.parametrize("seed", range(30))
def test_random_programs_stay_the_same(seed: int) -> None:
    assert_same(seed, each(promote.run, thread.run))


@pytest.mark.parametrize("seed", range(80, 120))
def test_random_programs_stay_the_same_among_other_passes(seed: int) -> None:
    assert_same(seed, each(promote.run, number.run, simplify.run, thread.run, dce.run, number.run, thread.run))
