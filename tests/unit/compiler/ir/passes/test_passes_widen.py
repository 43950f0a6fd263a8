"""widen: neighbouring constants are stored together."""

from __future__ import annotations

import pytest

from ir_passes import Draft, assert_same, each
from probee.compiler.ir import op
from probee.compiler.ir.passes import number, promote, widen
from probee.compiler.ir.type import I8, I16, I32, I64, pointer
from probee.compiler.ir.unit import Value


def stores(d: Draft) -> list[tuple[int, int, int]]:
    """Return (offset, size, number) of every store."""
    return [(value.attr, value.args[1].type.size, value.args[1].attr) for value in d.all(op.STORE)]


def record(d: Draft, size: int = 32) -> Value:
    found = d.helper("ringbuf_reserve", d.map("ring"), d.const(size), d.const(0), type=pointer("ringbuf", nullable=True))
    d.diamond(d.check_null(found), None, lambda: d.return_(d.const(0)))
    return d.non_null(found)


def test_bytes_of_a_string_become_words() -> None:
    d = Draft()
    slot = d.alloca(16)
    for offset, letter in enumerate(b"COMM\0PID"):
        d.store(slot, d.const(letter, I8), offset)
    d.lookup(slot)
    assert d.run(widen.run)
    assert stores(d) == [(0, 4, int.from_bytes(b"COMM", "little")), (4, 4, int.from_bytes(b"\0PID", "little"))]


def test_halves_of_a_small_number_become_one_store() -> None:
    d = Draft()
    slot = d.alloca(8)
    d.store(slot, d.const(5, I32))
    d.store(slot, d.const(0, I32), 4)
    d.lookup(slot)
    assert d.run(widen.run)
    assert stores(d) == [(0, 8, 5)]


def test_a_large_number_is_two_halves() -> None:
    d = Draft()
    slot = d.alloca(8)
    d.store(slot, d.const(0x1234_5678_9ABC_DEF0))
    d.lookup(slot)
    assert d.run(widen.run)
    assert stores(d) == [(0, 4, 0x9ABC_DEF0), (4, 4, 0x1234_5678)]


def test_what_is_stored_over_a_zero_is_part_of_it() -> None:
    d = Draft()
    slot = d.alloca(16)
    d.zero(slot, 16)
    d.store(slot, d.const(7, I16), 8)
    d.lookup(slot)
    assert d.run(widen.run)
    assert not d.all(op.ZERO)
    assert stores(d) == [(0, 8, 0), (8, 8, 7)]


def test_other_stores_beside_them_do_not_matter() -> None:
    d = Draft(pointer("context"), I64)
    slot = d.alloca(24)
    d.store(slot, d.const(5, I32))
    d.store(slot, d.param(1), 8)
    d.store(slot, d.const(0, I32), 4)
    d.helper("trace_printk", slot, d.const(16))
    assert d.run(widen.run)
    assert [(value.attr, value.args[1].op) for value in d.all(op.STORE)] == [(0, op.CONST), (8, op.PARAM)]


def test_a_constant_stored_over_another_value_stays_behind_it() -> None:
    d = Draft(pointer("context"), I64)
    slot = d.alloca(16)
    d.store(slot, d.const(1, I32))
    d.store(slot, d.param(1), 8)
    d.store(slot, d.const(2, I32), 8)
    d.helper("trace_printk", slot, d.const(16))
    assert not d.run(widen.run)


def test_a_read_comes_between() -> None:
    d = Draft()
    slot = d.alloca(8)
    d.store(slot, d.const(5, I32))
    d.lookup(slot)
    d.store(slot, d.const(0, I32), 4)
    d.lookup(slot)
    assert not d.run(widen.run)


def test_a_ring_record_is_ours_a_map_value_is_not() -> None:
    d = Draft()
    place = record(d)
    d.store(place, d.const(5, I32))
    d.store(place, d.const(0, I32), 4)
    d.helper("ringbuf_submit", place, d.const(0))
    assert d.run(widen.run)
    d = Draft()
    value = d.map_value("table")
    d.store(value, d.const(5, I32))
    d.store(value, d.const(0, I32), 4)
    assert not d.run(widen.run)


def test_unaligned_numbers_are_not_stored_at_once() -> None:
    d = Draft()
    slot = d.alloca(8)
    for offset in (1, 2, 3):
        d.store(slot, d.const(offset, I8), offset)
    d.helper("trace_printk", slot, d.const(8))
    assert d.run(widen.run)
    assert [(offset, size) for offset, size, _ in stores(d)] == [(1, 1), (2, 2)]


@pytest.mark.parametrize("seed", range(30))
def test_random_programs_stay_the_same(seed: int) -> None:
    assert_same(seed, each(promote.run, number.run, widen.run))
