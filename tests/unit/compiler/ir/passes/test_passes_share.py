"""share: slots that are never needed at once are one slot."""

from __future__ import annotations

import pytest

from ir_passes import Draft, assert_same, each
from probee.compiler.ir import op
from probee.compiler.ir.passes import promote
from probee.compiler.ir.passes.share import share_allocas
from probee.compiler.ir.type import I64, pointer
from probee.compiler.ir.unit import Function, Unit, Value


def share(function: Function, unit: Unit) -> bool:
    return share_allocas(function)


def use(d: Draft, slot: Value) -> None:
    d.store(slot, d.const(1))
    d.helper("map_delete_elem", d.map("table"), slot)


def test_one_after_the_other_is_one_slot_of_the_larger_size_and_alignment() -> None:
    d = Draft()
    small, large = d.alloca(8, 8), d.alloca(24, 4)
    use(d, small)
    use(d, large)
    assert d.run(share)
    slot = d.one(op.ALLOCA).attr
    assert (slot.size, slot.align) == (24, 8)


def test_both_needed_at_once_stay_two() -> None:
    d = Draft()
    left, right = d.alloca(8), d.alloca(8)
    d.store(left, d.const(1))
    use(d, right)
    d.helper("map_delete_elem", d.map("table"), left)
    assert not d.run(share)


def test_arms_of_a_branch_share() -> None:
    d = Draft(pointer("context"), I64)
    left, right = d.alloca(8), d.alloca(8)
    d.diamond(d.compare(op.EQ, d.param(1), 0), lambda: use(d, left), lambda: use(d, right))
    assert d.run(share)


def test_a_loop_needs_what_it_will_read_in_its_next_round() -> None:
    d = Draft()
    kept, other = d.alloca(8), d.alloca(8)
    d.store(kept, d.const(1))
    head, out = d.new_block(), d.new_block()
    d.jump(head)
    d.at(head)
    d.helper("map_delete_elem", d.map("table"), kept)
    use(d, other)
    d.branch(d.compare(op.EQ, d.helper("ktime_get_ns"), 0), head, out)
    d.at(out)
    assert not d.run(share)


def test_an_address_that_is_kept_shares_with_nobody() -> None:
    d = Draft()
    kept, holder, later = d.alloca(8), d.alloca(8), d.alloca(8)
    d.store(holder, kept)
    d.helper("map_delete_elem", d.map("table"), holder)
    use(d, later)
    d.run(share)
    assert kept in d.all(op.ALLOCA)
    assert len(d.all(op.ALLOCA)) == 2


def test_a_computed_pointer_counts_as_the_slot() -> None:
    d = Draft()
    left, right = d.alloca(16), d.alloca(16)
    place = d.offset(left, 8)
    d.store(place, d.const(1))
    use(d, right)
    d.helper("map_delete_elem", d.map("table"), place)
    assert not d.run(share)


@pytest.mark.parametrize("seed", range(20))
def test_random_programs_stay_the_same(seed: int) -> None:
    assert_same(seed, each(promote.run, share))
