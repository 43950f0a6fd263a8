"""promote: slots become values."""

from __future__ import annotations

import pytest

from ir_passes import Draft, assert_same, each
from probee.compiler.ir import op
from probee.compiler.ir.passes import promote
from probee.compiler.ir.type import I8, I32, I64, pointer


def test_a_slot_stored_once_becomes_the_value() -> None:
    d = Draft(pointer("context"), I64)
    slot, number = d.alloca(8), d.param(1)
    d.store(slot, number)
    d.return_(d.load(slot, I64))
    assert d.run(promote.run)
    assert d.one(op.RETURN).args == [number]
    assert not d.all(op.ALLOCA)


def test_two_ways_join_in_a_phi() -> None:
    d = Draft(pointer("context"), I64)
    slot, number = d.alloca(8), d.param(1)
    d.store(slot, d.const(1))
    d.diamond(d.compare(op.EQ, number, 0), lambda: d.store(slot, number))
    d.return_(d.load(slot, I64))
    assert d.run(promote.run)
    phi = d.one(op.PHI)
    assert {arg.op for arg in phi.args} == {op.CONST, op.PARAM}
    assert d.one(op.RETURN).args == [phi]


def test_a_loop_that_does_not_change_a_slot_needs_no_phi() -> None:
    d = Draft(pointer("context"), I64)
    kept, counter = d.alloca(8), d.alloca(8)
    d.store(kept, d.param(1))
    d.store(counter, d.const(0))
    head, body, out = d.new_block(), d.new_block(), d.new_block()
    d.jump(head)
    d.at(head)
    d.branch(d.compare(op.ULT, d.load(counter, I64), 10), body, out)
    d.at(body)
    d.store(counter, d.add(d.load(counter, I64), d.load(kept, I64)))
    d.jump(head)
    d.at(out)
    d.return_(d.load(kept, I64))
    assert d.run(promote.run)
    assert len(d.all(op.PHI)) == 1
    assert d.one(op.RETURN).args[0].op == op.PARAM


def test_a_slot_read_before_it_is_written_is_undefined() -> None:
    d = Draft()
    d.return_(d.load(d.alloca(8), I64))
    assert d.run(promote.run)
    assert d.one(op.RETURN).args[0].op == op.UNDEF


@pytest.mark.parametrize("spoil", ["address", "part", "types", "zero"])
def test_a_slot_used_as_memory_stays(spoil: str) -> None:
    d = Draft()
    slot = d.alloca(8)
    d.store(slot, d.const(1))
    if spoil == "address":
        d.lookup(slot)
    elif spoil == "part":
        d.load(slot, I8, 1)
    elif spoil == "types":
        d.load(slot, I32)
    else:
        d.zero(slot, 8)
    d.return_(d.load(slot, I64))
    assert not d.run(promote.run)


def test_an_address_that_is_stored_keeps_its_slot() -> None:
    d = Draft()
    slot, holder = d.alloca(8), d.alloca(8)
    d.store(slot, d.const(1))
    d.store(holder, slot)
    d.lookup(holder)
    assert not d.run(promote.run)
    assert len(d.all(op.ALLOCA)) == 2


@pytest.mark.parametrize("seed", range(15))
def test_random_programs_stay_the_same(seed: int) -> None:
    assert_same(seed, each(promote.run))


NULLABLE = pointer("map", nullable=True)


def test_a_variable_holds_pointers_that_may_be_null_and_such_that_may_not() -> None:
    """p = lookup(a); if (!p) p = &data; *p: a phi of both, which may be null as far as types go."""
    d = Draft()
    key, variable = d.alloca(8), d.alloca(8)
    d.store(key, d.const(1))
    d.store(variable, d.lookup(key))
    known = d.map_value("table")
    d.diamond(d.check_null(d.load(variable, NULLABLE)), None, lambda: d.store(variable, known))
    d.return_(d.load(d.claim_non_null(d.load(variable, NULLABLE)), I64))
    assert d.run(promote.run)
    joined = d.one(op.PHI)
    assert joined.type is NULLABLE
    assert known in joined.args


def test_a_variable_read_as_a_proved_pointer_must_hold_such() -> None:
    d = Draft()
    key, variable = d.alloca(8), d.alloca(8)
    d.store(key, d.const(1))
    d.store(variable, d.lookup(key))
    d.return_(d.load(d.load(variable, pointer("map")), I64))
    d.run(promote.run)
    assert variable in d.all(op.ALLOCA)


def test_one_that_always_does_is_promoted_however_it_is_read() -> None:
    d = Draft(pointer("context"), I64)
    variable = d.alloca(8)
    known, other = d.map_value("table"), d.map_value("table", 8)
    d.store(variable, known)
    d.diamond(d.compare(op.EQ, d.param(1), 0), lambda: d.store(variable, other), None)
    d.check_null(d.load(variable, NULLABLE))
    d.return_(d.load(d.load(variable, pointer("map")), I64))
    assert d.run(promote.run)
    assert d.one(op.PHI).type is pointer("map")


def test_pointers_to_different_memory_share_no_variable() -> None:
    d = Draft()
    variable = d.alloca(8)
    d.store(variable, d.map_value("table"))
    d.store(variable, d.alloca(8))
    d.check_null(d.load(variable, NULLABLE))
    d.run(promote.run)
    assert variable in d.all(op.ALLOCA)
