"""What is known about conditions where a branch on them has been taken (no pass itself).

A condition is brought to one form first, so that `x != 0` known false answers `x == 0`, and a checked pointer answers every
further check of it.  What the kernel's verifier learns from a packet check it forgets elsewhere: those are no facts.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.passes.constant import evaluate
from probee.compiler.ir.type import DIRECT
from probee.compiler.ir.unit import Value

Key = tuple[object, ...]

_SIMPLER = {op.NE: op.EQ, op.UGE: op.ULT, op.UGT: op.ULE, op.SGE: op.SLT, op.SGT: op.SLE}
_NOT_NULL = "not null"
_IS = "is"


class Facts:
    """Facts of the current place; `mark` and `undo` follow a walk over the dominator tree."""

    __slots__ = ("_known", "_log")

    def __init__(self) -> None:
        self._known: dict[Key, int] = {}
        self._log: list[tuple[Key, int | None]] = []

    def mark(self) -> int:
        return len(self._log)

    def undo(self, mark: int) -> None:
        """Forget what was learnt since `mark`."""
        while len(self._log) > mark:
            key, before = self._log.pop()
            if before is None:
                del self._known[key]
            else:
                self._known[key] = before

    def learn(self, condition: Value, holds: bool) -> None:
        """Note that a bool is true, or false, from here on."""
        found = _key(condition.op, condition.args, condition)
        if found is None:
            return
        key, positive = found
        self._note(key, int(holds == positive))
        if key[0] == op.EQ and holds == positive and isinstance(key[2], tuple):
            self._note((_IS, key[1]), key[2][1])

    def _note(self, key: Key, known: int) -> None:
        self._log.append((key, self._known.get(key)))
        self._known[key] = known

    def lookup(self, condition: Value, args: list[Value] | None = None) -> bool | None:
        """Return whether a bool is known to hold; `args` look instead of its own at the place where it would be."""
        args = condition.args if args is None else args
        if condition.op == op.CONST:
            return bool(condition.attr)
        if condition.op == op.CHECK_NULL and not args[0].type.nullable and args[0].type.space in DIRECT:
            return True
        found = _key(condition.op, args, condition)
        if found is None:
            return None
        key, positive = found
        known = self._known.get(key)
        if known is None and condition.op in op.COMPARISONS:
            return self._compare(condition.op, args)
        return None if known is None else bool(known) == positive

    def _compare(self, operation: str, args: list[Value]) -> bool | None:
        """Compare numbers that are known."""
        left, right = self._number(args[0]), self._number(args[1])
        if left is None or right is None:
            return None
        return bool(evaluate(operation, left, right, args[0].type.bits))

    def _number(self, value: Value) -> int | None:
        return value.attr if value.op == op.CONST else self._known.get((_IS, value))


def _key(operation: str, args: list[Value], condition: Value) -> tuple[Key, bool] | None:
    """Return the form under which a condition is known, and whether it is that or its opposite."""
    if operation == op.CHECK_NULL:
        return ((_NOT_NULL, args[0]), True) if args[0].op != op.CONST else None
    if operation == op.CHECK_PACKET:
        return None
    if operation == op.XOR and args[1].op == op.CONST:
        found = _key(args[0].op, args[0].args, args[0])
        return found if found is None else (found[0], found[1] != bool(args[1].attr))
    if operation not in op.COMPARISONS:
        return (condition,), True
    left, right = args
    if left.op == op.CONST and right.op != op.CONST:
        left, right, operation = right, left, op.SWAPPED[operation]
    positive = operation not in _SIMPLER
    operation = _SIMPLER.get(operation, operation)
    if right.op != op.CONST:
        return (operation, left, right), positive
    if operation == op.EQ and left.type.is_pointer:
        return (_NOT_NULL, left), not positive
    return (operation, left, (right.type, right.attr)), positive
