"""Reads neighbouring fields of a kernel structure at once: one probe read of up to WINDOW bytes instead of one for each.

Loads of one block from one base, with nothing between them that lets time pass, become loads from a copy in the frame.  A read
fails as a whole, so that fields beyond the window, which could be on a page of their own, stay apart; user memory, where pages
are missing every day, is left alone.  So is a field that must be found anew on another kernel: relocations are for one field.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.passes.effect import lets_time_pass, locate
from probee.compiler.ir.type import VOID, pointer
from probee.compiler.ir.unit import Block, Function, Slot, Unit, Value

WINDOW = 64
_WORD = 8


class _Group:
    """Loads counted from one root: from the lowest to the highest byte."""

    __slots__ = ("end", "loads", "root", "start")

    def __init__(self, root: Value, load: Value, start: int) -> None:
        self.root = root
        self.start = start
        self.end = start + load.type.size
        self.loads = [(load, start)]

    def take(self, load: Value, start: int) -> bool:
        """Add a load if it fits; return whether it did."""
        first, last = min(self.start, start), max(self.end, start + load.type.size)
        if last - first > WINDOW:
            return False
        self.start, self.end = first, last
        self.loads.append((load, start))
        return True


def run(function: Function, unit: Unit) -> bool:
    """Combine loads in every block; return whether there were any."""
    slots: list[Value] = []
    portable = not unit.options.get("local")
    for block in function.blocks:
        groups = [group for group in _groups(function, block, portable) if len(group.loads) > 1]
        if groups:
            slots += _rewrite(function, block, groups)
    function.entry.values[:0] = slots
    return bool(slots)


def _groups(function: Function, block: Block, portable: bool) -> list[_Group]:
    found: list[_Group] = []
    latest: dict[Value, _Group] = {}
    for value in block.values:
        if value.op == op.LOAD:
            if value.args[0].type.space != "kernel" or (portable and value in function.fields):
                continue
            root, distance = locate(value.args[0])
            if distance is None or not isinstance(root, Value):
                continue
            group = latest.get(root)
            if group is None or not group.take(value, distance + value.attr):
                group = latest[root] = _Group(root, value, distance + value.attr)
                found.append(group)
        elif value.op not in op.PURE and lets_time_pass(value):
            latest.clear()
    return found


def _rewrite(function: Function, block: Block, groups: list[_Group]) -> list[Value]:
    """Put a copy before the first load of each group; return the slots that are copied to."""
    copies: dict[Value, Value] = {}
    for group in groups:
        first = group.loads[0][0]
        shift = group.start % _WORD  # fields keep their alignment
        size = group.end - group.start
        slot = Value(op.ALLOCA, pointer("stack"), [], Slot(shift + size, _WORD), first.span)
        copies[first] = Value(op.COPY, VOID, [slot, group.root], (shift, group.start, size), first.span)
        for load, start in group.loads:
            load.args = [slot]
            load.attr = start - group.start + shift
            function.fields.pop(load, None)
    out: list[Value] = []
    for value in block.values:
        if value in copies:
            out.append(copies[value])
        out.append(value)
    block.values = out
    return [copy.args[0] for copy in copies.values()]
