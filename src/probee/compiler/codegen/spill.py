"""Spilling: a register that found no place lives in the stack frame, 8 bytes at a time.

The verifier keeps bounds, map values and null checks through a spill only when the whole register is stored, so that
nothing narrower is ever written.  What is cheap to compute again (an immediate, a map's handle, a frame address) is not
stored but made anew before each use.
"""

from __future__ import annotations

from probee.compiler.codegen.machine import FRAME, FrameSlot, MachineFunction, MachineInsn, operands
from probee.formats.insn import opcode as o

_CHEAP = frozenset((o.ALU64 | o.MOV | o.K, o.ALU | o.MOV | o.K, o.OP_LD_IMM64, FRAME))


def spill(function: MachineFunction, registers: set[int]) -> set[int]:
    """Rewrite the code so that the registers live in memory; return the short-lived registers that this took."""
    cheap = _cheap(function, registers)
    slots: dict[int, FrameSlot] = {}
    made: set[int] = set()
    for block in function.blocks:
        result: list[MachineInsn] = []
        for insn in block.insns:
            read, write = operands(insn)
            names: dict[int, int] = {}
            for register in read:
                if register in registers and register not in names:
                    names[register] = function.new_register()
                    result.append(_fetch(function, register, names[register], cheap, slots, insn.span))
            for register in write:
                if register in registers and register not in names:
                    names[register] = function.new_register()
            insn.dst = names.get(insn.dst, insn.dst)
            insn.src = names.get(insn.src, insn.src)
            made.update(names.values())
            if not any(register in cheap for register in write):
                result.append(insn)
            for register in write:
                if register in registers and register not in cheap:
                    slot = _slot(function, register, slots)
                    result.append(MachineInsn(o.STX | o.MEM | o.DW, 10, names[register], 0, 0, insn.span, slot=slot))
        block.insns = _branch_last(result)
    return made


def _branch_last(insns: list[MachineInsn]) -> list[MachineInsn]:
    assert all(insn.target is None for insn in insns[:-1])
    return insns


def _cheap(function: MachineFunction, registers: set[int]) -> dict[int, MachineInsn]:
    """Return the only writer of each register whose value can be made anew."""
    writers: dict[int, list[MachineInsn]] = {}
    for block in function.blocks:
        for insn in block.insns:
            for register in operands(insn)[1]:
                if register in registers:
                    writers.setdefault(register, []).append(insn)
    return {register: found[0] for register, found in writers.items() if len(found) == 1 and found[0].op in _CHEAP}


def _fetch(
    function: MachineFunction, register: int, dst: int, cheap: dict[int, MachineInsn], slots: dict[int, FrameSlot], span: int
) -> MachineInsn:
    maker = cheap.get(register)
    if maker is None:
        return MachineInsn(o.LDX | o.MEM | o.DW, dst, 10, 0, 0, span, slot=_slot(function, register, slots))
    return MachineInsn(maker.op, dst, maker.src, maker.off, maker.imm, span, maker.ref, maker.slot)


def _slot(function: MachineFunction, register: int, slots: dict[int, FrameSlot]) -> FrameSlot:
    if register not in slots:
        slots[register] = FrameSlot(8, 8)
        function.slots.append(slots[register])
    return slots[register]
