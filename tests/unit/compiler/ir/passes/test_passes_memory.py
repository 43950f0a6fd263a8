"""memory: reads of kernel and user memory become calls, large clears and copies too."""

from __future__ import annotations

import pytest

from ir_passes import Draft, assert_same, each
from probee.compiler.ir import op
from probee.compiler.ir.passes import promote
from probee.compiler.ir.passes.memory import COPY_INLINE, ZERO_INLINE, memory
from probee.compiler.ir.type import I16, I64, pointer
from probee.compiler.ir.unit import FieldAccess, Unit, Value
from probee.compiler.ir.verify import verify
from probee.model.spec import ProgramType


def lowered(d: Draft) -> Draft:
    d.return_(d.const(0))
    verify(memory(verify(d.unit)))
    return d


def far(d: Draft, space: str = "kernel") -> Value:
    return d.pointer(d.helper("get_current_task"), space)


def reads(d: Draft) -> list[Value]:
    return [value for value in d.all(op.HELPER) if value.attr != "get_current_task"]


@pytest.mark.parametrize("space", ["kernel", "user"])
def test_a_load_reads_into_a_buffer_of_the_stack(space: str) -> None:
    d = Draft()
    value = d.load(far(d, space), I16, 20)
    lowered(d)
    (read,) = reads(d)
    assert read.attr == ("probe_read_kernel" if space == "kernel" else "probe_read_user")
    assert read.args[1].attr == 2
    assert read.args[2].op == op.OFFSET
    assert value.args == [read.args[0]]
    assert value.args[0].op == op.ALLOCA


def test_without_the_feature_the_old_helper_is_called() -> None:
    d = Draft()
    d.unit.features = frozenset()
    d.load(far(d), I16)
    lowered(d)
    assert reads(d)[0].attr == "probe_read"


def test_the_offset_of_a_field_stays_an_instruction_of_its_own_even_when_it_is_zero() -> None:
    d = Draft()
    field = FieldAccess("struct task_struct", "state")
    d.load(far(d), I64, 0, field=field)
    lowered(d)
    offset = reads(d)[0].args[2]
    assert offset.op == op.OFFSET
    assert d.function.fields == {offset: field}


def test_all_loads_share_one_buffer() -> None:
    d = Draft()
    base = far(d)
    for offset in range(3):
        d.load(base, I64, 8 * offset)
    lowered(d)
    assert len(d.all(op.ALLOCA)) == 1


def test_a_copy_reads_to_its_destination() -> None:
    d = Draft()
    slot = d.alloca(32)
    d.copy(slot, far(d), 20, to_offset=4, from_offset=8)
    lowered(d)
    (read,) = reads(d)
    assert [arg.op for arg in read.args] == [op.OFFSET, op.CONST, op.OFFSET]
    assert read.args[1].attr == 20
    assert not d.all(op.COPY)


@pytest.mark.parametrize("extra", [0, 1])
def test_large_memory_of_ours_is_cleared_and_copied_by_a_call(extra: int) -> None:
    d = Draft()
    left, right = d.alloca(512), d.alloca(512)
    d.zero(left, ZERO_INLINE + extra)
    d.copy(right, left, COPY_INLINE + extra)
    lowered(d)
    assert len(reads(d)) == 2 * extra
    assert len(d.all(op.ZERO)) + len(d.all(op.COPY)) == 2 - 2 * extra


@pytest.mark.parametrize("why", ["license", "type"])
def test_not_where_that_call_is_refused(why: str) -> None:
    d = Draft()
    d.zero(d.alloca(512), 512)
    if why == "license":
        d.unit.options["license"] = "MIT"
    else:
        d.unit.programs[0].type = ProgramType.XDP
    lowered(d)
    assert not reads(d)


def test_packets_are_copied_by_plain_loads() -> None:
    d = Draft(pointer("context"))
    d.unit.programs[0].type = ProgramType.KPROBE
    packet = d.load_context(d.param(0), pointer("packet"), 0)
    d.copy(d.alloca(256), packet, 200)
    lowered(d)
    assert d.one(op.COPY)


@pytest.mark.parametrize("seed", range(30))
def test_random_programs_stay_the_same(seed: int) -> None:
    def run(unit: Unit) -> Unit:
        return memory(each(promote.run)(unit))

    unit = assert_same(seed, run, far=True)
    for function in unit.programs[0].functions:
        for block in function.blocks:
            assert all(value.op != op.LOAD or value.args[0].type.space != "kernel" for value in block.values)
