"""Order, dominators and loops of a function's blocks.

`connect` of the IR leaves blocks in depth-first order; code generation wants reverse postorder, with what leaves a loop
placed after what stays in it, so that live ranges are short and most jumps fall through.
"""

from __future__ import annotations

from probee.compiler.ir.dominance import immediate_dominators, reverse_postorder
from probee.compiler.ir.unit import Block, Function


class Order:
    """`blocks` in layout order (their `id` is the index), `depth` the number of loops around each, by index."""

    __slots__ = ("blocks", "depth")

    def __init__(self, function: Function) -> None:
        blocks = reverse_postorder(function)
        depth = _loop_depths(blocks, immediate_dominators(blocks))
        if any(depth):
            known = {block: depth[index] for index, block in enumerate(blocks)}
            blocks = _leaving_last(function.entry, known)
            depth = [known[block] for block in blocks]
        for index, block in enumerate(blocks):
            block.id = index
        self.blocks = blocks
        self.depth = depth


def _leaving_last(entry: Block, depth: dict[Block, int]) -> list[Block]:
    """Return the blocks in reverse postorder; of two successors the one in fewer loops is visited first, and so comes later."""
    order: list[Block] = []
    seen = {entry}
    stack = [(entry, _pending(entry, depth))]
    while stack:
        block, pending = stack[-1]
        while pending:
            successor = pending.pop()
            if successor not in seen:
                seen.add(successor)
                stack.append((successor, _pending(successor, depth)))
                break
        else:
            order.append(block)
            stack.pop()
    order.reverse()
    return order


def _pending(block: Block, depth: dict[Block, int]) -> list[Block]:
    """Return the successors, the one to visit first last; the branch not taken is visited first among equals."""
    successors = list(block.successors)
    if len(successors) == 2 and depth[successors[1]] > depth[successors[0]]:
        successors.reverse()
    return successors


def _loop_depths(blocks: list[Block], idom: list[int]) -> list[int]:
    """Return how many natural loops each block is in; loops that share a header are one."""
    index = {block: number for number, block in enumerate(blocks)}
    depth = [0] * len(blocks)
    latches: dict[int, list[int]] = {}
    for number, block in enumerate(blocks):
        for successor in block.successors:
            header = index[successor]
            if header <= number and dominates(idom, header, number):
                latches.setdefault(header, []).append(number)
    for header, body in latches.items():
        inside = {header}
        work = list(body)
        while work:
            number = work.pop()
            if number not in inside:
                inside.add(number)
                work += [index[p] for p in blocks[number].predecessors if p in index]
        for number in inside:
            depth[number] += 1
    return depth


def dominates(idom: list[int], above: int, below: int) -> bool:
    """Return whether every path to `below` goes through `above`; indices in reverse postorder."""
    while below > above:
        below = idom[below]
    return below == above
