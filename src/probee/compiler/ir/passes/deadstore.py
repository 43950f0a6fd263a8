"""Drops writes to slots that are overwritten or given up before anybody reads them, and the part of a zero() that is.

Follows, backwards through the function, which bytes of the slots will still be read (extent.py has them as bits).  Slots whose
address gets away count as read everywhere.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.dominance import reverse_postorder
from probee.compiler.ir.passes.effect import escaped_slots, locate
from probee.compiler.ir.passes.extent import Bytes, Effect
from probee.compiler.ir.type import VOID
from probee.compiler.ir.unit import Block, Function, Unit, Value

_WRITES = frozenset((op.STORE, op.ZERO, op.COPY))
_WORD = 8


def run(function: Function, unit: Unit) -> bool:
    """Remove dead writes; return whether there were any."""
    slots = [value for value in function.entry.values if value.op == op.ALLOCA]
    escaped = escaped_slots(function) if slots else set()
    slots = [slot for slot in slots if slot not in escaped]
    if not slots:
        return False
    memory = Bytes(slots, function.blocks, unit)
    after = _live_after(function, memory.effects)
    changed = False
    for block in function.blocks:
        if memory.effects[block]:
            changed |= _clean(block, after[block], memory)
    return changed


def _live_after(function: Function, effects: dict[Block, list[Effect]]) -> dict[Block, int]:
    """Return the bytes that are read after the end of each block, before they are overwritten."""
    reads: dict[Block, int] = {}
    keeps: dict[Block, int] = {}
    for block, found in effects.items():
        live, kept = 0, -1
        for _, read, written in reversed(found):
            live = live & ~written | read
            kept &= ~written
        reads[block], keeps[block] = live, kept
    before = dict.fromkeys(function.blocks, 0)
    after = dict.fromkeys(function.blocks, 0)
    work = reverse_postorder(function)  # the last ones are nearest to the ends
    waiting = set(work)
    while work:
        block = work.pop()
        waiting.discard(block)
        live = 0
        for successor in block.successors:
            live |= before[successor]
        after[block] = live
        live = live & keeps[block] | reads[block]
        if live != before[block]:
            before[block] = live
            for source in block.predecessors:
                if source not in waiting:
                    waiting.add(source)
                    work.append(source)
    return after


def _clean(block: Block, live: int, memory: Bytes) -> bool:
    """Drop or shorten the block's dead writes, from its end."""
    instead: dict[Value, list[Value]] = {}
    for value, read, written in reversed(memory.effects[block]):
        if value.op in _WRITES and written:
            if not written & live:
                instead[value] = []
                continue
            if value.op == op.ZERO and written & ~live:
                parts = _live_parts(value, live, memory)
                if parts is not None:
                    instead[value] = parts
        live = live & ~written | read
    if instead:
        block.values = [new for value in block.values for new in instead.get(value, (value,))]
    return bool(instead)


def _live_parts(value: Value, live: int, memory: Bytes) -> list[Value] | None:
    """Return a zero() cut down to the words of which something is read, None when that is all of them."""
    pointer = value.args[0]
    extent = memory.part(pointer, *value.attr)
    distance = locate(pointer)[1]
    assert extent is not None and distance is not None
    slot, first, last, _ = extent
    parts: list[tuple[int, int]] = []
    for start, end in memory.live(slot, first, last, live):
        start, end = max(first, start // _WORD * _WORD), min(last, -(-end // _WORD) * _WORD)
        if parts and parts[-1][1] >= start:
            parts[-1] = parts[-1][0], max(end, parts[-1][1])
        else:
            parts.append((start, end))
    if sum(end - start for start, end in parts) == value.attr[1]:
        return None
    return [Value(op.ZERO, VOID, [pointer], (start - distance, end - start), value.span) for start, end in parts]
