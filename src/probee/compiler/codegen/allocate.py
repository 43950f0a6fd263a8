"""Register allocation: linear scan over live ranges with holes.

Calls are writes of r0 to r5, so values that live across one end up in r6 to r9 without further rules.  A value that finds
no register goes to memory for its whole life (spill.py), and the scan is run again on the changed code.
"""

from __future__ import annotations

from bisect import bisect_right

from probee.compiler.codegen.liveness import Liveness, Ranges, intersect
from probee.compiler.codegen.machine import FIRST_VIRTUAL, MOV64, MachineFunction, operands
from probee.compiler.codegen.spill import spill
from probee.errors import ProbeeError

_PREFERENCE = (1, 2, 3, 4, 5, 0, 6, 7, 8, 9)
_MAX_ROUNDS = 24


class Interval:
    """A virtual register's life: its ranges, what spilling it would cost, and the register it got."""

    __slots__ = ("end", "given", "hints", "ranges", "register", "start", "weight")

    def __init__(self, register: int, ranges: Ranges, weight: float) -> None:
        self.register = register
        self.ranges = ranges
        self.start = ranges[0][0]
        self.end = ranges[-1][1]
        self.weight = weight
        self.given = -1
        self.hints: list[int] = []


def allocate(function: MachineFunction) -> None:
    """Replace every virtual register by a machine register, with spill code where needed."""
    unspillable: set[int] = set()
    for _ in range(_MAX_ROUNDS):
        liveness = Liveness(function)
        scan = _Scan(function, liveness, unspillable)
        victims = scan.run()
        if not victims:
            _assign(function, scan.given)
            return
        unspillable |= spill(function, victims)
    raise ProbeeError(f"internal error: register allocation of {function.name} does not end; please report it")


class _Scan:
    def __init__(self, function: MachineFunction, liveness: Liveness, unspillable: set[int]) -> None:
        self.fixed = {register: liveness.ranges.get(register, []) for register in range(10)}
        weights = _weights(function)
        self.intervals = [
            Interval(register, ranges, float("inf") if register in unspillable else weights[register] / _length(ranges))
            for register, ranges in liveness.ranges.items()
            if register >= FIRST_VIRTUAL
        ]
        self.intervals.sort(key=lambda interval: interval.start)
        self.given: dict[int, int] = {}
        self.hints = _hints(function)
        self.victims: set[int] = set()

    def run(self) -> set[int]:
        """Give every interval a register; return the registers that must be spilled first."""
        active: list[Interval] = []
        for interval in self.intervals:
            active = [other for other in active if other.end > interval.start]
            self._place(interval, active)
        return self.victims

    def _place(self, interval: Interval, active: list[Interval]) -> None:
        taken = {other.given for other in active if intersect(other.ranges, interval.ranges)}
        for register in self._candidates(interval):
            if register not in taken and not _hits(self.fixed[register], interval):
                self._give(interval, register, active)
                return
        self._evict(interval, active)

    def _candidates(self, interval: Interval) -> list[int]:
        wanted = []
        for other in self.hints.get(interval.register, ()):
            register = other if other < FIRST_VIRTUAL else self.given.get(other, -1)
            if 0 <= register < 10:
                wanted.append(register)
        return [*wanted, *_PREFERENCE]

    def _give(self, interval: Interval, register: int, active: list[Interval]) -> None:
        interval.given = register
        self.given[interval.register] = register
        active.append(interval)

    def _evict(self, interval: Interval, active: list[Interval]) -> None:
        """Spill the cheapest of what stands in the way, which may be the newcomer itself."""
        best = None
        cost = interval.weight
        for register in _PREFERENCE:
            if _hits(self.fixed[register], interval):
                continue
            inside = [o for o in active if o.given == register and intersect(o.ranges, interval.ranges)]
            worst = max(other.weight for other in inside)
            if worst < cost:
                best, cost = (register, inside), worst
        if best is None:
            if interval.weight == float("inf"):
                raise ProbeeError("internal error: no register for a spill; please report it")
            self.victims.add(interval.register)
            return
        register, inside = best
        for other in inside:
            self.victims.add(other.register)
            active.remove(other)
        self._give(interval, register, active)


def _hits(fixed: Ranges, interval: Interval) -> bool:
    """Return whether a machine register is occupied somewhere in the interval's life."""
    first = bisect_right(fixed, (interval.start, 0))
    if first and fixed[first - 1][1] > interval.start:
        first -= 1
    if first >= len(fixed) or fixed[first][0] >= interval.end:
        return False
    return intersect(fixed[first:], interval.ranges)


def _length(ranges: Ranges) -> int:
    return sum(end - start for start, end in ranges)


def _weights(function: MachineFunction) -> dict[int, float]:
    """Return how often each register is touched, loops counted tenfold."""
    weights: dict[int, float] = {}
    for block in function.blocks:
        cost = 10.0 ** min(block.depth, 6)
        for insn in block.insns:
            for registers in operands(insn):
                for register in registers:
                    weights[register] = weights.get(register, 0.0) + cost
    return weights


def _hints(function: MachineFunction) -> dict[int, list[int]]:
    """Return, per register, those that it is copied from or to."""
    hints: dict[int, list[int]] = {}
    for block in function.blocks:
        for insn in block.insns:
            if insn.op == MOV64 and not insn.off:
                hints.setdefault(insn.dst, []).append(insn.src)
                hints.setdefault(insn.src, []).append(insn.dst)
    return hints


def _assign(function: MachineFunction, given: dict[int, int]) -> None:
    for block in function.blocks:
        kept = []
        for insn in block.insns:
            insn.dst = given.get(insn.dst, insn.dst)
            insn.src = given.get(insn.src, insn.src)
            if insn.op != MOV64 or insn.dst != insn.src or insn.off:
                kept.append(insn)
        block.insns = kept
