"""combine: neighbouring kernel fields are read at once."""

from __future__ import annotations

import pytest

from ir_passes import Draft, assert_same, each
from probee.compiler.ir import op
from probee.compiler.ir.passes import combine, number, promote
from probee.compiler.ir.passes.memory import memory
from probee.compiler.ir.type import I16, I32, I64
from probee.compiler.ir.unit import FieldAccess, Unit, Value


def task(d: Draft) -> Value:
    return d.pointer(d.helper("get_current_task"), "kernel")


def test_two_fields_are_one_copy() -> None:
    d = Draft()
    base = task(d)
    first, second = d.load(base, I32, 20), d.load(d.offset(base, 8), I64, 16)
    assert d.run(combine.run)
    copy = d.one(op.COPY)
    assert copy.attr == (4, 20, 12)
    assert copy.args[1] is base
    assert (first.attr, second.attr) == (4, 8), "as aligned as they were"
    assert first.args == second.args == [d.one(op.ALLOCA)]
    assert d.one(op.ALLOCA).attr.size == 16


def test_what_is_far_apart_stays_apart() -> None:
    d = Draft()
    base = task(d)
    for offset in (0, 60, 64, 1000):
        d.load(base, I32, offset)
    assert d.run(combine.run)
    assert sorted(copy.attr[1:] for copy in d.all(op.COPY)) == [(0, 64)]


@pytest.mark.parametrize("between", ["ktime_get_ns", "send_signal"])
def test_time_passes_between(between: str) -> None:
    d = Draft()
    base = task(d)
    d.load(base, I32, 0)
    d.helper(between, d.const(9))
    d.load(base, I32, 8)
    assert not d.run(combine.run)


def test_stores_of_ours_do_not_matter() -> None:
    d = Draft()
    base, slot = task(d), d.alloca(8)
    d.store(slot, d.load(base, I64, 0))
    d.lookup(slot)
    d.store(slot, d.load(base, I64, 8))
    d.lookup(slot)
    assert d.run(combine.run)


def test_user_memory_is_left_alone() -> None:
    d = Draft()
    base = d.pointer(d.helper("get_current_task"), "user")
    d.load(base, I32, 0)
    d.load(base, I32, 4)
    assert not d.run(combine.run)


def test_two_bases_are_two_reads() -> None:
    d = Draft()
    base = task(d)
    other = d.pointer(d.load(base, I64, 0), "kernel")
    d.load(other, I64, 8)
    assert not d.run(combine.run)


def test_relocated_fields_are_combined_for_this_kernel_only() -> None:
    d = Draft()
    base = task(d)
    for offset, name in ((0, "pid"), (4, "tgid")):
        d.load(base, I32, offset, field=FieldAccess("struct task_struct", name))
    assert not d.run(combine.run)
    d.unit.options["local"] = True
    assert d.run(combine.run)
    assert not d.function.fields


@pytest.mark.parametrize("seed", range(25))
def test_random_programs_stay_the_same(seed: int) -> None:
    def run(unit: Unit) -> Unit:
        return memory(each(promote.run, number.run, combine.run)(unit))

    unit = assert_same(seed, run, far=True)
    assert not any(value.op == op.LOAD and value.args[0].type.space == "kernel" for value in _values(unit))


def _values(unit: Unit) -> list[Value]:
    return [value for function in unit.programs[0].functions for block in function.blocks for value in block.values]


def test_reads_of_one_block_only() -> None:
    d = Draft()
    base = task(d)
    d.diamond(d.compare(op.EQ, d.load(base, I16, 0), 0), lambda: d.load(base, I16, 2))
    assert not d.run(combine.run)
