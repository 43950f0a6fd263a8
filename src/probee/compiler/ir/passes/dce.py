"""Removes what nobody uses: values, calls of helpers that only tell something, slots that are written and never read.

Marks from what has an effect; what is not marked goes.  A write to a slot has an effect only if the slot is read
somewhere, or its address goes where this pass cannot see it read.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.passes.effect import TELLING
from probee.compiler.ir.unit import Function, Unit, Value

_WRITES = frozenset((op.STORE, op.ZERO, op.COPY))


def run(function: Function, unit: Unit) -> bool:
    """Remove the unused; return whether there was any, constants aside: nobody can gain by their going."""
    marked = _Marks(function).run()
    changed = False
    for block in function.blocks:
        kept = [value for value in block.values if value in marked]
        if len(kept) != len(block.values):
            changed = changed or any(value.op != op.CONST and value not in marked for value in block.values)
            block.values = kept
    if changed and function.fields:
        function.fields = {value: field for value, field in function.fields.items() if value in marked}
    return changed


class _Marks:
    def __init__(self, function: Function) -> None:
        self.function = function
        self.marked: set[Value] = set()
        self.writes: dict[Value, list[Value]] = {}  # alloca → the writes to it, which wait for a reader

    def run(self) -> set[Value]:
        work: list[Value] = []
        for block in self.function.blocks:
            for value in block.values:
                if value.op not in op.EFFECTS:
                    continue
                slot = root_slot(value.args[0]) if value.op in _WRITES else None
                if slot is not None:
                    self.writes.setdefault(slot, []).append(value)
                elif value.op != op.HELPER or value.attr not in TELLING:
                    work.append(value)
        self._mark(work)
        return self.marked

    def _mark(self, work: list[Value]) -> None:
        marked = self.marked
        while work:
            value = work.pop()
            if value in marked:
                continue
            marked.add(value)
            work += value.args
            if value.op == op.ALLOCA:
                work += self.writes.pop(value, ())


def root_slot(pointer: Value) -> Value | None:
    """Return the alloca that a pointer surely points into, None when that is not known."""
    while pointer.op == op.OFFSET:
        pointer = pointer.args[0]
    return pointer if pointer.op == op.ALLOCA else None
