"""Promotes stack slots to values: an alloca that is only ever loaded and stored whole, as one type, becomes SSA values.

A load takes the value that was stored last on the way to it.  Phis are made on demand where several ways join, and only
those that join different values stay (Braun et al., "Simple and Efficient Construction of SSA Form", 2013), without
recursion.  A slot that is read before it is written has the value `undef`.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.type import Type, pointer
from probee.compiler.ir.unit import Block, Function, Unit, Value, replace

_NO_PHI = ("context", "percpu")  # spaces whose pointers the verifier wants straight from where they come


def run(function: Function, unit: Unit) -> bool:
    """Promote every slot that can be; return whether there was one."""
    slots = promotable(function)
    if not slots:
        return False
    Promotion(function, slots).run()
    return True


def promotable(function: Function) -> dict[Value, Type]:
    """Return the allocas that are only loaded and stored whole, with the type that they hold."""
    slots: dict[Value, Type | None] = {value: None for value in function.entry.values if value.op == op.ALLOCA}
    if not slots:
        return {}
    proved: set[Value] = set()  # slots that pointers are loaded from which are not null
    doubtful: set[Value] = set()  # … and stored to which may be
    for block in function.blocks:
        for value in block.values:
            args = value.args
            if not args:
                continue
            whole = None
            if value.op == op.LOAD and value.attr == 0:
                whole = value.type
                if whole.is_pointer and not whole.nullable:
                    proved.add(args[0])
            elif value.op == op.STORE and value.attr == 0:
                whole = args[1].type
                slots.pop(args[1], None)
                if whole.nullable:
                    doubtful.add(args[0])
            if whole is None:
                for arg in args:
                    slots.pop(arg, None)
            elif args[0] in slots and slots.setdefault(args[0], whole) is not whole:
                together = _joined(slots[args[0]], whole)
                if together is None:
                    del slots[args[0]]
                else:
                    slots[args[0]] = together
    return {
        slot: pointer(type.space) if slot in proved else type
        for slot, type in slots.items()
        if type is not None and not (slot in proved and slot in doubtful)
    }


def _joined(held: Type | None, whole: Type) -> Type | None:
    """Return the type of a slot that holds two, None when it cannot: the pointers to one space, null or not, go together."""
    if held is None:
        return whole if whole.space not in _NO_PHI else None
    return pointer(whole.space, nullable=True) if held.is_pointer and held.space == whole.space else None


class Promotion:
    """Turns slots, each with the type that it holds, into values; all their loads and stores must be of the whole slot."""

    def __init__(self, function: Function, slots: dict[Value, Type]) -> None:
        self.function = function
        self.slots = slots
        self.at_end: dict[Value, dict[Block, Value]] = {slot: {} for slot in slots}
        self.at_start: dict[Value, dict[Block, Value]] = {slot: {} for slot in slots}
        self.changes: dict[Value, Value] = {}
        self.phis: dict[Value, tuple[Value, Block]] = {}  # phi → its slot, its block
        self.pending: list[Value] = []
        self.undefined: dict[Type, Value] = {}

    def run(self) -> None:
        self._note_stores()
        for block in self.function.blocks:
            self._forward(block)
        while self.pending:
            phi = self.pending.pop()
            slot, block = self.phis[phi]
            phi.args = [self._value_at_end(slot, before, phi.span) for before in block.predecessors]
        self._drop_trivial_phis()
        self._place()
        replace(self.function, self.changes)

    def _note_stores(self) -> None:
        """Find what each slot holds at the end of the blocks that store to it."""
        at_end = self.at_end
        for block in self.function.blocks:
            for value in block.values:
                if value.op == op.STORE and value.args[0] in at_end:
                    at_end[value.args[0]][block] = value.args[1]

    def _forward(self, block: Block) -> None:
        """Find the value of every load of a slot; take the loads, stores and slots out."""
        slots = self.slots
        now: dict[Value, Value] = {}
        kept: list[Value] = []
        for value in block.values:
            operation = value.op
            if operation == op.LOAD and value.args[0] in slots:
                slot = value.args[0]
                if slot not in now:
                    now[slot] = self._value_at_start(slot, block, value.span)
                self.changes[value] = now[slot]
            elif operation == op.STORE and value.args[0] in slots:
                now[value.args[0]] = value.args[1]
            elif operation != op.ALLOCA or value not in slots:
                kept.append(value)
        block.values = kept

    def _value_at_end(self, slot: Value, block: Block, span: int) -> Value:
        found = self.at_end[slot].get(block)
        return found if found is not None else self._value_at_start(slot, block, span)

    def _value_at_start(self, slot: Value, block: Block, span: int) -> Value:
        """Walk up while there is one predecessor, to a store, a join (an empty phi for now) or the entry."""
        at_end, at_start = self.at_end[slot], self.at_start[slot]
        path: list[Block] = []
        found: Value | None = None
        while found is None:
            found = at_start.get(block)
            if found is None:
                path.append(block)
                if len(block.predecessors) == 1:
                    block = block.predecessors[0]
                    found = at_end.get(block)
                else:
                    found = self._phi(slot, block, span) if block.predecessors else self._undef(self.slots[slot])
        for passed in path:
            at_start[passed] = found
        return found

    def _phi(self, slot: Value, block: Block, span: int) -> Value:
        phi = Value(op.PHI, self.slots[slot], [], None, span)
        self.phis[phi] = (slot, block)
        self.pending.append(phi)
        return phi

    def _undef(self, type: Type) -> Value:
        if type not in self.undefined:
            self.undefined[type] = Value(op.UNDEF, type, [])
        return self.undefined[type]

    def _final(self, value: Value) -> Value:
        changes = self.changes
        while value in changes:
            value = changes[value]
        return value

    def _drop_trivial_phis(self) -> None:
        """A phi of one value and itself is that value; which may make phis that it is an argument of trivial."""
        users: dict[Value, list[Value]] = {}
        for phi in self.phis:
            for arg in phi.args:
                users.setdefault(self._final(arg), []).append(phi)
        work = list(self.phis)
        while work:
            phi = work.pop()
            if phi in self.changes:
                continue
            others = {self._final(arg) for arg in phi.args} - {phi}
            if len(others) == 1:
                same = self.changes[phi] = others.pop()
                affected = users.pop(phi, [])
                users.setdefault(same, []).extend(affected)
                work += affected

    def _place(self) -> None:
        for phi, (_, block) in self.phis.items():
            if phi not in self.changes:
                block.values.insert(0, phi)
        entry = self.function.entry.values
        first = next((index for index, value in enumerate(entry) if value.op != op.ALLOCA), 0)
        entry[first:first] = self.undefined.values()
