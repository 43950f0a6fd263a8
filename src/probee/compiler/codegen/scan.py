"""Register allocation by linear scan with interval splitting (Wimmer and Mössenböck 2005).

Intervals are taken in the order of their start.  One that finds a register free for all its life gets it; else the one
that is free longest, and the rest of the interval is cut off and queued again; else whoever needs its register last goes
to memory until its next use.  Calls write r0 to r5, so a value that lives across one is split there unless r6 to r9 have
room: it is stored as late as possible, which keeps what the verifier learned about the register up to then.  Splits move
out of loops where nothing in between needs the register.
"""

from __future__ import annotations

from bisect import bisect_right
from heapq import heapify, heappop, heappush

from probee.compiler.codegen.interval import IN_MEMORY, Home, Interval
from probee.compiler.codegen.liveness import NEVER, Liveness, first_intersection
from probee.compiler.codegen.machine import FIRST_VIRTUAL, MachineFunction
from probee.errors import ProbeeError

_REGISTERS = range(10)
_PREFERENCE = (9, 0, 1, 2, 3, 4, 5, 6, 7, 8)  # by register: r1 to r5 first, r6 to r9 last among equals
_REMATERIALISED = 4  # how much farther the next use of a value looks that costs no store


class Scan:
    def __init__(self, function: MachineFunction, liveness: Liveness, homes: dict[int, Home]) -> None:
        self._fixed = [liveness.ranges.get(register, []) for register in _REGISTERS]
        self._homes = homes
        self._starts = liveness.start
        self._depth = [block.depth for block in function.blocks]
        self._queue = [home.parts[0] for home in homes.values()]
        self._active: list[Interval] = []
        self._inactive: list[Interval] = []
        self._position = 0

    def run(self) -> None:
        """Give every interval, split or whole, a place."""
        heapify(self._queue)
        while self._queue:
            current = heappop(self._queue)
            self._position = current.start
            self._expire(current.start)
            if not self._take_free(current):
                self._take_by_force(current)

    def _expire(self, position: int) -> None:
        active: list[Interval] = []
        inactive: list[Interval] = []
        for interval in self._active + self._inactive:
            if interval.end > position:
                (active if interval.covers(position) else inactive).append(interval)
        self._active, self._inactive = active, inactive

    def _give(self, interval: Interval, register: int) -> None:
        interval.place = register
        self._active.append(interval)

    # -- a register that nobody has

    def _take_free(self, current: Interval) -> bool:
        free = [NEVER] * 10
        for interval in self._active:
            free[interval.place] = 0
        for interval in self._inactive:
            if free[interval.place]:
                meeting = first_intersection(interval.ranges, current.ranges, current.start)
                free[interval.place] = min(free[interval.place], meeting)
        for register in _REGISTERS:
            if free[register] and self._fixed[register]:
                meeting = first_intersection(self._fixed[register], current.ranges, current.start)
                free[register] = min(free[register], meeting)
        register = self._choose(current, free)
        until = free[register]
        if until >= current.end:
            self._give(current, register)
            return True
        if until & ~1 <= current.start or current.next_use(current.start) >= until:
            return False
        self._queue_rest(current, self._split_position(current, until & ~1))
        self._give(current, register)
        return True

    def _choose(self, current: Interval, free: list[int]) -> int:
        """Return a hinted register that is free long enough, else the tightest fit, else the one that is free longest."""
        hinted = [register for register in self._hints(current) if free[register] >= current.end]
        if hinted:
            return hinted[0]
        enough = [register for register in _REGISTERS if free[register] >= current.end]
        if enough:
            return min(enough, key=lambda register: (free[register], _PREFERENCE[register]))
        longest = max(free)
        hinted = [register for register in self._hints(current) if free[register] == longest]
        return hinted[0] if hinted else min(_REGISTERS, key=lambda register: (-free[register], _PREFERENCE[register]))

    def _hints(self, current: Interval) -> list[int]:
        result = []
        for position, other in current.home.hints:
            if current.start - 1 <= position <= current.end:
                if other < FIRST_VIRTUAL:
                    result.append(other)
                elif other in self._homes:
                    result += [part.place for part in self._homes[other].parts if part.start - 1 <= position <= part.end]
        return [register for register in result if 0 <= register < 10]

    # -- a register that somebody has

    def _take_by_force(self, current: Interval) -> None:
        here = current.start & ~1
        use = [NEVER] * 10
        blocked = [NEVER] * 10
        for interval in self._active:
            use[interval.place] = self._wanted(interval, here)
        for interval in self._inactive:
            if first_intersection(interval.ranges, current.ranges, current.start) < NEVER:
                use[interval.place] = min(use[interval.place], self._wanted(interval, here))
        for register in _REGISTERS:
            if self._fixed[register]:
                blocked[register] = first_intersection(self._fixed[register], current.ranges, current.start)
                use[register] = min(use[register], blocked[register])
        register = max(_REGISTERS, key=lambda register: use[register])
        first = current.next_use(current.start)
        if first > current.start and self._wanted(current, current.start) >= use[register]:
            self._to_memory(current)
            return
        if use[register] & ~1 <= current.start:
            raise ProbeeError("internal error: an instruction needs more registers than there are; please report it")
        if blocked[register] < current.end:
            self._queue_rest(current, self._split_position(current, blocked[register] & ~1))
        self._evict(current, register)
        self._give(current, register)

    def _wanted(self, interval: Interval, position: int) -> int:
        """Return when an interval is needed next, farther away for one that costs no store."""
        use = interval.next_use(position)
        if use < NEVER and interval.home.maker is not None:
            return position + (use - position) * _REMATERIALISED
        return use

    def _evict(self, current: Interval, register: int) -> None:
        """Send whoever holds a register to memory before `current` begins."""
        position = current.start & ~1
        for interval in [other for other in self._active if other.place == register]:
            self._active.remove(interval)
            if position <= interval.start:
                self._to_memory(interval)
                continue
            tail = interval.split(self._split_position(interval, position))
            self._to_memory(tail)
        for interval in [other for other in self._inactive if other.place == register]:
            if first_intersection(interval.ranges, current.ranges, current.start) < NEVER:
                heappush(self._queue, interval.split(current.start))

    def _to_memory(self, interval: Interval) -> None:
        """Put an interval into memory until its next use; from there on it is queued."""
        use = interval.next_use(interval.start)
        if use < NEVER:
            position = use & ~1 if interval.covers(use & ~1) else use
            if position > interval.start:
                earliest = (max(interval.start, self._position) | 1) + 1  # what is queued must not lie behind
                self._queue_rest(interval, self._cheapest(earliest, position))
        interval.place = IN_MEMORY
        interval.home.spilled = True

    # -- where to split

    def _queue_rest(self, interval: Interval, position: int) -> None:
        heappush(self._queue, interval.split(position))

    def _split_position(self, interval: Interval, latest: int) -> int:
        """Return the best place for a split at or before `latest`, after the last use before it."""
        last = interval.last_use(latest)
        return self._cheapest(min((last | 1) + 1, latest), latest)

    def _cheapest(self, earliest: int, latest: int) -> int:
        """Return a block's start in the fewest loops between two positions, or the latest position."""
        first = bisect_right(self._starts, earliest - 1)
        last = bisect_right(self._starts, latest) - 1
        best = latest
        here = self._depth[min(last, len(self._depth) - 1)]
        for number in range(min(last, len(self._depth) - 1), max(first, 1) - 1, -1):
            depth = min(self._depth[number - 1], self._depth[number])
            if depth < here and self._starts[number] >= earliest:
                best, here = self._starts[number], depth
        return best
