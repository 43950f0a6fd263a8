"""Programs and maps for tests, written in assembly: what a compiler would hand to the loader."""

from __future__ import annotations

import os

from probee.formats.insn.assemble import assemble
from probee.formats.insn.encode import encode, relocations
from probee.formats.insn.ref import ConstRef, MapRef, MapValueRef
from probee.model.spec import MapSpec, MapType, ObjectSpec, ProgramSpec, Relocation

NOTHING = ObjectSpec(programs=(), maps=(), links=())

COUNTER = MapSpec("counter", MapType.ARRAY, 4, 8, 1, role="loss")

# Counts runs in the thread group `pid`; runs of everybody else cost three instructions.
COUNT_OWN = """
    r6 = r1
    call get_current_pid_tgid
    r0 >>= 32
    r1 = const[pid] ll
    if r0 != r1 goto out
    r1 = map_value[counter]+0 ll
    r2 = 1
    lock *(u64 *)(r1 + 0) += r2
out:
    r0 = 0
    exit
"""
COUNT_ALL = """
    r1 = map_value[counter]+0 ll
    r2 = 1
    lock *(u64 *)(r1 + 0) += r2
    r0 = 0
    exit
"""
OWN_PID = {"pid": os.getpid()}


def program(text: str, type: int, **options: object) -> ProgramSpec:
    """Assemble a ProgramSpec; references in the listing become relocations."""
    insns = assemble(text)
    found = tuple(_relocation(slot, ref) for slot, ref in relocations(insns))
    options.setdefault("name", "probee_test")
    return ProgramSpec(type=type, instructions=encode(insns), relocations=found, **options)  # type: ignore[arg-type]


def _relocation(slot: int, ref: object) -> Relocation:
    if isinstance(ref, MapValueRef):
        return Relocation(slot, "map_value", ref.name, ref.offset)
    assert isinstance(ref, (MapRef, ConstRef))
    return Relocation(slot, "map" if isinstance(ref, MapRef) else "constant", ref.name)
