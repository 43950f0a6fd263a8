"""Values that are as cheap to make anew as to load: immediates, 64-bit constants, map handles, frame addresses."""

from __future__ import annotations

from probee.compiler.codegen.machine import FRAME, MachineFunction, MachineInsn, is_no_copy, operands
from probee.formats.insn import opcode as o

_CHEAP = frozenset((o.ALU64 | o.MOV | o.K, o.ALU | o.MOV | o.K, o.OP_LD_IMM64, FRAME))


def makers(function: MachineFunction) -> dict[int, MachineInsn]:
    """Return the only writer of each register whose value can be made anew: immediates, handles, frame addresses."""
    makers: dict[int, MachineInsn] = {}
    several: set[int] = set()
    for block in function.blocks:
        for insn in block.insns:
            for register in () if is_no_copy(insn) else operands(insn)[1]:
                if register in makers:
                    several.add(register)
                makers[register] = insn
    return {register: insn for register, insn in makers.items() if register not in several and insn.op in _CHEAP}
