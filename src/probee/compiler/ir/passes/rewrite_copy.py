"""A copy of what is known becomes stores of that: structures passed by value, keys made of them (no pass itself)."""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.passes.forward import Known
from probee.compiler.ir.type import VOID
from probee.compiler.ir.unit import Value

_LARGEST = 64  # bytes


def stores_for(copy: Value, known: Known) -> list[Value]:
    """Return what writes the same as a copy out of a slot; none where that is not known, or takes more than copying it."""
    to, source = copy.args
    to_offset, from_offset, size = copy.attr
    if source.type.space != "stack" or size > _LARGEST:
        return []
    parts = known.content(source, from_offset, size)
    if parts is None or sum(_cost(length, part) for _, length, part in parts) > 2 * -(-size // 8):
        return []
    stores: list[Value] = []
    for at, length, part in parts:
        if part is None:
            stores.append(Value(op.ZERO, VOID, [to], (to_offset + at, length), copy.span))
        else:
            stores.append(Value(op.STORE, VOID, [to, part], to_offset + at, copy.span))
    return stores


def _cost(length: int, part: Value | None) -> int:
    """Return how many instructions it takes to write a part."""
    if part is None:
        return -(-length // 8)
    return 1 if part.op != op.CONST or part.attr < 1 << 31 else 2
