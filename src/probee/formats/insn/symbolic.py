"""A compiled program, bytes and a list of relocations, back into instructions with references.

For what wants names again after code generation: the listing of `probee explain`, and the interpreter.  Takes anything
that has the attributes of model's ProgramSpec and Relocation.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from probee.errors import FormatError
from probee.formats.insn.encode import decode
from probee.formats.insn.insn import Insn
from probee.formats.insn.ref import BtfIdRef, ConstRef, FuncRef, MapRef, MapValueRef, Ref

if TYPE_CHECKING:
    from typing import Protocol

    class RelocationLike(Protocol):
        slot: int
        kind: str
        name: str
        addend: int

    class ProgramLike(Protocol):
        instructions: bytes

        @property
        def relocations(self) -> Iterable[RelocationLike]: ...


def symbolic(program: ProgramLike) -> list[Insn]:
    """Return the instructions of a program with a reference in each one that the loader would patch."""
    insns = decode(program.instructions)
    waiting = {relocation.slot: relocation for relocation in program.relocations}
    slot = 0
    for insn in insns:
        relocation = waiting.pop(slot, None)
        if relocation is not None:
            insn.ref = _reference(relocation)
        slot += insn.n_slots
    if waiting:
        raise FormatError(f"relocation of slot {min(waiting)}, where no instruction begins")
    return insns


def _reference(relocation: RelocationLike) -> Ref:
    name = relocation.name
    if relocation.kind == "map_value":
        return MapValueRef(name, relocation.addend)
    if relocation.kind in ("btf_kfunc", "btf_ksym"):
        return BtfIdRef(name, "func" if relocation.kind == "btf_kfunc" else "var")
    kinds: dict[str, type[Ref]] = {"map": MapRef, "constant": ConstRef, "function": FuncRef}
    if relocation.kind not in kinds:
        raise FormatError(f"no relocation of kind {relocation.kind!r}")
    return kinds[relocation.kind](name)
