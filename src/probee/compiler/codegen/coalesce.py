"""Coalescing: the two sides of a copy become one register where they are never wanted at once.

Most copies are made by selection without a thought (before a two-address operation, for a phi, for a new type) and
disappear here, those in the innermost loops first.  `wN = wN` is a zero extension, not a copy, and stays.  A value that
can be made anew and lives across a call stays apart from what is computed from it: alone it never needs the stack.
"""

from __future__ import annotations

from probee.compiler.codegen.liveness import Liveness, intersect, merge
from probee.compiler.codegen.machine import FIRST_VIRTUAL, MOV64, MachineFunction
from probee.compiler.codegen.make import makers


def coalesce(function: MachineFunction, liveness: Liveness) -> None:
    """Merge registers and rename them in the code and in `liveness`, which stays true.

    Copies of a register to itself stay in the code until allocation is done, so that positions do not change.
    """
    ranges = liveness.ranges
    into: dict[int, int] = {}

    def find(register: int) -> int:
        while register in into:
            register = into[register]
        return register

    calls = ranges.get(0, [])
    apart = {register for register in makers(function) if intersect(ranges.get(register, []), calls)}
    for dst, src in _copies(function):
        left, right = find(dst), find(src)
        if left in apart or right in apart:
            continue
        if left != right and left in ranges and right in ranges and not intersect(ranges[left], ranges[right]):
            ranges[right] = merge(ranges[right], ranges.pop(left))
            into[left] = right
    if into:
        names = {register: find(register) for register in into}
        _rename(function, names)
        liveness.rename(names)


def _copies(function: MachineFunction) -> list[tuple[int, int]]:
    """Return (dst, src) of the copies between virtual registers, the deepest in loops first."""
    found = [
        (-block.depth, insn.dst, insn.src)
        for block in function.blocks
        for insn in block.insns
        if insn.op == MOV64 and not insn.off and insn.dst >= FIRST_VIRTUAL and insn.src >= FIRST_VIRTUAL
    ]
    found.sort(key=lambda copy: copy[0])
    return [(dst, src) for _, dst, src in found]


def _rename(function: MachineFunction, names: dict[int, int]) -> None:
    for block in function.blocks:
        for insn in block.insns:
            insn.dst = names.get(insn.dst, insn.dst)
            insn.src = names.get(insn.src, insn.src)
