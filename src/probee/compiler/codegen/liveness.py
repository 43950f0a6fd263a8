"""Liveness: for every register, the ranges of positions in which its value is wanted.

Instruction number i (counted through all blocks in layout order) reads at position 2i and writes at 2i + 1, so that a
range [2i + 1, 2j + 1) runs from a write to its last read, and a result may take the register of an operand that ends
there.  Ranges have holes.  Only registers that some block reads before writing take part in the data flow.
"""

from __future__ import annotations

from bisect import bisect_right

from probee.compiler.codegen.machine import (
    EFFECTS,
    READ_DST,
    READ_SRC,
    SPECIAL,
    WRITE_DST,
    MachineBlock,
    MachineFunction,
    operands,
)

Ranges = list[tuple[int, int]]
NEVER = 1 << 60


class Liveness:
    """`ranges[register]` in rising order; `start[i]` is block i's first position, start[i + 1] its end; `live_in` and
    `live_out` hold the registers by block index."""

    __slots__ = ("live_in", "live_out", "ranges", "start")

    def __init__(self, function: MachineFunction) -> None:
        blocks = function.blocks
        for number, block in enumerate(blocks):
            block.number = number
        self.start = _positions(blocks)
        self.live_in, self.live_out = _live_sets(blocks)
        self.ranges = _ranges(blocks, self.start, self.live_out)

    def rename(self, names: dict[int, int]) -> None:
        """Follow a renaming of registers whose ranges have been merged already."""
        for sets in (self.live_in, self.live_out):
            for registers in sets:
                for register in [register for register in registers if register in names]:
                    registers.discard(register)
                    registers.add(names[register])


def _positions(blocks: list[MachineBlock]) -> list[int]:
    start = [0]
    for block in blocks:
        start.append(start[-1] + 2 * len(block.insns))
    return start


def _live_sets(blocks: list[MachineBlock]) -> tuple[list[set[int]], list[set[int]]]:
    """Return the registers live into and out of each block."""
    exposed, written = _local_sets(blocks)
    wanted = sorted(set().union(*exposed)) if exposed else []
    index = {register: number for number, register in enumerate(wanted)}
    entering = [_bits(reads, index) for reads in exposed]
    kept = [~_bits(writes, index) for writes in written]
    leaving = [0] * len(blocks)
    changed = True
    while changed:
        changed = False
        for number in range(len(blocks) - 1, -1, -1):
            out = 0
            for successor in blocks[number].successors:
                out |= entering[successor.number]
            if out != leaving[number]:
                leaving[number] = out
                entering[number] |= out & kept[number]
                changed = True
    return [_set(bits, wanted) for bits in entering], [_set(bits, wanted) for bits in leaving]


def _local_sets(blocks: list[MachineBlock]) -> tuple[list[set[int]], list[set[int]]]:
    """Return per block the registers that it reads before it writes them, and those that it writes."""
    exposed: list[set[int]] = []
    written: list[set[int]] = []
    for block in blocks:
        reads: set[int] = set()
        writes: set[int] = set()
        for insn in block.insns:
            effects = EFFECTS[insn.op]
            if effects & SPECIAL:
                read, write = operands(insn)
                reads.update(register for register in read if register not in writes)
                writes.update(write)
                continue
            if effects & READ_DST and insn.dst not in writes:
                reads.add(insn.dst)
            if effects & READ_SRC and insn.src not in writes:
                reads.add(insn.src)
            if effects & WRITE_DST:
                writes.add(insn.dst)
        reads.discard(10)
        exposed.append(reads)
        written.append(writes)
    return exposed, written


def _bits(registers: set[int], index: dict[int, int]) -> int:
    bits = 0
    for register in registers:
        number = index.get(register)
        if number is not None:
            bits |= 1 << number
    return bits


def _set(bits: int, wanted: list[int]) -> set[int]:
    result = set()
    while bits:
        low = bits & -bits
        result.add(wanted[low.bit_length() - 1])
        bits ^= low
    return result


def _ranges(blocks: list[MachineBlock], start: list[int], live_out: list[set[int]]) -> dict[int, Ranges]:
    """Walk everything backwards, opening a range at a last read and closing it at the write."""
    ranges: dict[int, Ranges] = {}
    for number in range(len(blocks) - 1, -1, -1):
        position = start[number + 1]
        until = dict.fromkeys(live_out[number], position)
        for insn in reversed(blocks[number].insns):
            position -= 2
            effects = EFFECTS[insn.op]
            if effects & SPECIAL:
                read, write = operands(insn)
                for register in write:
                    _add(ranges, register, position + 1, until.pop(register, position + 2))
                for register in read:
                    until.setdefault(register, position + 1)
                continue
            dst = insn.dst
            if effects & WRITE_DST:
                _add(ranges, dst, position + 1, until.pop(dst, position + 2))
            if effects & READ_DST and dst not in until:
                until[dst] = position + 1
            if effects & READ_SRC and insn.src not in until:
                until[insn.src] = position + 1
        until.pop(10, None)
        for register, end in until.items():
            _add(ranges, register, position, end)
    for found in ranges.values():
        found.reverse()
    return ranges


def _add(ranges: dict[int, Ranges], register: int, start: int, end: int) -> None:
    """Add a range in front of those found so far, joined with the next when they touch."""
    if end <= start:
        return
    found = ranges.get(register)
    if found is None:
        ranges[register] = [(start, end)]
    elif found[-1][0] <= end:
        found[-1] = (start, max(end, found[-1][1]))
    else:
        found.append((start, end))


def intersect(left: Ranges, right: Ranges) -> bool:
    """Return whether two registers are wanted at one position."""
    return bool(left and right) and first_intersection(left, right, max(left[0][0], right[0][0])) < NEVER


def first_intersection(left: Ranges, right: Ranges, start: int) -> int:
    """Return the first position that both want, from `start` on, or NEVER."""
    i = max(0, bisect_right(left, (start, NEVER)) - 1)
    j = max(0, bisect_right(right, (start, NEVER)) - 1)
    n_left, n_right = len(left), len(right)
    while i < n_left and j < n_right:
        a, b = left[i], right[j]
        if a[1] <= b[0]:
            i += 1
        elif b[1] <= a[0]:
            j += 1
        else:
            return max(a[0], b[0])
    return NEVER


def merge(left: Ranges, right: Ranges) -> Ranges:
    """Return the union of two lists of ranges that do not intersect, touching ones joined."""
    result: Ranges = []
    for start, end in sorted(left + right):
        if result and result[-1][1] == start:
            result[-1] = (result[-1][0], end)
        else:
            result.append((start, end))
    return result
