"""Allocas whose contents are never needed at the same time share one place.

An alloca is *in use* at a point when something before it on some path mentions it and something after it may do so again.  Two
allocas conflict when both are in use somewhere; what does not conflict is merged, largest first.  An alloca whose address is
stored, converted or passed to a function is in use everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable

from probee.compiler.ir import op
from probee.compiler.ir.dominance import reverse_postorder
from probee.compiler.ir.unit import Function, Slot, Value, connect, replace

# operations whose pointer arguments are only used, not kept
_USES = frozenset((op.LOAD, op.ZERO, op.COPY, op.HELPER, op.OFFSET))


def share_allocas(function: Function, apart: set[Value] | frozenset[Value] = frozenset()) -> bool:
    """Merge the allocas of one function but for those `apart`; returns whether any went away."""
    connect(function)
    allocas = [value for value in function.entry.values if value.op == op.ALLOCA and value not in apart]
    if len(allocas) < 2:
        return False
    number = {value: index for index, value in enumerate(allocas)}
    mentions, escaped = _mentions(function, number)
    conflicts = _conflicts(function, mentions, len(allocas))
    changes = _merge(allocas, conflicts, escaped)
    if not changes:
        return False
    replace(function, changes)
    function.entry.values = [value for value in function.entry.values if value not in changes]
    return True


def _mentions(function: Function, number: dict[Value, int]) -> tuple[dict[Value, int], int]:
    """Return the allocas that each value mentions, as bits, through offsets too; and those whose address gets away."""
    of: dict[Value, int] = {value: 1 << index for value, index in number.items()}
    mentions: dict[Value, int] = {}
    escaped = 0
    for block in reverse_postorder(function):
        for value in block.values:
            bits = 0
            for index, arg in enumerate(value.args):
                mentioned = of.get(arg, 0)
                if mentioned:
                    bits |= mentioned
                    kept = value.op in (op.STORE, op.ATOMIC, op.COMPARE_EXCHANGE) and index > 0
                    if kept or (value.op not in _USES and value.op not in (op.STORE, op.ATOMIC, op.COMPARE_EXCHANGE)):
                        escaped |= mentioned
            if bits:
                mentions[value] = bits
                if value.op == op.OFFSET:
                    of[value] = of.get(value, 0) | bits
    return mentions, escaped


def _conflicts(function: Function, mentions: dict[Value, int], count: int) -> list[int]:
    """Return for each alloca the bits of those that are in use while it is."""
    order = reverse_postorder(function)
    own = {id(block): _union(mentions[value] for value in block.values if value in mentions) for block in order}
    before = {id(block): 0 for block in order}  # mentioned on some path to the block's start
    after = {id(block): 0 for block in order}  # mentioned on some path from the block's end
    changed = True
    while changed:
        changed = False
        for block in order:
            new = _union(before[id(p)] | own[id(p)] for p in block.predecessors)
            changed, before[id(block)] = changed or new != before[id(block)], new
        for block in reversed(order):
            new = _union(after[id(s)] | own[id(s)] for s in block.successors)
            changed, after[id(block)] = changed or new != after[id(block)], new
    conflicts = [0] * count
    for block in order:
        here = [mentions[value] for value in block.values if value in mentions]
        later = [after[id(block)]]
        for bits in reversed(here):
            later.append(later[-1] | bits)
        earlier = before[id(block)]
        for bits in here:
            earlier |= bits
            in_use = earlier & later.pop()
            for bit in _bits(bits):
                conflicts[bit] |= in_use
            for bit in _bits(in_use & ~bits):
                conflicts[bit] |= bits
    return conflicts


def _union(sets: Iterable[int]) -> int:
    out = 0
    for bits in sets:
        out |= bits
    return out


def _bits(number: int) -> list[int]:
    out = []
    while number:
        low = number & -number
        out.append(low.bit_length() - 1)
        number ^= low
    return out


def _merge(allocas: list[Value], conflicts: list[int], escaped: int) -> dict[Value, Value]:
    """Return which alloca each merged one is replaced by."""
    groups: list[tuple[Value, int, int]] = []  # the alloca that stays, its members, what conflicts with them
    changes: dict[Value, Value] = {}
    for index in sorted(range(len(allocas)), key=lambda index: -allocas[index].attr.size):
        value, bit = allocas[index], 1 << index
        if escaped & bit:
            continue
        for place, (stays, members, against) in enumerate(groups):
            if not against & bit and not conflicts[index] & members:
                changes[value] = stays
                slot: Slot = stays.attr
                stays.attr = Slot(slot.size, max(slot.align, value.attr.align), slot.name)
                groups[place] = stays, members | bit, against | conflicts[index]
                break
        else:
            groups.append((value, bit, conflicts[index]))
    return changes
