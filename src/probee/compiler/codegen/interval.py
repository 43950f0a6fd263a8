"""Intervals: a register's life, or a part of it after a split, with its ranges, the positions that need it in a machine
register, and where it was put.

Positions are liveness.py's.  A split is before an instruction, at an even position; an interval that begins at an odd
one begins with a write.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from probee.compiler.codegen.liveness import NEVER, Liveness, Ranges
from probee.compiler.codegen.machine import (
    EFFECTS,
    FIRST_VIRTUAL,
    MOV64,
    READ_DST,
    READ_SRC,
    SPECIAL,
    WRITE_DST,
    MachineFunction,
    MachineInsn,
    operands,
)

IN_MEMORY = -2
NOWHERE_YET = -1


class Interval:
    """`home` is the whole register's record, `place` a machine register, IN_MEMORY or NOWHERE_YET."""

    __slots__ = ("end", "home", "place", "ranges", "start", "uses")

    def __init__(self, home: Home, ranges: Ranges, uses: list[int]) -> None:
        self.home = home
        self.ranges = ranges
        self.uses = uses
        self.start = ranges[0][0]
        self.end = ranges[-1][1]
        self.place = NOWHERE_YET

    def __lt__(self, other: Interval) -> bool:
        return self.start < other.start

    def covers(self, position: int) -> bool:
        """Return whether the value is wanted at a position."""
        index = bisect_right(self.ranges, (position, NEVER)) - 1
        return index >= 0 and self.ranges[index][1] > position

    def next_use(self, position: int) -> int:
        """Return the first position from `position` on that needs the value in a register, or NEVER."""
        index = bisect_left(self.uses, position)
        return self.uses[index] if index < len(self.uses) else NEVER

    def last_use(self, position: int) -> int:
        """Return the last position before `position` that needs the value in a register, or the start."""
        index = bisect_left(self.uses, position)
        return self.uses[index - 1] if index else self.start

    def split(self, position: int) -> Interval:
        """Cut off and return what comes from `position` on; both sides keep at least one range."""
        left: Ranges = []
        right: Ranges = []
        for start, end in self.ranges:
            if end <= position:
                left.append((start, end))
            elif start >= position:
                right.append((start, end))
            else:
                left.append((start, position))
                right.append((position, end))
        cut = bisect_left(self.uses, position)
        tail = Interval(self.home, right, self.uses[cut:])
        self.ranges = left
        self.end = left[-1][1]
        self.uses = self.uses[:cut]
        self.home.parts.append(tail)
        return tail


class Home:
    """What all parts of one virtual register share.

    `maker` is the instruction that makes its value anew, where that is as cheap as a load; `hints` are (position,
    register it is copied from or to).
    """

    __slots__ = ("hints", "maker", "parts", "ranges", "register", "spilled")

    def __init__(self, register: int, ranges: Ranges, uses: list[int], hints: list[tuple[int, int]]) -> None:
        self.register = register
        self.ranges = ranges
        self.hints = hints
        self.maker: MachineInsn | None = None
        self.spilled = False
        self.parts = [Interval(self, list(ranges), uses)]

    def part_at(self, position: int) -> Interval:
        """Return the part that holds the value at a position."""
        for part in self.parts:
            if part.start <= position < part.end and part.covers(position):
                return part
        raise AssertionError(f"r{self.register} is not alive at {position}")


def homes(function: MachineFunction, liveness: Liveness, makers: dict[int, MachineInsn]) -> dict[int, Home]:
    """Return the record of every virtual register."""
    uses: dict[int, list[int]] = {}
    hints: dict[int, list[tuple[int, int]]] = {}
    position = -2
    for block in function.blocks:
        for insn in block.insns:
            position += 2
            dst, src = insn.dst, insn.src
            if insn.op == MOV64 and not insn.off:
                if dst == src:
                    continue
                hints.setdefault(src, []).append((position, dst))
                hints.setdefault(dst, []).append((position, src))
            effects = EFFECTS[insn.op]
            if effects & SPECIAL:
                _use(uses, position, *operands(insn))
                continue
            if effects & READ_SRC and src >= FIRST_VIRTUAL:
                uses.setdefault(src, []).append(position)
            if dst >= FIRST_VIRTUAL:
                found = uses.setdefault(dst, [])
                if effects & READ_DST and not (found and found[-1] == position):
                    found.append(position)
                if effects & WRITE_DST:
                    found.append(position + 1)
    result = {}
    for register, ranges in liveness.ranges.items():
        if register >= FIRST_VIRTUAL:
            home = result[register] = Home(register, ranges, uses.get(register, []), hints.get(register, []))
            home.maker = makers.get(register)
    return result


def _use(uses: dict[int, list[int]], position: int, read: tuple[int, ...], written: tuple[int, ...]) -> None:
    """Note what an instruction with operands of its own reads and writes."""
    for register in sorted(set(read)):
        if register >= FIRST_VIRTUAL:
            uses.setdefault(register, []).append(position)
    for register in written:
        if register >= FIRST_VIRTUAL:
            uses.setdefault(register, []).append(position + 1)
