"""dce: what nobody uses goes, what has an effect stays."""

from __future__ import annotations

import pytest

from ir_passes import Draft, assert_same, each, ops
from probee.compiler.ir import op
from probee.compiler.ir.passes import dce, promote
from probee.compiler.ir.type import I64, pointer
from probee.compiler.ir.unit import FieldAccess


def test_unused_values_go_with_what_they_are_computed_from() -> None:
    d = Draft(pointer("context"), I64)
    d.add(d.mul(d.param(1), 3), 4)
    assert d.run(dce.run)
    assert ops(d.function) == [op.RETURN]


def test_a_helper_that_only_tells_goes_another_stays() -> None:
    d = Draft()
    d.helper("get_current_pid_tgid")
    d.helper("send_signal", d.const(9))
    assert d.run(dce.run)
    assert d.one(op.HELPER).attr == "send_signal"


def test_a_slot_that_is_never_read_goes_with_its_writes() -> None:
    d = Draft()
    slot = d.alloca(16)
    d.zero(slot, 16)
    d.store(d.offset(slot, 8), d.const(1))
    assert d.run(dce.run)
    assert ops(d.function) == [op.RETURN]


def test_writes_to_a_slot_that_a_helper_reads_stay() -> None:
    d = Draft()
    slot = d.alloca(8)
    d.store(slot, d.const(1))
    d.helper("map_delete_elem", d.map("table"), slot)
    assert not d.run(dce.run)


def test_a_slot_that_only_unused_loads_read_goes() -> None:
    d = Draft()
    slot = d.alloca(8)
    d.store(slot, d.const(1))
    d.load(slot, I64)
    assert d.run(dce.run)
    assert ops(d.function) == [op.RETURN]


def test_values_that_only_use_each_other_round_a_loop_go() -> None:
    d = Draft()
    slot = d.alloca(8)
    d.store(slot, d.const(0))
    head, out = d.new_block(), d.new_block()
    d.jump(head)
    d.at(head)
    d.store(slot, d.add(d.load(slot, I64), 1))
    d.branch(d.compare(op.EQ, d.helper("ktime_get_ns"), 0), head, out)
    d.at(out)
    d.run(promote.run)
    assert d.all(op.PHI)
    assert d.run(dce.run)
    assert not d.all(op.PHI)
    assert not d.all(op.ADD)


def test_the_fields_of_removed_loads_are_forgotten() -> None:
    d = Draft()
    task = d.pointer(d.helper("get_current_task"), "kernel")
    d.load(task, I64, 8, field=FieldAccess("struct task_struct", "pid"))
    assert d.run(dce.run)
    assert not d.function.fields


@pytest.mark.parametrize("seed", range(15))
def test_random_programs_stay_the_same(seed: int) -> None:
    assert_same(seed, each(promote.run, dce.run))
