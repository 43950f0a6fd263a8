"""From where on a function needs something, and how to get in before that: what claim.py puts in front (no pass itself)."""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.dominance import immediate_dominators, meet, reverse_postorder
from probee.compiler.ir.unit import Block, Function, Value


def where_needed(function: Function, slots: set[Value], *, release: bool) -> tuple[Block, list[Block]]:
    """Return the block before whose code the frame is found, and the blocks that end the function after it.

    The block dominates every mention of the slots and lies in no loop; with `release`, everything that can be reached from it
    is dominated by it, so that each of those ends gives the frame back and no other does.
    """
    order = reverse_postorder(function)
    number = {block: index for index, block in enumerate(order)}
    idom = immediate_dominators(order)
    at = -1
    for index, block in enumerate(order):
        if any(arg in slots for value in block.values for arg in value.args):
            at = index if at < 0 else meet(idom, at, index)
    at = max(at, 0)
    while at:
        reached = _reachable(order[at])
        if order[at] not in reached and not (release and any(meet(idom, at, number[block]) != at for block in reached)):
            break
        at = idom[at]
    after = [order[at], *_reachable(order[at])]
    return order[at], [block for block in after if block.values[-1].op == op.RETURN]


def _reachable(block: Block) -> list[Block]:
    """Return what can be reached from a block; the block itself only when it is in a loop."""
    found: list[Block] = []
    stack = list(block.successors)
    seen: set[Block] = set()
    while stack:
        each = stack.pop()
        if each not in seen:
            seen.add(each)
            found.append(each)
            stack.extend(each.successors)
    return found


def split(function: Function, block: Block) -> Block:
    """Move a block's code, but for what must lead it, into a block of its own, and return that one."""
    leading = (op.PHI, op.ALLOCA, op.PARAM)
    at = next(index for index, value in enumerate(block.values) if value.op not in leading)
    rest = Block()
    block.values, rest.values = block.values[:at], block.values[at:]
    for successor in set(rest.successors):
        successor.predecessors = [rest if each is block else each for each in successor.predecessors]
    function.blocks.append(rest)
    return rest
