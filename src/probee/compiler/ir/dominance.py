"""Block orders and dominators, for passes and code generation.

All are computed from successors and predecessors as `connect` left them, without recursion, in near-linear time (Cooper,
Harvey and Kennedy, "A Simple, Fast Dominance Algorithm").
"""

from __future__ import annotations

from probee.compiler.ir.unit import Block, Function


def reverse_postorder(function: Function) -> list[Block]:
    """Return the blocks so that each comes before its successors, except along the edges that close loops."""
    order: list[Block] = []
    seen: set[Block] = set()
    stack: list[Block | None] = [function.entry]
    while stack:
        block = stack.pop()
        if block is None:  # all that follows the block below it has been visited
            done = stack.pop()
            assert done is not None
            order.append(done)
        elif block not in seen:
            seen.add(block)
            stack += (block, None, *block.successors)
    order.reverse()
    return order


def immediate_dominators(order: list[Block]) -> list[int]:
    """Return the immediate dominator of each block of a reverse postorder, as indices into it; the entry's is itself."""
    index = {block: number for number, block in enumerate(order)}
    incoming = [[index[before] for before in block.predecessors if before in index] for block in order]
    idom = [-1] * len(order)
    idom[0] = 0
    changed = True
    while changed:
        changed = False
        for number in range(1, len(order)):
            best = -1
            for other in incoming[number]:
                if idom[other] >= 0:
                    best = other if best < 0 else meet(idom, best, other)
            if best != idom[number]:
                idom[number] = best
                changed = True
    return idom


def meet(idom: list[int], left: int, right: int) -> int:
    """Return the nearest common dominator of two blocks."""
    while left != right:
        while left > right:
            left = idom[left]
        while right > left:
            right = idom[right]
    return left


def children(idom: list[int]) -> list[list[int]]:
    """Return the dominator tree: for each index, the indices that it immediately dominates."""
    tree: list[list[int]] = [[] for _ in idom]
    for number in range(1, len(idom)):
        tree[idom[number]].append(number)
    return tree


def loop_headers(order: list[Block]) -> set[Block]:
    """Return the blocks that an edge from later in the order leads to."""
    index = {block: number for number, block in enumerate(order)}
    return {
        block for number, block in enumerate(order) if any(index.get(before, -1) >= number for before in block.predecessors)
    }
