"""Values that are as cheap to make anew as to load: immediates, 64-bit constants, map handles, frame addresses."""

from __future__ import annotations

from probee.compiler.codegen.machine import (
    EFFECTS,
    FIRST_VIRTUAL,
    FRAME,
    SPECIAL,
    WRITE_DST,
    MachineFunction,
    MachineInsn,
    is_no_copy,
    operands,
)
from probee.formats.insn import opcode as o

_CHEAP = frozenset((o.ALU64 | o.MOV | o.K, o.ALU | o.MOV | o.K, o.OP_LD_IMM64, FRAME))


def makers(function: MachineFunction) -> dict[int, MachineInsn]:
    """Return the only writer of each virtual register whose value can be made anew."""
    found: dict[int, MachineInsn] = {}
    others: set[int] = set()  # registers that are written more than once, or by something dear
    for block in function.blocks:
        for insn in block.insns:
            effects = EFFECTS[insn.op]
            if effects & SPECIAL:
                others.update(operands(insn)[1])
            elif effects & WRITE_DST and insn.dst >= FIRST_VIRTUAL:
                if insn.op in _CHEAP and insn.dst not in found:
                    found[insn.dst] = insn
                elif not is_no_copy(insn):
                    others.add(insn.dst)
    return {register: insn for register, insn in found.items() if register not in others}
