"""simplify: control flow."""

from __future__ import annotations

import pytest

from ir_passes import Draft, assert_same, each, ops
from probee.compiler.ir import op
from probee.compiler.ir.passes import promote, simplify
from probee.compiler.ir.type import BOOL, I64, pointer
from probee.compiler.ir.unit import Value


def test_a_branch_on_a_constant_goes_one_way() -> None:
    d = Draft()
    d.diamond(d.const(0, BOOL), lambda: d.helper("ktime_get_ns"), lambda: d.helper("jiffies64"))
    assert d.run(simplify.run)
    assert ops(d.function) == [op.HELPER, op.RETURN]
    assert d.one(op.HELPER).attr == "jiffies64"


def test_a_negated_condition_swaps_the_ways() -> None:
    d = Draft(pointer("context"), I64)
    test = d.compare(op.EQ, d.param(1), 0)
    d.diamond(d.emit(op.XOR, BOOL, [test, d.const(1, BOOL)]), lambda: d.return_(d.const(1)), lambda: d.return_(d.const(2)))
    assert d.run(simplify.run)
    branch = d.one(op.BRANCH)
    assert branch.args == [test]
    assert branch.attr[0].values[-1].args[0].attr == 2


def test_empty_blocks_are_skipped_and_lines_become_one_block() -> None:
    d = Draft()
    for _ in range(3):
        following = d.new_block()
        d.jump(following)
        d.at(following)
    assert d.run(simplify.run)
    assert len(d.function.blocks) == 1


def test_both_ways_to_one_block_are_one() -> None:
    d = Draft(pointer("context"), I64)
    d.diamond(d.compare(op.EQ, d.param(1), 0))
    assert d.run(simplify.run)
    assert not d.all(op.BRANCH)


def test_phis_that_say_the_same_are_one() -> None:
    d = Draft(pointer("context"), I64)
    one, two = d.const(1), d.const(2)
    d.diamond(d.compare(op.EQ, d.param(1), 0))
    first, second = Value(op.PHI, I64, [one, two]), Value(op.PHI, I64, [one, two])
    d.block.values[:0] = [first, second]
    d.return_(d.add(first, second))
    d.run(simplify.run)
    assert d.one(op.ADD).args == [d.one(op.PHI)] * 2


def test_both_ways_with_different_phi_arguments_stay() -> None:
    d = Draft(pointer("context"), I64)
    one, two = d.const(1), d.const(2)
    d.diamond(d.compare(op.EQ, d.param(1), 0))
    phi = Value(op.PHI, I64, [one, two])
    d.block.values.insert(0, phi)
    d.return_(phi)
    d.run(simplify.run)
    assert d.one(op.PHI).args in ([one, two], [two, one])
    assert d.one(op.BRANCH)


def test_a_phi_of_one_value_is_that_value() -> None:
    d = Draft(pointer("context"), I64)
    number = d.param(1)
    d.diamond(d.compare(op.EQ, number, 0), lambda: d.helper("jiffies64"))
    phi = Value(op.PHI, I64, [number, number])
    d.block.values.insert(0, phi)
    d.return_(phi)
    assert d.run(simplify.run)
    assert d.one(op.RETURN).args == [number]


def test_a_join_that_only_feeds_another_join_goes() -> None:
    d = Draft(pointer("context"), I64)
    x, flag = d.param(1), d.alloca(8)
    d.store(flag, d.const(1))

    def inner() -> None:
        d.diamond(d.compare(op.EQ, x, 10), lambda: d.store(flag, d.const(2)), lambda: d.store(flag, d.const(3)))

    d.diamond(d.compare(op.EQ, x, 2), None, inner)
    d.return_(d.load(flag, I64))
    d.run(promote.run)
    assert len(d.all(op.PHI)) == 2
    assert d.run(simplify.run)
    assert sorted(arg.attr for arg in d.one(op.PHI).args) == [1, 2, 3]


def test_the_proof_of_a_pointer_stays_in_front_of_a_loop() -> None:
    d = Draft()
    slot = d.alloca(8)
    d.store(slot, d.const(0))
    found = d.lookup(slot)
    head, out = d.new_block(), d.new_block()
    proved = d.new_block()
    d.branch(d.check_null(found), proved, out)
    d.at(proved)
    d.jump(head)
    d.at(head)
    d.atomic("add", d.non_null(found), d.const(1))
    d.branch(d.compare(op.EQ, d.helper("ktime_get_ns"), 0), head, out)
    d.at(out)
    d.run(simplify.run)  # verify fails when the proof is gone


@pytest.mark.parametrize("seed", range(25))
def test_random_programs_stay_the_same(seed: int) -> None:
    assert_same(seed, each(promote.run, simplify.run))
