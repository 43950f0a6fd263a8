"""Writes a counted loop out, turn by turn: the rewriting that unroll.py has decided on (no pass itself).

A turn's copy ends in a jump to the next one's; ways out other than the counted one leave from each turn.  What is used behind
the loop becomes a slot, which promotion turns into values again.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.passes.promote import Promotion
from probee.compiler.ir.passes.reroute import load_for_phi, load_from_slots
from probee.compiler.ir.passes.simplify import remove_edge
from probee.compiler.ir.type import VOID, Type, pointer
from probee.compiler.ir.unit import Block, Function, Slot, Value, connect


class Loop:
    """A header, the blocks that lead back to it, and what lies between; `test` ends in the branch that counts."""

    __slots__ = ("blocks", "entry", "header", "latches", "phis", "size", "test", "turns", "wish")

    def __init__(self, header: Block, latches: list[Block], blocks: list[Block]) -> None:
        self.header = header
        self.latches = latches
        self.blocks = blocks  # the header first
        self.entry = [index for index, before in enumerate(header.predecessors) if before not in latches]
        self.phis = [value for value in header.values if value.op == op.PHI]
        self.test = header
        self.turns = 0
        self.size = 0
        self.wish = next((value for block in blocks for value in block.values if value.op == op.UNROLL), None)

    def exit_of(self, block: Block) -> Block | None:
        """Return where a block's branch leaves the loop, None unless exactly one of its ways does."""
        outside = [way for way in block.successors if way not in self.blocks]
        return outside[0] if len(outside) == 1 and len(block.successors) == 2 else None


def values_leaving(function: Function, loops: list[Loop]) -> dict[Loop, list[Value]]:
    """Return the values of each loop that are used behind it."""
    inside = {block: loop for loop in loops for block in loop.blocks}
    home = {value: loop for block, loop in inside.items() for value in block.values}
    used: dict[Loop, dict[Value, None]] = {loop: {} for loop in loops}
    for block in function.blocks:
        own = inside.get(block)
        for value in block.values:
            for arg in value.args:
                loop = home.get(arg)
                if loop is not None and loop is not own:
                    used[loop][arg] = None
    return {loop: list(values) for loop, values in used.items()}


def write_out(function: Function, loops: list[Loop]) -> None:
    """Put the turns one behind the other in place of the loops, none of which leads straight to another."""
    slots = _use_slots(function, loops)
    for loop in loops:
        _write_out(function, loop)
    connect(function)
    if slots:
        Promotion(function, slots).run()


def _write_out(function: Function, loop: Loop) -> None:
    outside = list(dict.fromkeys(way for block in loop.blocks for way in block.successors if way not in loop.blocks))
    turns: list[_Turn] = []
    for number in range(loop.turns + 1):
        last = number == loop.turns
        blocks = loop.blocks[:1] if last and loop.test is loop.header else loop.blocks
        turns.append(_Turn(loop, blocks, turns[-1] if turns else None, stay=not last))
    first = turns[0].blocks[loop.header]
    for index in loop.entry:
        _lead(loop.header.predecessors[index], loop.header, first)
    for turn, following in zip(turns, [*turns[1:], None], strict=True):
        turn.link(following)
        turn.copy_fields(function)
    for target in outside:
        _enter_from(target, loop, turns)


def _use_slots(function: Function, loops: list[Loop]) -> dict[Value, Type]:
    """Let what is behind the loops find their values in slots; return these."""
    leaving = values_leaving(function, loops)
    instead = {value: Value(op.ALLOCA, pointer("stack"), [], Slot(8)) for values in leaving.values() for value in values}
    if not instead:
        return {}
    inside = {block: loop for loop in loops for block in loop.blocks}
    others = {loop: {value: instead[value] for value in instead if value not in leaving[loop]} for loop in loops}
    for block in function.blocks:
        loop = inside.get(block)
        foreign = instead if loop is None else others[loop]
        if foreign:
            load_from_slots(block, foreign)
            for phi in block.values:
                if phi.op != op.PHI:
                    break
                load_for_phi(block, phi, foreign)
    for loop in loops:
        own = {value: instead[value] for value in leaving[loop]}
        for block in loop.blocks if own else ():
            phis = [value for value in block.values if value.op == op.PHI]
            rest = block.values[len(phis) :]
            block.values = [*phis, *_with_stores(phis, own, own=False), *_with_stores(rest, own, own=True)]
    return {slot: value.type for value, slot in instead.items()}


def _with_stores(values: list[Value], instead: dict[Value, Value], *, own: bool) -> list[Value]:
    """Return stores of those values that have slots, behind each when `own`."""
    out: list[Value] = []
    for value in values:
        out += [value] if own else []
        if value in instead:
            out.append(Value(op.STORE, VOID, [instead[value], value], 0, value.span))
    return out


class _Turn:
    """One turn's copy of the blocks and their values; `before` is the turn before, `stay` how its test goes."""

    def __init__(self, loop: Loop, blocks: list[Block], before: _Turn | None, *, stay: bool) -> None:
        self.loop = loop
        self.stay = stay
        self.blocks = {block: Block() for block in blocks}
        self.values: dict[Value, Value] = {}
        self._head(before)
        for block, new in self.blocks.items():
            for value in block.values:
                if value not in self.values and value.op != op.UNROLL:
                    new.values.append(self._copy(value))
            if block is not loop.header:
                new.predecessors = [self.blocks[each] for each in block.predecessors]

    def _head(self, before: _Turn | None) -> None:
        """Give the header's phis what comes from before the loop, or from the turn before."""
        header, entry = self.loop.header, self.loop.entry
        new = self.blocks[header]
        indices = [index for index in range(len(header.predecessors)) if (index in entry) == (before is None)]
        sources = [header.predecessors[index] for index in indices]
        new.predecessors = [before.blocks[each] for each in sources] if before is not None else sources
        for phi in self.loop.phis:
            args = [phi.args[index] for index in indices]
            if before is not None:
                args = [before.values.get(arg, arg) for arg in args]
            if any(arg is not args[0] for arg in args):
                args = [Value(op.PHI, phi.type, args, None, phi.span)]
                new.values += args
            self.values[phi] = args[0]

    def _copy(self, value: Value) -> Value:
        args = [self.values.get(arg, arg) for arg in value.args]
        new = self.values[value] = Value(value.op, value.type, args, value.attr, value.span)
        return new

    def link(self, following: _Turn | None) -> None:
        """Lead the copies to each other, and back edges to the following turn."""
        loop = self.loop
        for block, new in self.blocks.items():
            last = new.values[-1]
            ways = block.successors
            if block is loop.test:
                ways = tuple(way for way in ways if (way in loop.blocks) == self.stay)
                new.values[-1] = last = Value(op.JUMP, VOID, [], ways[0], last.span)
            to = following if following is not None else self
            targets = tuple((to if way is loop.header else self).blocks.get(way, way) for way in ways)
            last.attr = targets if last.op == op.BRANCH else targets[0] if last.op == op.JUMP else last.attr

    def copy_fields(self, function: Function) -> None:
        for value, new in self.values.items():
            if value in function.fields:
                function.fields[new] = function.fields[value]


def _lead(block: Block, old: Block, new: Block) -> None:
    last = block.values[-1]
    last.attr = new if last.op == op.JUMP else tuple(new if way is old else way for way in last.attr)


def _enter_from(target: Block, loop: Loop, turns: list[_Turn]) -> None:
    """Let a block behind the loop be entered from each turn's copies instead of from the loop."""
    phis = [value for value in target.values if value.op == op.PHI]
    for index, source in reversed(list(enumerate(target.predecessors))):
        if source in loop.blocks:
            for turn in turns:
                new = turn.blocks.get(source)
                if new is not None and target in new.successors:
                    target.predecessors = [*target.predecessors, new]
                    for phi in phis:
                        phi.args = [*phi.args, turn.values.get(phi.args[index], phi.args[index])]
            remove_edge(target, index)
