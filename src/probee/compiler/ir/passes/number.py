"""Value numbering: one walk down the dominator tree that folds every value, and replaces what is known already.

Known are pure values computed in a block that dominates (the same operation on the same arguments), results of helpers that
do not change while a program runs, conditions that a branch above has decided, and what memory holds (forward.py).
Provable operations are left as and where they are.  Constants move to the entry block, one of each: code generation makes
them where they are used.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.dominance import children, immediate_dominators, reverse_postorder
from probee.compiler.ir.passes.bounds import Bounds
from probee.compiler.ir.passes.convert import RULES
from probee.compiler.ir.passes.effect import CONSTANT, escaped_slots
from probee.compiler.ir.passes.forward import Known
from probee.compiler.ir.passes.rewrite_copy import stores_for
from probee.compiler.ir.passes.width import width_of
from probee.compiler.ir.type import BOOL, Type
from probee.compiler.ir.unit import Block, Function, Unit, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MISSING: Any = object()
_SUMS = frozenset((op.ADD, op.SUB))
_TERMS = 6  # of a sum that are told apart
_MEMORY = frozenset((op.COPY, op.ATOMIC, op.COMPARE_EXCHANGE, op.HELPER, op.CALL, op.KFUNC))


def run(function: Function, unit: Unit) -> bool:
    """Number the values of a function; return whether anything changed."""
    return _Numbering(function).run()


class _Numbering:
    def __init__(self, function: Function) -> None:
        self.function = function
        self.fields = function.fields
        self.width: dict[Value, int] = {}
        self._changed = False
        self._constants: dict[tuple[Type, int], Value] = {}
        self._same: dict[Value, Value] = {}  # replaced value → what it is replaced by, anywhere
        self._facts: dict[Value, Value] = {}  # value → what it is known to be here, below a branch
        self._table: dict[Any, Value] = {}  # what a value computes → the value, here
        self._undo: list[tuple[dict[Any, Value], Any, Value]] = []
        self.bounds = Bounds(function)
        self._out: list[Value] = []
        self._here: set[Value] = set()  # what the current block computes
        self._careful = False  # the current value needs bounds
        self._span = 0

    def run(self) -> bool:
        order = reverse_postorder(self.function)
        tree = children(immediate_dominators(order))
        index = {block: number for number, block in enumerate(order)}
        ends: dict[Block, Known] = {}
        escaped = escaped_slots(self.function)
        stack: list[tuple[int, int]] = [(0, -1)]
        while stack:
            number, mark = stack.pop()
            if mark >= 0:
                self._leave(mark)
                continue
            stack.append((number, len(self._undo)))
            block = order[number]
            before = block.predecessors[0] if len(block.predecessors) == 1 else None
            known = ends[before].copy() if before is not None and before in ends else Known(escaped)
            if before is not None:
                self._learn_from_branch(before, block)
            self._visit(block, known)
            if any(len(each.predecessors) == 1 and index[each] > number for each in block.successors):
                ends[block] = known
            stack += [(child, -1) for child in reversed(tree[number])]
        self._place_constants()
        return self._changed

    # -- scopes

    def _leave(self, mark: int) -> None:
        undo = self._undo
        while len(undo) > mark:
            table, key, old = undo.pop()
            if old is _MISSING:
                del table[key]
            else:
                table[key] = old

    def _enter(self, table: dict[Any, Value], key: Any, value: Value) -> None:
        self._undo.append((table, key, table.get(key, _MISSING)))
        table[key] = value

    def _learn_from_branch(self, before: Block, block: Block) -> None:
        """What the only way into a block says about the condition that was branched on."""
        last = before.values[-1]
        if last.op != op.BRANCH or last.attr[0] is last.attr[1]:
            return
        test, holds = last.args[0], last.attr[0] is block
        if test.op == op.CONST or test.op in op.PROVABLE:
            return
        self._enter(self._facts, test, self.const(int(holds), BOOL))
        if test.op in op.COMPARISONS:
            left, right = test.args
            negated = Value(op.NEGATED[test.op], BOOL, [left, right])
            self._enter(self._table, self._key(negated), self.const(int(not holds), BOOL))
            if test.op == (op.EQ if holds else op.NE) and left.type.is_int and right.op == op.CONST:
                self._enter(self._facts, left, right)

    # -- the walk

    def _visit(self, block: Block, known: Known) -> None:
        self._out, self._here = [], set()
        for value in block.values:
            if value.op == op.CONST:
                self._same[value] = self.const(value.attr, value.type)
                continue
            if value.op == op.PHI:
                self.width[value] = width_of(value, self.width)
                self._out.append(value)
                continue
            self._span = value.span
            if value.args:
                self._resolve(value)
            self._careful = value in self.bounds.needed
            new = self._number(value, known)
            if new is not value:
                self.bounds.replaced(value, new)
                self._same[value] = new
                self._changed = True
                self.fields.pop(value, None)
            if new.op in _SUMS and new in self.bounds.compared:
                self._enter(self._table, self._terms(new)[0], new)
        block.values = self._out
        for successor in block.successors:
            self._resolve_phis(block, successor)

    def _resolve(self, value: Value) -> None:
        same, facts = self._same, self._facts
        args = value.args
        for position, arg in enumerate(args):
            new = same.get(arg, arg)
            new = facts.get(new, new)
            if new is not arg:
                if args is value.args:
                    args = list(args)
                args[position] = new
                self._changed |= arg.op != op.CONST
        if args is not value.args:
            value.args = args

    def _resolve_phis(self, block: Block, successor: Block) -> None:
        """The arguments that phis take from the end of a block, and what the branch there says about those that are bools.

        A number that is known stays the variable that it was compared as: phi and variable are mostly one register.
        """
        if successor.values[0].op != op.PHI:
            return
        mark = len(self._undo)
        if successor.predecessors.count(block) == 1:
            self._learn_from_branch(block, successor)
        for phi in successor.values:
            if phi.op != op.PHI:
                break
            for position, before in enumerate(successor.predecessors):
                if before is block:
                    arg = self._same.get(phi.args[position], phi.args[position])
                    phi.args[position] = self._facts.get(arg, arg) if arg.type is BOOL else arg
        self._leave(mark)

    def _number(self, value: Value, known: Known) -> Value:
        """Return the value to use: this one, appended to the block, or another."""
        operation = value.op
        if operation in op.PURE:
            return self.put(value)
        if operation == op.LOAD:
            return self._load(value, known)
        if operation == op.PARAM or (operation == op.HELPER and value.attr in CONSTANT):
            return self._numbered(value)
        if operation == op.STORE:
            pointer, stored = value.args
            held = known.find(pointer, value.attr, stored.type)
            if held is stored or (held == 0 and stored.op == op.CONST and stored.attr == 0):
                self._changed = True  # it is there already
                return stored
            known.store(pointer, value.attr, stored)
        elif operation == op.BOUND and value.args[0].op == op.CONST:
            return self.const(min(value.args[0].attr, value.attr), value.type)
        elif operation == op.NON_NULL and not value.args[0].type.nullable:
            return value.args[0]
        elif operation == op.ZERO:
            known.zero(value.args[0], *value.attr)
        elif operation == op.COPY and (stores := stores_for(value, known)):
            for store in stores:
                self._number(store, known)
            return store
        elif operation in _MEMORY:
            known.effect(value)
        return self._append(value)

    def _load(self, value: Value, known: Known) -> Value:
        pointer = value.args[0]
        found = known.find(pointer, value.attr, value.type)
        if isinstance(found, Value) and self._field(found) == self._field(value):
            return found
        if found == 0:
            return self.const(0, value.type)
        known.learn(pointer, value.attr, self._append(value))
        return value

    def put(self, value: Value) -> Value:
        """Fold and number a pure value."""
        rule = RULES.get(value.op)
        if rule is not None and not (self._careful and self.bounds.is_checked(value)):
            new = rule(self, value)
            if new is not None:
                return new
        if self._careful and value.op in _SUMS and value in self.bounds.needed:
            new = self._near_compared(value)
            if new is not None:
                return new
        return self._numbered(value)

    def _near_compared(self, value: Value) -> Value | None:
        """Return a sum as one that was compared, and a constant: the verifier knows of the two what that comparison showed."""
        key, constant = self._terms(value)
        found = self._table.get(key)
        if found is None or found is value:
            return None
        number = constant - self._terms(found)[1]
        if number == 0:
            return found
        return self._numbered(Value(op.ADD, value.type, [found, self.const(number, value.type)], None, value.span))

    def _terms(self, value: Value) -> tuple[tuple[object, ...], int]:
        """Return a sum without its constant, as the numbers that it is made of and how often, and the constant."""
        terms: dict[Value, int] = {}
        constant = 0
        work = [(value, 1)]
        while work:
            each, sign = work.pop()
            if each.op == op.CONST:
                constant += sign * each.attr
            elif each.op in _SUMS and len(terms) + len(work) < _TERMS:
                work += [(each.args[0], sign), (each.args[1], sign if each.op == op.ADD else -sign)]
            else:
                terms[each] = terms.get(each, 0) + sign
        return ("sum", value.type, frozenset(terms.items())), constant

    def _numbered(self, value: Value) -> Value:
        key = self._key(value)
        found = self._table.get(key)
        if found is not None and (not self._careful or self._may_stand_for_bounded(found)):
            return found
        self._enter(self._table, key, value)
        return self._append(value)

    def _may_stand_for_bounded(self, found: Value) -> bool:
        """Return whether a value's bounds are those that one computed here would have: nothing was checked since, or it was."""
        return found in self._here or found.op == op.CONST or found in self.bounds.compared

    def _append(self, value: Value) -> Value:
        self._out.append(value)
        self._here.add(value)
        self.width[value] = width_of(value, self.width)
        return value

    def _key(self, value: Value) -> tuple[object, ...]:
        args = value.args
        if value.op in op.COMMUTATIVE and id(args[0]) > id(args[1]):
            args = [args[1], args[0]]
        return (value.op, value.type, value.attr, self._field(value), *args)

    def _field(self, value: Value) -> tuple[str, str] | None:
        field = self.fields.get(value)
        return (field.root, field.path) if field is not None else None

    # -- what rules use

    def const(self, number: int, type: Type) -> Value:
        number &= (1 << type.bits) - 1
        key = (type, number)
        found = self._constants.get(key)
        if found is None:
            found = self._constants[key] = Value(op.CONST, type, [], number)
            self.width[found] = number.bit_length()
        return found

    def make(self, operation: str, type: Type, args: list[Value], attr: object = None) -> Value:
        return self.put(Value(operation, type, args, attr, self._span))

    def _place_constants(self) -> None:
        entry = self.function.entry.values
        first = next(index for index, value in enumerate(entry) if value.op != op.ALLOCA)
        entry[first:first] = self._constants.values()
