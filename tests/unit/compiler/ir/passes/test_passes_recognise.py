"""recognise: reads on the way to an argument whose type the kernel must know are loads that it follows."""

from __future__ import annotations

import pytest

from ir_passes import Draft
from probee.compiler.ir import op
from probee.compiler.ir.passes import promote, recognise
from probee.compiler.ir.type import I64, pointer
from probee.compiler.ir.unit import Value
from probee.model.spec import ProgramType

KERNEL = pointer("kernel")


def draft(type: int = ProgramType.TRACING) -> Draft:
    d = Draft()
    d.unit.programs[0].type = type
    return d


def meta(d: Draft) -> Value:
    """The first member of an iterator's context."""
    return d.load_context(d.param(0), KERNEL, 0)


def seq_write(d: Draft, seq: Value) -> Value:
    slot = d.alloca(8)
    return d.helper("seq_write", seq, slot, d.const(8))


def test_a_pointer_that_is_read_out_of_the_context_is_loaded() -> None:
    d = draft()
    read = d.load(meta(d), KERNEL, 8)
    seq_write(d, read)
    assert d.run(recognise.run)
    assert (read.op, read.attr) == (op.LOAD_TRUSTED, 8)


def test_every_read_on_the_way_is_loaded_and_no_other() -> None:
    d = draft()
    first = meta(d)
    middle = d.load(d.offset(first, 16), KERNEL, 8)
    last, other = d.load(middle, KERNEL, 24), d.load(middle, I64, 32)
    seq_write(d, last)
    assert d.run(recognise.run)
    assert [value.op for value in (middle, last, other)] == [op.LOAD_TRUSTED, op.LOAD_TRUSTED, op.LOAD]


def test_a_number_that_was_a_pointer_is_followed_too() -> None:
    d = draft()
    read = d.load(meta(d), I64, 8)
    seq_write(d, d.pointer(read, "kernel"))
    assert d.run(recognise.run)
    assert read.op == op.LOAD_TRUSTED


def test_what_a_helper_knows_the_type_of_is_a_beginning_in_any_program() -> None:
    d = draft(ProgramType.KPROBE)
    parent = d.load(d.helper("get_current_task_btf", type=KERNEL), KERNEL, 8)
    d.helper("task_pt_regs", parent, type=KERNEL)
    assert d.run(recognise.run)
    assert parent.op == op.LOAD_TRUSTED


@pytest.mark.parametrize("type", [ProgramType.KPROBE, ProgramType.PERF_EVENT])
def test_registers_are_no_beginning(type: int) -> None:
    d = draft(type)
    read = d.load(meta(d), KERNEL, 8)
    d.helper("get_task_stack", read, d.alloca(64), d.const(64), d.const(0))
    assert not d.run(recognise.run)
    assert read.op == op.LOAD


def test_a_way_with_a_computed_part_stays_as_it_is() -> None:
    d = draft()
    moved = d.offset(meta(d), d.helper("get_current_pid_tgid"))
    read = d.load(moved, KERNEL, 8)
    seq_write(d, read)
    assert not d.run(recognise.run)
    assert read.op == op.LOAD


def test_other_arguments_are_read_as_ever() -> None:
    d = draft()
    read = d.load(meta(d), KERNEL, 8)
    d.helper("probe_read_kernel", d.alloca(8), d.const(8), read)
    assert not d.run(recognise.run)
    assert read.op == op.LOAD


def test_both_ways_to_a_pointer_are_followed() -> None:
    d = draft()
    first, reads = meta(d), []
    slot = d.alloca(8)

    def write(offset: int) -> None:
        reads.append(d.load(first, KERNEL, offset))
        d.store(slot, reads[-1])

    d.diamond(d.compare(op.EQ, d.helper("get_current_pid_tgid"), 0), lambda: write(8), lambda: write(16))
    seq_write(d, d.load(slot, KERNEL, 0))
    assert d.run(promote.run)
    assert d.run(recognise.run)
    assert [read.op for read in reads] == [op.LOAD_TRUSTED, op.LOAD_TRUSTED]
