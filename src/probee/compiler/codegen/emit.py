"""The end of code generation: machine instructions, all registers and offsets known, become the kernel's encoding.

A program's functions follow one another in one stream, entry first.  Calls between them are resolved here (pc relative,
counted in slots), the names of everything else become relocations for the loader.
"""

from __future__ import annotations

from probee.compiler.codegen.machine import FRAME, MachineFunction, MachineInsn
from probee.errors import ProbeeError
from probee.formats.insn import opcode as o
from probee.formats.insn.encode import encode
from probee.formats.insn.insn import Insn
from probee.formats.insn.ref import BtfIdRef, ConstRef, FuncRef, MapRef, MapValueRef
from probee.model.spec import FieldRelocation, Relocation


class Stream:
    """Instructions of one program as they are appended; counts are in slots."""

    def __init__(self) -> None:
        self.insns: list[Insn] = []
        self.relocations: list[Relocation] = []
        self.field_relocations: list[FieldRelocation] = []
        self.lines: list[tuple[int, int]] = []
        self.functions: dict[str, int] = {}
        self.n_slots = 0
        self._calls: list[tuple[int, Insn, str]] = []

    def function(self, name: str, code: list[MachineInsn]) -> None:
        """Append a function; its instructions get their final numbers."""
        self.functions[name] = self.n_slots
        self.lines.append((self.n_slots, code[0].span))
        slot, span = self.n_slots, code[0].span
        for insn in code:
            if insn.span and insn.span != span:
                span = insn.span
                self.lines.append((slot, span))
            if insn.op == o.OP_CALL:
                insn.off = 0
            elif insn.slot is not None:
                insn.off += insn.slot.at
            if insn.ref is not None:
                self._relocate(slot, insn, insn.ref)
            if insn.field is not None:
                self._field(slot, insn)
            slot += 2 if insn.op == o.OP_LD_IMM64 else 1
        self.n_slots = slot
        self.insns += code

    def encode(self) -> bytes:
        """Return the bytes, calls between functions resolved."""
        for slot, insn, name in self._calls:
            if name not in self.functions:
                raise ProbeeError(f"internal error: nothing defines the function {name!r}; please report it")
            distance = self.functions[name] - slot - 1
            insn.imm = distance & 0xFFFF_FFFF if insn.op == o.OP_LD_IMM64 else distance
        return encode(self.insns)

    def _relocate(self, slot: int, insn: Insn, ref: object) -> None:
        if isinstance(ref, FuncRef):
            self._calls.append((slot, insn, ref.name))
        elif isinstance(ref, MapRef):
            self.relocations.append(Relocation(slot, "map", ref.name))
        elif isinstance(ref, MapValueRef):
            self.relocations.append(Relocation(slot, "map_value", ref.name, ref.offset))
        elif isinstance(ref, ConstRef):
            self.relocations.append(Relocation(slot, "constant", ref.name))
        elif isinstance(ref, BtfIdRef):
            self.relocations.append(Relocation(slot, "btf_kfunc" if ref.kind == "func" else "btf_ksym", ref.name))

    def _field(self, slot: int, insn: MachineInsn) -> None:
        field = insn.field
        assert field is not None
        if insn.op & 7 == o.LDX:
            self.field_relocations.append(FieldRelocation(slot, field.root, field.path, insn.off, "insn_offset"))
        else:
            self.field_relocations.append(FieldRelocation(slot, field.root, field.path, insn.imm, "immediate"))


def expand_frame_addresses(function: MachineFunction) -> None:
    """Turn each FRAME into a copy of r10 and an addition."""
    for block in function.blocks:
        result: list[MachineInsn] = []
        for insn in block.insns:
            if insn.op != FRAME:
                result.append(insn)
                continue
            assert insn.slot is not None
            result.append(MachineInsn(o.ALU64 | o.MOV | o.X, insn.dst, o.R10, span=insn.span))
            result.append(MachineInsn(o.ALU64 | o.ADD | o.K, insn.dst, imm=insn.slot.at + insn.off, span=insn.span))
        block.insns = result
