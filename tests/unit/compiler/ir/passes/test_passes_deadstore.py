"""deadstore: writes that nobody reads before the next one."""

from __future__ import annotations

import pytest

from ir_passes import Draft, assert_same, each
from probee.compiler.ir import op
from probee.compiler.ir.passes import deadstore, number, promote
from probee.compiler.ir.type import I8, I16, I64, pointer
from probee.compiler.ir.unit import Value


def zeros(d: Draft) -> list[tuple[int, int]]:
    return [value.attr for value in d.all(op.ZERO)]


def use(d: Draft, slot: Value) -> None:
    """Read 8 bytes of a slot."""
    d.lookup(slot)


def test_a_store_that_is_overwritten_goes() -> None:
    d = Draft()
    slot = d.alloca(8)
    d.store(slot, d.const(1))
    d.store(slot, d.const(2))
    use(d, slot)
    assert d.run(deadstore.run)
    assert d.one(op.STORE).args[1].attr == 2


def test_a_store_that_is_read_on_one_way_stays() -> None:
    d = Draft(pointer("context"), I64)
    slot = d.alloca(8)
    d.store(slot, d.const(1))
    d.diamond(d.compare(op.EQ, d.param(1), 0), lambda: use(d, slot))
    assert not d.run(deadstore.run)


def test_a_store_read_in_the_next_round_of_a_loop_stays() -> None:
    d = Draft()
    slot = d.alloca(8)
    d.store(slot, d.const(1))
    head, out = d.new_block(), d.new_block()
    d.jump(head)
    d.at(head)
    use(d, slot)
    d.store(slot, d.const(2))
    d.branch(d.compare(op.EQ, d.helper("ktime_get_ns"), 0), head, out)
    d.at(out)
    assert not d.run(deadstore.run)


def test_a_zero_keeps_the_words_that_are_read() -> None:
    d = Draft()
    slot = d.alloca(64)
    d.zero(slot, 64)
    d.store(slot, d.const(1), 16)
    d.store(slot, d.const(1, I16), 40)
    d.helper("trace_printk", slot, d.const(64))
    assert d.run(deadstore.run)
    assert zeros(d) == [(0, 16), (24, 40)]


def test_a_zero_that_is_filled_by_a_helper_goes() -> None:
    d = Draft()
    slot = d.alloca(16)
    d.zero(slot, 16)
    d.helper("probe_read_kernel", slot, d.const(16), d.pointer(d.const(0), "kernel"))
    d.helper("trace_printk", slot, d.const(16))
    assert d.run(deadstore.run)
    assert not zeros(d)


def test_a_zero_before_the_name_of_a_process_stays_since_some_kernels_do_not_pad_it() -> None:
    d = Draft()
    slot = d.alloca(16)
    d.zero(slot, 16)
    d.helper("get_current_comm", slot, d.const(16))
    d.helper("trace_printk", slot, d.const(16))
    assert not d.run(deadstore.run)


def test_a_zero_before_a_string_stays() -> None:
    d = Draft()
    slot = d.alloca(16)
    d.zero(slot, 16)
    d.helper("probe_read_user_str", slot, d.const(16), d.pointer(d.const(0), "user"))
    d.helper("trace_printk", slot, d.const(16))
    assert not d.run(deadstore.run)


def test_a_zero_before_a_helper_that_reads_stays() -> None:
    d = Draft()
    slot = d.alloca(16)
    d.zero(slot, 16)
    d.helper("snprintf", slot, d.const(16), d.map_value("table"), d.map_value("table"), d.const(0))
    assert not d.run(deadstore.run)


def test_only_the_bytes_of_a_key_count_as_read() -> None:
    d = Draft()
    slot = d.alloca(16)
    d.zero(slot, 16)
    use(d, slot)
    assert d.run(deadstore.run)
    assert zeros(d) == [(0, 8)]


def test_an_escaped_slot_is_left_alone() -> None:
    d = Draft()
    slot, holder = d.alloca(8), d.alloca(8)
    d.store(holder, slot)
    use(d, holder)
    d.store(slot, d.const(1))
    d.store(slot, d.const(2))
    assert not d.run(deadstore.run)


def test_a_computed_offset_reads_all_and_overwrites_nothing() -> None:
    d = Draft(pointer("context"), I64)
    slot = d.alloca(16)
    d.zero(slot, 16)
    place = d.offset(slot, d.bound(d.param(1), 8))
    d.store(place, d.const(1, I8))
    d.return_(d.zext(d.load(place, I8), I64))
    assert not d.run(deadstore.run)


@pytest.mark.parametrize("seed", range(25))
def test_random_programs_stay_the_same(seed: int) -> None:
    assert_same(seed, each(promote.run, deadstore.run, number.run, deadstore.run), far=True)
