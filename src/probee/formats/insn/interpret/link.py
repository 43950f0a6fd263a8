"""Puts the functions of a program one after another and resolves what its instructions refer to.

Values are found by reference name where an instruction has one, else by the number in it: a map's number stands for a
file descriptor, a callee's for an offset in slots.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from probee.formats.insn import opcode as o
from probee.formats.insn.disassemble import format_insn
from probee.formats.insn.insn import U64, Insn, signed32
from probee.formats.insn.interpret.map import MapModel
from probee.formats.insn.interpret.memory import InterpretError
from probee.formats.insn.legal import complaint
from probee.formats.insn.ref import BtfIdRef, ConstRef, FuncRef, MapRef, MapValueRef

FUNCTION_BASE = 0xFFFF_C000_0000_0000
_MAP_KINDS = (o.PSEUDO_MAP_FD, o.PSEUDO_MAP_IDX)


class Program:
    """Instructions of all functions in one list, with the index of the instruction at each slot (-1: second half)."""

    def __init__(self, main: list[Insn], functions: dict[str, Sequence[Insn]]) -> None:
        self.insns: list[Insn] = []
        self.slots: list[int] = []
        self.functions: dict[str, int] = {}
        self._append(main, "the program")
        for name, insns in functions.items():
            self.functions[name] = len(self.slots)
            self._append(list(insns), name)
        self._check_jumps()

    def _append(self, insns: list[Insn], name: str) -> None:
        if not insns or insns[-1].op not in (o.OP_EXIT, o.OP_JA, o.OP_GOTOL):
            raise InterpretError(f"{name} falls off its end")
        for insn in insns:
            problem = complaint(insn.op, insn.dst, insn.src, insn.off, insn.imm)
            if problem or (insn.op & 7 in (o.LDX, o.ALU, o.ALU64) and insn.dst == o.R10):
                raise InterpretError(f"{name}: {insn!r}: {problem or 'the frame pointer is read-only'}")
            self.slots.append(len(self.insns))
            if insn.op == o.OP_LD_IMM64:
                self.slots.append(-1)
            self.insns.append(insn)

    def _check_jumps(self) -> None:
        for slot, index in enumerate(self.slots):
            branch = self.insns[index].branch if index >= 0 else None
            if branch is None:
                continue
            target = slot + 1 + branch
            if not 0 <= target < len(self.slots) or self.slots[target] < 0:
                raise InterpretError(f"slot {slot}: {format_insn(self.insns[index])}: no instruction there", slot)


def link(
    program: Program,
    maps: Mapping[str | int, MapModel],
    constants: Mapping[str, int],
    symbols: Mapping[str, int],
) -> dict[int, int]:
    """Return by slot the value of each 64-bit immediate and the callee's slot of each call."""
    values = {}
    for slot, index in enumerate(program.slots):
        insn = program.insns[index]
        if index < 0:
            continue
        try:
            if insn.op == o.OP_LD_IMM64:
                values[slot] = _immediate(insn, slot, program, maps, constants, symbols) & U64
            elif insn.op == o.OP_CALL and insn.src == o.PSEUDO_CALL:
                values[slot] = _callee(insn, slot, program)
        except KeyError as error:
            raise InterpretError(f"slot {slot}: {format_insn(insn)}: nothing is called {error}", slot) from None
    return values


def _callee(insn: Insn, slot: int, program: Program) -> int:
    target = program.functions[insn.ref.name] if isinstance(insn.ref, FuncRef) else slot + 1 + signed32(insn.imm)
    if not 0 <= target < len(program.slots) or program.slots[target] < 0:
        raise KeyError(target)
    return target


def _immediate(
    insn: Insn,
    slot: int,
    program: Program,
    maps: Mapping[str | int, MapModel],
    constants: Mapping[str, int],
    symbols: Mapping[str, int],
) -> int:
    ref = insn.ref
    if isinstance(ref, MapRef):
        return maps[ref.name].handle
    if isinstance(ref, MapValueRef):
        return _value_address(maps[ref.name]) + ref.offset
    if isinstance(ref, ConstRef):
        return constants[ref.name]
    if isinstance(ref, BtfIdRef):
        return symbols[ref.name]
    if insn.src == o.PSEUDO_FUNC:
        return FUNCTION_BASE + _callee(insn, slot, program)
    if insn.src in _MAP_KINDS:
        return maps[signed32(insn.imm)].handle
    if insn.src in (o.PSEUDO_MAP_VALUE, o.PSEUDO_MAP_IDX_VALUE):
        return _value_address(maps[signed32(insn.imm)]) + (insn.imm >> 32)
    return symbols[str(insn.imm)] if insn.src else insn.imm


def _value_address(model: MapModel) -> int:
    """Return the address of a global-data map's one value."""
    if model.max_entries != 1:
        raise InterpretError(f"map {model.name} has {model.max_entries} entries; only one may be addressed directly")
    return model.lookup(bytes(4))
