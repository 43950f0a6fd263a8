"""Value numbering: what is computed once, what memory is known to hold, what a branch has decided; and what must stay."""

from __future__ import annotations

import pytest

from ir_generator import random_input, random_unit
from ir_interpreter import IrMachine
from ir_passes import ZERO, Draft, assert_same, each, ops
from probee.compiler.ir import op
from probee.compiler.ir.dominance import reverse_postorder
from probee.compiler.ir.passes import dce, number, promote
from probee.compiler.ir.passes.width import width_of
from probee.compiler.ir.type import I8, I32, I64, pointer
from probee.compiler.ir.unit import FieldAccess, Value, connect


def numbered(draft: Draft) -> list[str]:
    """Run the pass, then drop what it left unused; return the operations."""
    draft.run(number.run)
    draft.run(dce.run)
    return ops(draft.function)


def test_an_operation_on_the_same_values_is_computed_once() -> None:
    b = Draft(I64, I64)
    x, y = b.param(0), b.param(1)
    b.return_(b.mul(b.xor(x, y), b.xor(y, x)))
    assert numbered(b) == ["param", "param", "xor", "mul", "return"]


def test_a_value_computed_in_one_arm_is_not_there_in_the_other() -> None:
    b = Draft(I64, I64)
    x, y = b.param(0), b.param(1)
    slot = b.alloca(16)
    b.diamond(b.compare(op.ULT, x, y), lambda: b.store(slot, b.mul(x, y)), lambda: b.store(slot, b.mul(x, y), 8))
    b.helper("map_update_elem", b.map("table"), slot, slot, b.const(0))
    assert numbered(b).count("mul") == 2


def test_a_helper_whose_result_does_not_change_is_called_once() -> None:
    b = Draft()
    first = b.helper("get_current_pid_tgid")
    again = b.helper("get_current_pid_tgid")
    b.return_(b.mul(first, again))
    assert numbered(b) == ["helper", "mul", "return"]


def test_the_clock_is_read_each_time() -> None:
    b = Draft()
    b.return_(b.sub(b.helper("ktime_get_ns"), b.helper("ktime_get_ns")))
    assert numbered(b) == ["helper", "helper", "sub", "return"]


def test_a_load_takes_what_was_stored() -> None:
    b = Draft(I64)
    slot = b.alloca(16)
    b.store(slot, b.param(0), 8)
    b.helper("map_update_elem", b.map("table"), slot, slot, b.const(0))
    b.return_(b.load(slot, I64, 8))
    assert "load" not in numbered(b)


def test_a_load_inside_of_zeroed_memory_is_zero() -> None:
    b = Draft()
    slot = b.alloca(16)
    b.zero(slot, 16)
    b.helper("map_lookup_elem", b.map("table"), slot, type=pointer("map", nullable=True))
    b.return_(b.zext(b.load(slot, I32, 4), I64))
    assert "load" not in numbered(b)


@pytest.mark.parametrize("overwrite", ["store", "probe_read", "unknown"])
def test_a_load_behind_another_write_stays(overwrite: str) -> None:
    b = Draft(I64)
    slot = b.alloca(16)
    b.store(slot, b.param(0), 8)
    if overwrite == "store":
        b.store(slot, b.const(1, I8), 15)
    elif overwrite == "probe_read":
        b.helper("probe_read_kernel", slot, b.const(16), b.param(0))
    else:
        b.helper("snprintf_btf", slot, b.const(16), slot, b.const(16), b.const(0))
    b.return_(b.load(slot, I64, 8))
    assert "load" in numbered(b)


def test_a_store_to_one_slot_leaves_the_other_alone() -> None:
    b = Draft(I64)
    one, other = b.alloca(16), b.alloca(16)
    b.store(one, b.param(0))
    b.store(other, b.const(7))
    b.helper("map_update_elem", b.map("table"), one, other, b.const(0))
    b.return_(b.load(one, I64))
    assert "load" not in numbered(b)


def test_storing_what_is_there_already_is_dropped() -> None:
    b = Draft(I64)
    slot = b.alloca(8)
    for _ in range(2):
        b.store(slot, b.param(0))
        b.helper("map_lookup_elem", b.map("table"), slot, type=pointer("map", nullable=True))
    b.helper("map_delete_elem", b.map("table"), slot)
    assert numbered(b).count("store") == 1


def test_a_map_value_is_read_again_after_an_update_of_a_map() -> None:
    b = Draft(I64)
    slot = b.alloca(8)
    b.store(slot, b.param(0))
    found = b.lookup(slot)

    def read_twice() -> None:
        value = b.non_null(found)
        first = b.load(value, I64)
        b.helper("map_delete_elem", b.map("table"), slot)
        b.return_(b.sub(first, b.load(value, I64)))

    b.diamond(b.check_null(found), read_twice)
    assert numbered(b).count("load") == 2


def test_a_kernel_field_is_read_once_until_time_passes() -> None:
    b = Draft(I64)
    task = b.pointer(b.param(0), "kernel")
    first, again = b.load(task, I64, 8), b.load(task, I64, 8)
    b.helper("ktime_get_ns")
    later = b.load(task, I64, 8)
    b.return_(b.mul(b.mul(first, again), later))
    assert numbered(b).count("load") == 2


def test_loads_of_different_fields_at_one_offset_stay_apart() -> None:
    b = Draft(I64)
    task = b.pointer(b.param(0), "kernel")
    first = b.load(task, I64, 8, field=FieldAccess("struct task_struct", "a"))
    other = b.load(task, I64, 8, field=FieldAccess("struct task_struct", "b"))
    b.return_(b.mul(first, other))
    assert numbered(b).count("load") == 2
    assert len(b.function.fields) == 2


def test_a_condition_is_known_behind_the_branch_on_it() -> None:
    b = Draft(I64)
    x = b.param(0)
    slot = b.alloca(8)
    b.store(slot, b.const(0))
    b.diamond(b.compare(op.ULT, x, 9), lambda: b.store(slot, b.zext(b.compare(op.UGE, x, 9), I64)))
    b.return_(b.load(slot, I64))
    b.run(promote.run)
    assert numbered(b).count("zext") == 0


def test_a_number_is_known_where_it_was_compared_equal() -> None:
    b = Draft(I64)
    x = b.param(0)
    slot = b.alloca(8)
    b.diamond(b.compare(op.EQ, x, 5), lambda: b.store(slot, b.mul(x, x)), lambda: b.store(slot, x))
    b.helper("map_delete_elem", b.map("table"), slot)
    b.run(number.run)
    stored = [value.args[1] for value in b.all(op.STORE)]
    assert [value.attr for value in stored] == [25, 0]  # the constant, the parameter


def test_provable_operations_stay_as_many_as_they_were() -> None:
    b = Draft()
    context = b.param(0)
    first, again = b.load_context(context, I64, 8), b.load_context(context, I64, 8)
    b.return_(b.mul(b.bound(first, 7), b.bound(again, 7)))
    done = numbered(b)
    assert done.count("load_context") == 2
    assert done.count("bound") == 2


@pytest.mark.parametrize("given, want", [(5, 5), (9, 7)])
def test_the_bound_of_a_constant_is_one(given: int, want: int) -> None:
    b = Draft()
    b.return_(b.bound(b.const(given), 7))
    assert numbered(b) == ["return"]
    assert b.one(op.RETURN).args[0].attr == want


@pytest.mark.parametrize("seed", range(60))
def test_random_programs_stay_the_same(seed: int) -> None:
    assert_same(seed, each(promote.run, number.run), far=True)


class _Watching(IrMachine):
    """Checks every value computed against the width that it was said to have."""

    widths: dict[Value, int]

    def _evaluate(self, value: Value, args: list[int]) -> int:
        result = super()._evaluate(value, args)
        number = result & ((1 << value.type.bits) - 1)
        assert number.bit_length() <= self.widths[value], value
        return result


@pytest.mark.parametrize("seed", range(40))
def test_no_value_is_wider_than_its_width(seed: int) -> None:
    import random

    unit = random_unit(seed, size=40)
    widths: dict[Value, int] = {}
    for function in unit.programs[0].functions:
        connect(function)
        for block in reverse_postorder(function):
            for value in block.values:
                widths[value] = width_of(value, widths)
    machine = _Watching(unit.programs[0].functions, unit.maps)
    machine.widths = widths
    machine.set("data", ZERO, random_input(random.Random(seed)))
    machine.run(bytes(64))


def copied(d: Draft, *, known: bool) -> list[str]:
    """Fill a slot, copy it into another, and give that away; return the operations that number leaves."""
    own, other = d.alloca(16), d.alloca(16)
    d.store(own, d.param(1))
    if known:
        d.zero(own, 8, 8)
    else:
        d.helper("get_current_comm", own, d.const(16))
    d.copy(other, own, 16)
    d.helper("trace_printk", other, d.const(16))
    d.run(number.run)
    return ops(d.function)


def test_a_copy_of_what_is_known_becomes_stores() -> None:
    d = Draft(pointer("context"), I64)
    left = copied(d, known=True)
    assert op.COPY not in left
    assert [value.attr for value in d.all(op.STORE)] == [0, 0]
    assert [value.attr for value in d.all(op.ZERO)] == [(8, 8), (8, 8)]


def test_a_copy_of_what_a_helper_wrote_stays_one() -> None:
    assert op.COPY in copied(Draft(pointer("context"), I64), known=False)


def test_a_copy_of_many_small_parts_stays_one() -> None:
    d = Draft(pointer("context"), I8)
    own, other = d.alloca(8), d.alloca(8)
    for at in range(8):
        d.store(own, d.add(d.param(1), at), at)
    d.copy(other, own, 8)
    d.helper("trace_printk", other, d.const(8))
    d.run(number.run)
    assert d.all(op.COPY)
