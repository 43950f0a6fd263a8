"""Leads a block straight on to where a branch will take it: `if (a || b)`, and a pointer checked again where two ways join.

A *crossing* is a block of phis, what its condition is computed from, and a branch.  Where one of the ways into it decides the
branch (by a phi's constant, or by what is known there), that way is led past it.  Nothing is duplicated and loops keep their
heads.  A crossing's phis, and the proofs of pointers (`non_null`) behind it, become slots, which promotion turns into values
again: a proof behind it is then one proof per way.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.dominance import loop_headers, reverse_postorder
from probee.compiler.ir.passes.constant import evaluate
from probee.compiler.ir.passes.fact import Facts
from probee.compiler.ir.passes.known import learn_edge, walk
from probee.compiler.ir.passes.reroute import Crossing, Proofs, reroute
from probee.compiler.ir.unit import Block, Function, Unit, Value

ROUNDS = 4
_COMPUTED = op.ARITHMETIC | op.COMPARISONS | {op.ZEXT, op.TRUNC, op.CHECK_NULL, op.CONST}
_LONGEST = 6  # values that a condition is computed from


def run(function: Function, unit: Unit) -> bool:
    """Lead ways past the branches that they decide, until there are none; return whether there was one."""
    changed = False
    for _ in range(ROUNDS):
        if len(function.blocks) < 3:
            break
        crossings = _decided(function, _crossings(function))
        if not crossings:
            break
        reroute(function, crossings)
        changed = True
    return changed


def _crossings(function: Function) -> dict[Block, Crossing]:
    """Return the blocks that do nothing but choose where to go on."""
    headers: set[Block] | None = None
    found: dict[Block, Crossing] = {}
    for block in function.blocks:
        if len(block.predecessors) < 2 or block.values[-1].op != op.BRANCH:
            continue
        crossing = Crossing(block)
        if not _is_simple(crossing):
            continue
        if headers is None:
            headers = loop_headers(reverse_postorder(function))
        if block not in headers and not headers.intersection(crossing.targets):
            found[block] = crossing
    if found:
        _drop_used_elsewhere(function, found)
    return found


def _is_simple(crossing: Crossing) -> bool:
    sources = crossing.block.predecessors
    if not crossing.targets_differ or len(crossing.computed) > _LONGEST or len(set(sources)) < len(sources):
        return False
    if any(value.op not in _COMPUTED for value in crossing.computed):
        return False
    return not any(phi.type.space in ("packet", "packet_end") for phi in crossing.phis)


def _drop_used_elsewhere(function: Function, found: dict[Block, Crossing]) -> None:
    """Leave out blocks that compute something for others."""
    home = {value: block for block, crossing in found.items() for value in crossing.computed}
    if not home:
        return
    for block in function.blocks:
        for value in block.values:
            for arg in value.args:
                if arg in home and home[arg] is not block:
                    found.pop(home[arg], None)


def _decided(function: Function, crossings: dict[Block, Crossing]) -> list[Crossing]:
    """Find out which ways decide, and return the crossings of such, as far as they do not touch each other."""
    if not crossings:
        return []
    facts = Facts()
    for block in walk(function, facts):
        for target in block.successors:
            if target in crossings:
                mark = facts.mark()
                learn_edge(facts, block, target)
                crossing = crossings[target]
                index = target.predecessors.index(block)
                known = _condition_on(crossing, index, facts)
                if known is not None:
                    crossing.ways[index] = known
                facts.undo(mark)
    return _apart(function, [crossing for crossing in crossings.values() if crossing.ways])


def _apart(function: Function, crossings: list[Crossing]) -> list[Crossing]:
    """Return crossings that share no block and no pointer that they prove; the next round sees the others."""
    chosen: list[Crossing] = []
    touched: set[Block | Value] = set()
    if not crossings:
        return chosen
    proofs: Proofs | None = None
    for crossing in crossings:
        near = crossing.surroundings()
        if near & touched:
            continue
        if crossing.nullable and proofs is None:
            proofs = Proofs(function)
        if proofs is None or crossing.prepare(proofs):
            touched |= near
            chosen.append(crossing)
    return chosen


def _condition_on(crossing: Crossing, index: int, facts: Facts) -> bool | None:
    """Return how the branch goes for predecessor number `index`, None when that is not known."""
    here: dict[Value, Value] = {phi: phi.args[index] for phi in crossing.phis}
    decided: dict[Value, int] = {}
    for value in crossing.computed:
        args = [here.get(arg, arg) for arg in value.args]
        number = _number(value, args, decided)
        if number is None and (value.op in op.COMPARISONS or value.op == op.CHECK_NULL):
            known = facts.lookup(value, args)
            number = None if known is None else int(known)
        if number is not None:
            decided[value] = number
    condition = crossing.condition
    if condition in decided:
        return bool(decided[condition])
    if condition in crossing.computed:
        return None
    return facts.lookup(here.get(condition, condition))


def _number(value: Value, args: list[Value], decided: dict[Value, int]) -> int | None:
    """Return the constant that a value is, when all that it is computed from is."""
    if value.op == op.CONST:
        return int(value.attr)
    numbers: list[int] = []
    for arg in args:
        number = int(arg.attr) if arg.op == op.CONST else decided.get(arg)
        if number is None:
            return None
        numbers.append(number)
    if value.op == op.CHECK_NULL:
        return int(numbers[0] != 0)
    if len(numbers) == 2:
        return evaluate(value.op, numbers[0], numbers[1], args[0].type.bits)
    return numbers[0] & ((1 << value.type.bits) - 1)  # zext, trunc
