"""Decides conditions that a dominating branch has decided: a repeated null check, a comparison inside of its own arm.

A walk over the dominator tree that knows which way the branches above went.  A condition computed below becomes a constant, and
so does the use of one computed above; simplify follows them.
"""

from __future__ import annotations

from collections.abc import Iterator

from probee.compiler.ir import op
from probee.compiler.ir.dominance import children, immediate_dominators, reverse_postorder
from probee.compiler.ir.passes.fact import Facts
from probee.compiler.ir.type import BOOL
from probee.compiler.ir.unit import Block, Function, Unit, Value

_CONDITIONS = op.COMPARISONS | {op.CHECK_NULL}
_OF_BOOLS = frozenset((op.BRANCH, op.ZEXT, op.AND, op.OR, op.XOR))


def run(function: Function, unit: Unit) -> bool:
    """Replace what is known by constants; return whether anything was."""
    if len(function.blocks) < 2:
        return False
    facts = Facts()
    changed = False
    for block in walk(function, facts):
        changed |= _decide(block, facts)
    return changed


def walk(function: Function, facts: Facts) -> Iterator[Block]:
    """Visit the blocks, each after those that dominate it, with the facts that hold in it."""
    order = reverse_postorder(function)
    tree = children(immediate_dominators(order))
    work: list[tuple[int, int]] = [(0, -1)]  # (index of a block to visit, -1), or (-1, mark to go back to)
    while work:
        number, mark = work.pop()
        if number < 0:
            facts.undo(mark)
            continue
        work.append((-1, facts.mark()))
        block = order[number]
        if len(block.predecessors) == 1:
            learn_edge(facts, block.predecessors[0], block)
        yield block
        work += [(below, -1) for below in tree[number]]


def learn_edge(facts: Facts, source: Block, target: Block) -> None:
    """Learn what holds on the way from one block to another."""
    last = source.values[-1]
    if last.op == op.BRANCH and last.attr[0] is not last.attr[1]:
        facts.learn(last.args[0], last.attr[0] is target)


def _decide(block: Block, facts: Facts) -> bool:
    changed = False
    for value in list(block.values):
        operation = value.op
        if operation in _CONDITIONS:
            known = facts.lookup(value)
            if known is not None:
                value.op, value.args, value.attr = op.CONST, [], int(known)
                changed = True
        elif operation in _OF_BOOLS and value.args[0].type is BOOL:
            changed |= _decide_arguments(block, value, facts)
    return changed


def _decide_arguments(block: Block, value: Value, facts: Facts) -> bool:
    changed = False
    for index, arg in enumerate(value.args):
        known = facts.lookup(arg) if arg.op != op.CONST else None
        if known is not None:
            constant = Value(op.CONST, BOOL, [], int(known), value.span)
            block.values.insert(block.values.index(value), constant)
            value.args[index] = constant
            changed = True
    return changed
