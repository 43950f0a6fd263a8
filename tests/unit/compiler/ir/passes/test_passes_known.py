"""known: what a branch above has decided."""

from __future__ import annotations

import pytest

from ir_passes import Draft, assert_same, each, ops
from probee.compiler.ir import op
from probee.compiler.ir.passes import known, promote
from probee.compiler.ir.passes.fact import Facts
from probee.compiler.ir.pipeline import optimise
from probee.compiler.ir.type import BOOL, I64, pointer
from probee.compiler.ir.unit import Value


def decided(first: str, holds: bool, second: str, number: int) -> int | None:
    """Return what `x second number` is known to be where `x first 10` holds, or not."""
    d = Draft(pointer("context"), I64)
    x = d.param(1)
    inner: list[Value] = []

    def test() -> None:
        inner.append(d.compare(second, x, number))
        d.helper("trace_printk", d.zext(inner[0], I64))

    d.diamond(d.compare(first, x, 10), test if holds else None, None if holds else test)
    d.run(known.run)
    return inner[0].attr if inner[0].op == op.CONST else None


@pytest.mark.parametrize(
    ("first", "holds", "second", "number", "want"),
    [
        (op.EQ, True, op.EQ, 10, 1), (op.EQ, True, op.NE, 10, 0), (op.EQ, False, op.EQ, 10, 0), (op.EQ, False, op.NE, 10, 1),
        (op.ULT, True, op.UGE, 10, 0), (op.ULT, False, op.ULT, 10, 0), (op.SGT, True, op.SLE, 10, 0),
        (op.EQ, True, op.EQ, 11, 0), (op.EQ, True, op.ULT, 12, 1), (op.NE, False, op.UGT, 12, 0),
        (op.EQ, False, op.EQ, 11, None), (op.ULT, True, op.SLT, 10, None), (op.ULT, True, op.ULT, 9, None),
    ],
)  # fmt: skip
def test_a_comparison_below_a_branch(first: str, holds: bool, second: str, number: int, want: int | None) -> None:
    assert decided(first, holds, second, number) == want


def test_a_pointer_is_not_checked_twice() -> None:
    d = Draft()
    slot = d.alloca(8)
    d.store(slot, d.const(0))
    found = d.lookup(slot)
    d.diamond(
        d.check_null(found),
        lambda: d.diamond(d.check_null(found), lambda: d.atomic("add", d.non_null(found), d.const(1))),
    )
    assert d.run(known.run)
    assert len(d.all(op.CHECK_NULL)) == 1


def test_what_is_known_on_one_way_is_not_known_where_both_join() -> None:
    d = Draft(pointer("context"), I64)
    test = d.compare(op.EQ, d.param(1), 0)
    d.diamond(test, lambda: d.helper("jiffies64"))
    d.diamond(test, lambda: d.helper("ktime_get_ns"))
    assert not d.run(known.run)


def test_a_packet_check_is_no_fact() -> None:
    context = Draft().param(0)
    data = Value(op.LOAD_CONTEXT, pointer("packet"), [context], 0)
    end = Value(op.LOAD_CONTEXT, pointer("packet_end"), [context], 4)
    check = Value(op.CHECK_PACKET, BOOL, [data, end], 14)
    facts = Facts()
    facts.learn(check, True)
    assert facts.lookup(check) is None


def test_undo_brings_back_what_was_known_before() -> None:
    condition = Value(op.PHI, BOOL, [])
    facts = Facts()
    facts.learn(condition, True)
    mark = facts.mark()
    facts.learn(condition, False)
    assert facts.lookup(condition) is False
    facts.undo(mark)
    assert facts.lookup(condition) is True
    facts.undo(0)
    assert facts.lookup(condition) is None


def test_a_bool_used_in_its_own_arm_is_a_constant() -> None:
    d = Draft(pointer("context"), I64)
    test = d.compare(op.ULT, d.param(1), 5)
    d.diamond(test, lambda: d.return_(d.zext(test, I64)))
    assert d.run(known.run)
    assert d.one(op.ZEXT).args[0].op == op.CONST
    assert ops(d.function).count(op.ULT) == 1


@pytest.mark.parametrize("seed", range(25))
def test_random_programs_stay_the_same(seed: int) -> None:
    assert_same(seed, each(promote.run, known.run))


def test_a_pointer_that_was_compared_with_null_is_not_compared_again() -> None:
    """if (p == 0) return; if (p != 0) …: in C's words first, then as a check."""
    d = Draft()
    key = d.alloca(8)
    d.store(key, d.const(1))
    found = d.lookup(key)
    d.diamond(d.compare(op.EQ, found, d.null("map")), lambda: d.return_(d.const(0)), None)
    d.diamond(d.check_null(found), lambda: d.store(d.claim_non_null(found), d.const(7)), None)
    d.return_(d.const(1))
    optimise(d.unit)
    assert ops(d.function).count(op.BRANCH) == 1
    assert len(d.all(op.STORE)) == 2
