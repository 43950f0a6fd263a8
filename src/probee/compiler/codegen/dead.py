"""Removal of machine instructions whose result nobody reads.

Selection computes some addresses and constants that later folding makes superfluous.  An instruction stays when it has
an effect, or writes a register that one that stays reads; so a loop that only feeds itself goes as well.
"""

from __future__ import annotations

from probee.compiler.codegen.machine import (
    EFFECTS,
    FIRST_VIRTUAL,
    IMPURE,
    READ_DST,
    READ_SRC,
    SPECIAL,
    MachineFunction,
    MachineInsn,
    operands,
)


def remove_dead(function: MachineFunction) -> None:
    """Drop dead instructions from every block."""
    writers: dict[int, list[MachineInsn]] = {}
    work: list[int] = []
    for block in function.blocks:
        for insn in block.insns:
            effects = EFFECTS[insn.op]
            if effects & SPECIAL:
                work += operands(insn)[0]
            elif effects & IMPURE or insn.dst < FIRST_VIRTUAL:
                if effects & READ_DST:
                    work.append(insn.dst)
                if effects & READ_SRC:
                    work.append(insn.src)
            else:
                writers.setdefault(insn.dst, []).append(insn)
    live: set[int] = set()
    while work:
        register = work.pop()
        if register not in live:
            live.add(register)
            for insn in writers.get(register, ()):
                work += operands(insn)[0]
    for block in function.blocks:
        block.insns = [
            insn
            for insn in block.insns
            if EFFECTS[insn.op] & IMPURE or insn.dst < FIRST_VIRTUAL or insn.dst in live
        ]
