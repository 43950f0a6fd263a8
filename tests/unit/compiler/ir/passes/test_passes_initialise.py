"""initialise: what is read at a variable distance has been written, as far as the verifier sees."""

from __future__ import annotations

from ir_passes import Draft
from probee.compiler.ir import op
from probee.compiler.ir.passes import initialise
from probee.compiler.ir.type import I8, I64, pointer


def draft() -> Draft:
    return Draft(pointer("context"), I64)


def read_at(d: Draft, slot: object) -> None:
    at = d.bound(d.param(1), 63)
    d.return_(d.zext(d.load(d.offset(slot, at), I8), I64))  # type: ignore[arg-type]


def test_a_slot_that_is_written_in_part_is_cleared_before() -> None:
    d = draft()
    slot = d.alloca(64)
    d.helper("get_current_comm", slot, d.const(16))
    read_at(d, slot)
    assert d.run(initialise.run)
    values = d.function.entry.values
    assert values.index(d.one(op.ZERO)) < values.index(d.one(op.HELPER))
    assert d.one(op.ZERO).attr == (0, 64)


def test_one_that_a_helper_fills_is_not() -> None:
    d = draft()
    slot = d.alloca(64)
    d.helper("probe_read_user_str", slot, d.const(64), d.pointer(d.param(1), "user"))
    read_at(d, slot)
    assert not d.run(initialise.run)


def test_one_that_is_copied_whole_is_not() -> None:
    d = draft()
    slot = d.alloca(64)
    d.copy(slot, d.pointer(d.param(1), "kernel"), 64)
    read_at(d, slot)
    assert not d.run(initialise.run)


def test_one_that_is_read_at_known_places_is_not() -> None:
    d = draft()
    slot = d.alloca(64)
    d.helper("get_current_comm", slot, d.const(16))
    d.return_(d.zext(d.load(slot, I8, 40), I64))
    assert not d.run(initialise.run)


def test_what_a_loop_keeps_from_turn_to_turn_is_not_cleared_in_it() -> None:
    d = draft()
    slot = d.alloca(64)
    head, out = d.new_block(), d.new_block()
    d.jump(head)
    d.at(head)
    place = d.offset(slot, d.bound(d.param(1), 63))
    before = d.load(place, I8)
    d.store(place, d.add(before, 1))
    d.branch(d.compare(op.ULT, before, 9), head, out)
    d.at(out)
    d.return_(d.const(0))
    assert d.run(initialise.run)
    assert d.one(op.ZERO) in d.function.entry.values
