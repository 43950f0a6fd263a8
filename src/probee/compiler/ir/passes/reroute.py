"""The rewriting that thread.py has decided on: ways led past crossings, and values put right behind them (no pass itself)."""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.dominance import immediate_dominators, reverse_postorder
from probee.compiler.ir.passes.promote import Promotion
from probee.compiler.ir.passes.simplify import remove_edge
from probee.compiler.ir.type import VOID, Type, pointer
from probee.compiler.ir.unit import Block, Function, Slot, Value, connect


class Crossing:
    """A block of phis, a condition and a branch; `ways`: predecessor's number → whether the condition holds from there."""

    __slots__ = ("block", "computed", "condition", "phis", "pointer", "proofs", "proved", "ways")

    def __init__(self, block: Block) -> None:
        self.block = block
        self.phis = [value for value in block.values if value.op == op.PHI]
        self.computed = block.values[len(self.phis) : -1]
        self.condition = block.values[-1].args[0]
        self.ways: dict[int, bool] = {}
        self.pointer: Value | None = None  # what the condition proves, when it does
        self.proved: Block | None = None  # … and where
        self.proofs: list[Value] = []  # the non_nulls that rely on it

    @property
    def targets(self) -> tuple[Block, Block]:
        then, otherwise = self.block.values[-1].attr
        return then, otherwise

    @property
    def targets_differ(self) -> bool:
        then, otherwise = self.targets
        return then is not otherwise and self.block not in (then, otherwise)

    def surroundings(self) -> set[Block | Value]:
        """Return the blocks that change with this one, and its phis and pointers that may be proved."""
        near: set[Block | Value] = {self.block, *self.targets, *self.block.predecessors, *self.phis}
        self._find_pointer()
        if self.pointer is not None:
            near.add(self.pointer)
            near.update(self.pointer.args if self.pointer in self.phis else ())
        return near

    @property
    def nullable(self) -> set[Value]:
        """Return the pointers that may be proved behind the branch; surroundings() has found out."""
        found = {phi for phi in self.phis if phi.type.nullable}
        return found | {self.pointer} if self.pointer is not None else found

    def prepare(self, proofs: Proofs) -> bool:
        """Find the proofs behind the branch; return whether all of them can be moved to the ways."""
        for each in self.nullable:
            for block, proof in proofs.of.get(each, ()):
                if each is self.pointer and self._is_behind(block, proofs):
                    self.proofs.append(proof)
                elif each in self.phis:
                    return False
        return True

    def _is_behind(self, block: Block, proofs: Proofs) -> bool:
        """Return whether a block is reached only through the edge that proves the pointer."""
        proved = self.proved
        return proved is not None and len(proved.predecessors) == 1 and proofs.dominates(proved, block)

    def _find_pointer(self) -> None:
        test = self.condition
        if test.op == op.CHECK_NULL:
            self.pointer, self.proved = test.args[0], self.targets[0]
        elif test.op in (op.EQ, op.NE) and test.args[0].type.nullable and test.args[1].op == op.CONST:
            self.pointer, self.proved = test.args[0], self.targets[test.op == op.EQ]


class Proofs:
    """Every `non_null` of a function, by its pointer, with its block."""

    def __init__(self, function: Function) -> None:
        order = reverse_postorder(function)
        self._number = {block: number for number, block in enumerate(order)}
        self._idom = immediate_dominators(order)
        self.of: dict[Value, list[tuple[Block, Value]]] = {}
        for block in order:
            for value in block.values:
                if value.op == op.NON_NULL:
                    self.of.setdefault(value.args[0], []).append((block, value))

    def dominates(self, above: Block, below: Block) -> bool:
        goal, number = self._number[above], self._number[below]
        while number > goal:
            number = self._idom[number]
        return number == goal


def reroute(function: Function, crossings: list[Crossing]) -> None:
    """Lead the ways past, and make what the crossings' phis and proofs were anew."""
    slots: dict[Value, Type] = {}
    instead: dict[Value, Value] = {}  # phi, proof → its slot
    for crossing in crossings:
        for value in (*crossing.phis, *crossing.proofs):
            slot = instead[value] = Value(op.ALLOCA, pointer("stack"), [], Slot(8))
            slots[slot] = value.type
        _lead(function, crossing, instead)
    proofs = {proof for crossing in crossings for proof in crossing.proofs}
    for block in function.blocks:
        if proofs:
            block.values = [value for value in block.values if value not in proofs]
        load_from_slots(block, instead)
    for block in function.blocks:
        for phi in block.values:
            if phi.op != op.PHI:
                break
            load_for_phi(block, phi, instead)
    connect(function)
    if slots:
        Promotion(function, slots).run()


def _lead(function: Function, crossing: Crossing, instead: dict[Value, Value]) -> None:
    block = crossing.block
    for index, before in enumerate(block.predecessors):
        stores = [Value(op.STORE, VOID, [instead[phi], phi.args[index]], 0) for phi in crossing.phis]
        before.values[-1:-1] = stores
    for index, holds in crossing.ways.items():
        target = crossing.targets[0 if holds else 1]
        _new_edge(function, crossing, index, target, instead)
    if crossing.proofs and len(crossing.ways) < len(block.predecessors):
        _prove_at_crossing(function, crossing, instead)
    for index in sorted(crossing.ways, reverse=True):
        remove_edge(block, index)
    block.values = block.values[len(crossing.phis) :]


def _new_edge(function: Function, crossing: Crossing, index: int, target: Block, instead: dict[Value, Value]) -> None:
    """Lead predecessor number `index` to `target`, by a block of its own."""
    here = {phi: phi.args[index] for phi in crossing.phis}
    edge = Block()
    if crossing.proofs and target is crossing.proved:
        assert crossing.pointer is not None
        _prove(edge, here.get(crossing.pointer, crossing.pointer), crossing.proofs, instead)
    edge.values.append(Value(op.JUMP, VOID, [], target))
    before = crossing.block.predecessors[index]
    last = before.values[-1]
    last.attr = edge if last.op == op.JUMP else tuple(edge if way is crossing.block else way for way in last.attr)
    edge.predecessors = [before]
    function.blocks.append(edge)
    at = target.predecessors.index(crossing.block)
    for phi in target.values:
        if phi.op != op.PHI:
            break
        phi.args = [*phi.args, here.get(phi.args[at], phi.args[at])]
    target.predecessors = [*target.predecessors, edge]


def _prove(block: Block, pointer: Value, proofs: list[Value], instead: dict[Value, Value]) -> None:
    proved = pointer
    if pointer.type.nullable:
        proved = Value(op.NON_NULL, proofs[0].type, [pointer], None, proofs[0].span)
        block.values.append(proved)
    block.values += [Value(op.STORE, VOID, [instead[proof], proved], 0) for proof in proofs]


def _prove_at_crossing(function: Function, crossing: Crossing, instead: dict[Value, Value]) -> None:
    """Put a block on the edge that proves the pointer for the ways that still go through the crossing."""
    block, target = crossing.block, crossing.proved
    assert target is not None and crossing.pointer is not None
    edge = Block()
    _prove(edge, crossing.pointer, crossing.proofs, instead)
    edge.values.append(Value(op.JUMP, VOID, [], target))
    edge.predecessors = [block]
    last = block.values[-1]
    last.attr = tuple(edge if way is target else way for way in last.attr)
    target.predecessors = [edge if before is block else before for before in target.predecessors]
    function.blocks.append(edge)


def load_from_slots(block: Block, instead: dict[Value, Value]) -> None:
    """Let what is not a phi take slots' contents, loaded once at the block's head."""
    loads: dict[Value, Value] = {}
    for value in block.values:
        if value.op != op.PHI:
            args = value.args
            for index, arg in enumerate(args):
                if arg in instead:
                    if arg not in loads:
                        loads[arg] = Value(op.LOAD, arg.type, [instead[arg]], 0, arg.span)
                    args[index] = loads[arg]
    if loads:
        head = next(index for index, value in enumerate(block.values) if value.op != op.PHI)
        block.values[head:head] = loads.values()


def load_for_phi(block: Block, phi: Value, instead: dict[Value, Value]) -> None:
    """Let a phi take slots' contents, loaded at the end of the predecessor."""
    for index, arg in enumerate(phi.args):
        if arg in instead:
            load = Value(op.LOAD, arg.type, [instead[arg]], 0, arg.span)
            block.predecessors[index].values[-1:-1] = [load]
            phi.args[index] = load
