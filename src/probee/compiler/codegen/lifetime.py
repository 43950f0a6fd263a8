"""When a stack slot's contents matter: from where it may have been touched to where it may be touched again.

Two slots that never matter at once share their bytes (frame.py).  A slot is touched by every access to it and by every
use of a pointer into it, followed through copies and additions, up to the call that gets the pointer.  One whose address
goes to memory matters always.  Positions are those of the liveness that allocation works on.
"""

from __future__ import annotations

from probee.compiler.codegen.liveness import Liveness, Ranges
from probee.compiler.codegen.machine import (
    EFFECTS,
    FIRST_VIRTUAL,
    FRAME,
    IMPURE,
    READ_DST,
    READ_SRC,
    SPECIAL,
    FrameSlot,
    MachineFunction,
    MachineInsn,
    operands,
)  # fmt: skip
from probee.formats.insn import opcode as o


def find_lifetimes(function: MachineFunction, liveness: Liveness) -> None:
    """Fill in `ranges` of every slot; those that escape keep None."""
    numbers = {slot: 1 << index for index, slot in enumerate(function.slots)}
    if not numbers:
        return
    touched, escaped = _touches(function, numbers)
    reaching = _reaching(function, [_union(block) for block in touched])
    ranges = _ranges(numbers, touched, reaching, liveness)
    for index, slot in enumerate(numbers):
        if not escaped >> index & 1:
            slot.ranges = ranges[index]


def _union(block: dict[int, int]) -> int:
    result = 0
    for bits in block.values():
        result |= bits
    return result


def _pointers(function: MachineFunction, numbers: dict[FrameSlot, int]) -> dict[int, int]:
    """Return which slots each virtual register may point into."""
    points: dict[int, int] = {}
    steps: list[tuple[int, int]] = []
    for block in function.blocks:
        for insn in block.insns:
            if insn.op == FRAME and insn.dst >= FIRST_VIRTUAL:
                assert insn.slot is not None
                points[insn.dst] = points.get(insn.dst, 0) | numbers[insn.slot]
            elif insn.op & 7 in (o.ALU, o.ALU64) and insn.op & o.X and insn.dst >= FIRST_VIRTUAL:
                steps.append((insn.dst, insn.src))
    changed = bool(points)
    while changed:
        changed = False
        for dst, src in steps:
            bits = points.get(dst, 0) | points.get(src, 0)
            if bits != points.get(dst, 0):
                points[dst] = bits
                changed = True
    return points


def _touches(function: MachineFunction, numbers: dict[FrameSlot, int]) -> tuple[list[dict[int, int]], int]:
    """Return per block which slots each instruction touches, by its index, and the slots whose address goes to memory."""
    points = _pointers(function, numbers)
    escaped = 0
    touched: list[dict[int, int]] = []
    for block in function.blocks:
        found: dict[int, int] = {}
        arguments = 0
        for index, insn in enumerate(block.insns):
            bits = numbers[insn.slot] if insn.slot is not None else 0
            if points:
                for register in _reads(insn):
                    bits |= points.get(register, 0)
            if insn.op == o.OP_CALL:
                bits |= arguments
                arguments = 0
            elif insn.dst < FIRST_VIRTUAL and not EFFECTS[insn.op] & IMPURE:
                arguments |= bits
            if insn.op & 7 == o.STX:
                escaped |= points.get(insn.src, 0)
            if bits:
                found[index] = bits
        touched.append(found)
    return touched, escaped


def _reads(insn: MachineInsn) -> tuple[int, ...]:
    effects = EFFECTS[insn.op]
    if effects & SPECIAL:
        return operands(insn)[0]
    if effects & READ_DST:
        return (insn.dst, insn.src) if effects & READ_SRC else (insn.dst,)
    return (insn.src,) if effects & READ_SRC else ()


def _reaching(function: MachineFunction, touched: list[int]) -> list[tuple[int, int]]:
    """Return per block the slots that matter at its start and at its end."""
    blocks = function.blocks
    before = [0] * len(blocks)  # touched on some way to the start
    after = [0] * len(blocks)  # touched on some way from the end
    changed = True
    while changed:
        changed = False
        for block in blocks:
            leaving = before[block.number] | touched[block.number]
            for successor in block.successors:
                if leaving & ~before[successor.number]:
                    before[successor.number] |= leaving
                    changed = True
        for block in reversed(blocks):
            wanted = 0
            for successor in block.successors:
                wanted |= after[successor.number] | touched[successor.number]
            if wanted & ~after[block.number]:
                after[block.number] |= wanted
                changed = True
    return [
        (before[number] & (after[number] | bits), (before[number] | bits) & after[number])
        for number, bits in enumerate(touched)
    ]


def _ranges(
    numbers: dict[FrameSlot, int], touched: list[dict[int, int]], reaching: list[tuple[int, int]], liveness: Liveness
) -> dict[int, Ranges]:
    """Return the ranges of every slot by its number, in one walk over the blocks."""
    ranges: dict[int, Ranges] = {index: [] for index in range(len(numbers))}
    for number, (entering, leaving) in enumerate(reaching):
        start, end = liveness.start[number], liveness.start[number + 1]
        first: dict[int, int] = dict.fromkeys(_numbers(entering), start)
        last: dict[int, int] = {}
        for index, bits in touched[number].items():
            for slot in _numbers(bits):
                first.setdefault(slot, start + 2 * index)
                last[slot] = start + 2 * index + 2
        last.update(dict.fromkeys(_numbers(leaving), end))
        for slot, begin in first.items():
            _extend(ranges[slot], begin, last.get(slot, begin))
    return ranges


def _extend(found: Ranges, start: int, end: int) -> None:
    if found and found[-1][1] == start:
        found[-1] = (found[-1][0], end)
    elif start < end:
        found.append((start, end))


def _numbers(bits: int) -> list[int]:
    result = []
    while bits:
        low = bits & -bits
        result.append(low.bit_length() - 1)
        bits ^= low
    return result
