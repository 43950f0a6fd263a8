"""dominance: orders and dominators against the plain definition."""

from __future__ import annotations

import random

import pytest

from probee.compiler.ir import op
from probee.compiler.ir.dominance import children, immediate_dominators, loop_headers, reverse_postorder
from probee.compiler.ir.type import BOOL, I64, VOID, pointer
from probee.compiler.ir.unit import Block, Function, Value, connect


def random_graph(rng: random.Random, size: int) -> Function:
    """Return a function of empty blocks with random jumps and branches."""
    function = Function("f", (pointer("context"),), I64)
    blocks = [Block() for _ in range(size)]
    for block in blocks:
        choices = [rng.choice(blocks[1:]) for _ in range(rng.randrange(3))] if size > 1 else []
        if len(choices) == 2:
            test = Value(op.CONST, BOOL, [], 1)
            block.values = [test, Value(op.BRANCH, VOID, [test], tuple(choices))]
        elif choices:
            block.values = [Value(op.JUMP, VOID, [], choices[0])]
        else:
            block.values = [Value(op.RETURN, VOID, [])]
    function.blocks = blocks
    connect(function)
    return function


def reachable(function: Function, without: Block | None) -> set[Block]:
    seen: set[Block] = set()
    work = [function.entry]
    while work:
        block = work.pop()
        if block is not without and block not in seen:
            seen.add(block)
            work += block.successors
    return seen


@pytest.mark.parametrize("seed", range(60))
def test_dominators_are_the_blocks_that_no_path_avoids(seed: int) -> None:
    function = random_graph(random.Random(seed), 1 + seed % 14)
    order = reverse_postorder(function)
    idom = immediate_dominators(order)
    everything = reachable(function, None)
    assert set(order) == everything
    for number, block in enumerate(order):
        found = {block}
        while number:
            number = idom[number]
            found.add(order[number])
        assert found == {other for other in everything if block not in reachable(function, other)}


@pytest.mark.parametrize("seed", range(30))
def test_the_order_puts_a_block_before_its_successors_unless_the_edge_closes_a_loop(seed: int) -> None:
    function = random_graph(random.Random(seed), 12)
    order = reverse_postorder(function)
    place = {block: number for number, block in enumerate(order)}
    headers = loop_headers(order)
    for block in order:
        for successor in block.successors:
            assert place[successor] > place[block] or successor in headers


def test_children_are_the_tree_upside_down() -> None:
    assert children([0, 0, 1, 1, 0]) == [[1, 4], [2, 3], [], [], []]
