"""An object for the very kernel it is compiled for reads neighbouring fields at once; one for others keeps each to itself."""

from __future__ import annotations

import pytest

from probee.compiler.compile import compile
from probee.formats.insn.symbolic import symbolic
from probee.formats.target import FileTarget

PROBE_READ_KERNEL = 113
SCRIPT = """kprobe:do_exit {
    $parent = (struct task_struct *)curtask->real_parent;
    @[$parent->pid, $parent->tgid, $parent->exit_code] = count();
}"""


def reads(target: FileTarget, *, local: bool) -> tuple[int, int]:
    """Return how many probe reads there are, and how many relocations of fields."""
    (program,) = compile(SCRIPT, target, {"local": local}).programs
    calls = [insn for insn in symbolic(program) if insn.op == 0x85 and insn.src == 0 and insn.imm == PROBE_READ_KERNEL]
    return len(calls), len(program.field_relocations)


def test_neighbouring_fields_are_read_at_once_when_the_object_stays_here(target: FileTarget) -> None:
    n_reads, n_relocations = reads(target, local=False)
    n_local_reads, n_local_relocations = reads(target, local=True)
    assert n_local_reads == n_reads - 2
    assert n_local_relocations == n_relocations - 3


@pytest.mark.parametrize("local", [False, True])
def test_the_object_says_whether_it_must_stay(target: FileTarget, local: bool) -> None:
    assert bool(compile("BEGIN { }", target, {"local": local}).options.get("local")) == local
