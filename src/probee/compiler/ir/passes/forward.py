"""What memory is known to hold along straight-line code: the part of value numbering that forwards stores to loads.

A cell is (root, offset) with a size and the value that a load of that size and type gives; a zeroed range gives zeros to any
load inside it.  Blocks with one predecessor go on with what was known at its end.

A map value is shared: another CPU or program may write to it between our store and our load.  What was stored is used all
the same, as C lets a compiler do with what is neither atomic nor volatile: a run that nothing came between would read that.
It is forgotten where the run itself may change it, and no load moves out of a loop, so that a loop that waits for another
CPU sees what that does.  Kernel and user memory is read again as soon as time has passed (effect.py).
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.passes.effect import (
    CHANGES_MAPS,
    FAR,
    READS,
    TELLING,
    WRITES,
    Root,
    lets_time_pass,
    locate,
    may_overlap,
    space_of,
)
from probee.compiler.ir.type import Type
from probee.compiler.ir.unit import Value


class Region:
    """What is known of the memory counted from one root."""

    __slots__ = ("cells", "zeros")

    def __init__(self, cells: dict[int, tuple[int, Value]], zeros: list[tuple[int, int]]) -> None:
        self.cells = cells
        self.zeros = zeros

    def forget(self, start: int, end: int) -> None:
        cells = self.cells
        if end - start <= 64:
            for offset in range(start - 7, end):
                if offset in cells and offset + cells[offset][0] > start:
                    del cells[offset]
        else:
            self.cells = {at: cell for at, cell in cells.items() if at >= end or at + cell[0] <= start}
        if self.zeros:
            self.zeros = [
                part
                for first, last in self.zeros
                for part in ((first, min(last, start)), (max(first, end), last))
                if part[0] < part[1]
            ]


class Known:
    """The contents of memory at one point of a function."""

    __slots__ = ("_escaped", "_regions")

    def __init__(self, escaped: set[Value], regions: dict[Root, Region] | None = None) -> None:
        self._escaped = escaped
        self._regions: dict[Root, Region] = regions if regions is not None else {}

    def copy(self) -> Known:
        regions = {root: Region(dict(region.cells), list(region.zeros)) for root, region in self._regions.items()}
        return Known(self._escaped, regions)

    def find(self, pointer: Value, offset: int, type: Type) -> Value | int | None:
        """Return what a load gives: a value, the number 0, or None when that is not known."""
        root, distance = locate(pointer)
        region = self._regions.get(root)
        if region is None or distance is None:
            return None
        start = offset + distance
        cell = region.cells.get(start)
        if cell is not None:
            return cell[1] if cell[1].type is type else None
        if type.is_int:
            for first, last in region.zeros:
                if first <= start and start + type.size <= last:
                    return 0
        return None

    def content(self, pointer: Value, offset: int, size: int) -> list[tuple[int, int, Value | None]] | None:
        """Return what a range of a slot holds: (offset in it, size, value or None for zeros), None when not all is known."""
        root, distance = locate(pointer)
        region = self._regions.get(root)
        if region is None or distance is None:
            return None
        start = offset + distance
        parts: list[tuple[int, int, Value | None]] = [
            (at - start, length, value)
            for at, (length, value) in region.cells.items()
            if start <= at and at + length <= start + size
        ]
        for first, last in region.zeros:
            first, last = max(first - start, 0), min(last - start, size)
            if first < last:
                parts.append((first, last - first, None))
        parts.sort(key=lambda part: part[0])
        reached = 0
        for at, length, _ in parts:
            if at != reached:
                return None
            reached += length
        return parts if reached == size else None

    def learn(self, pointer: Value, offset: int, value: Value) -> None:
        """A load just gave `value`."""
        root, distance = locate(pointer)
        if distance is not None:
            region = self._regions.setdefault(root, Region({}, []))
            region.cells[offset + distance] = value.type.size, value

    def write(self, pointer: Value, offset: int, size: int | None) -> Region | None:
        """Forget what a write changes; return the region and where in it, None when the place is not constant."""
        root, distance = locate(pointer)
        for other in [other for other in self._regions if other != root and may_overlap(root, other, self._escaped)]:
            del self._regions[other]
        if distance is None or size is None:
            self._regions.pop(root, None)
            return None
        region = self._regions.setdefault(root, Region({}, []))
        region.forget(offset + distance, offset + distance + size)
        return region

    def store(self, pointer: Value, offset: int, value: Value) -> None:
        region = self.write(pointer, offset, value.type.size)
        distance = locate(pointer)[1]
        if region is not None and distance is not None:
            region.cells[offset + distance] = value.type.size, value

    def zero(self, pointer: Value, offset: int, size: int) -> None:
        region = self.write(pointer, offset, size)
        distance = locate(pointer)[1]
        if region is not None and distance is not None:
            region.zeros.append((offset + distance, offset + distance + size))

    def effect(self, value: Value) -> None:
        """Forget what any other operation may change."""
        operation = value.op
        if operation == op.ATOMIC:
            self.write(value.args[0], value.attr[1], value.args[1].type.size)
        elif operation == op.COMPARE_EXCHANGE:
            self.write(value.args[0], value.attr, value.type.size)
        elif operation == op.COPY:
            self.write(value.args[0], value.attr[0], value.attr[2])
        else:
            self._call(value)
        if lets_time_pass(value):
            self._drop(lambda root: space_of(root) in FAR)

    def _call(self, value: Value) -> None:
        name = value.attr
        if value.op == op.HELPER:
            if name in TELLING or name in READS:
                return
            if name in CHANGES_MAPS:
                self._drop(lambda root: space_of(root) in ("map", "own"))
                return
            if name in WRITES:
                self.write(value.args[WRITES[name]], 0, None)
                return
        passed = {locate(arg)[0] for arg in value.args if arg.type.is_pointer}
        escaped = self._escaped

        def changed(root: Root) -> bool:
            own = isinstance(root, Value) and root.op == op.ALLOCA and root not in escaped
            return root in passed or not (own or space_of(root) in FAR)

        self._drop(changed)

    def _drop(self, changed) -> None:  # type: ignore[no-untyped-def]
        for root in [root for root in self._regions if changed(root)]:
            del self._regions[root]
