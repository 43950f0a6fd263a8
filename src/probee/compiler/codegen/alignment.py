"""How pointers into the stack are aligned, of which a variable has moved some: `t[i]`, whose elements have 12 bytes, to 4.

Only what is certain counts; of a pointer of unknown origin it is taken that its access fits, as C says.
"""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.ir import op
from probee.compiler.ir.unit import Value

_MOST = 8
_PATIENCE = 64  # how many values are looked at


def alignment(pointer: Value) -> int:
    """Return what a pointer is a multiple of, counted from the frame's end: 1, 2, 4 or 8."""
    return _Search().of_pointer(pointer)


class _Search:
    """One question.  A phi that is met on the way to itself takes nothing away: what goes round a loop only adds to it."""

    def __init__(self) -> None:
        self._left = _PATIENCE
        self._open: set[Value] = set()

    def of_pointer(self, value: Value) -> int:
        if value.op == op.OFFSET:
            return min(self.of_pointer(value.args[0]), self._of_number(value.args[1])) if self._goes_on() else 1
        if value.op == op.NON_NULL:
            return self.of_pointer(value.args[0])
        if value.op == op.PHI:
            return self._of_phi(value, self.of_pointer)
        return _MOST

    def _goes_on(self) -> bool:
        self._left -= 1
        return self._left > 0

    def _of_phi(self, value: Value, of: Callable[[Value], int]) -> int:
        if value in self._open:
            return _MOST
        if not self._goes_on():
            return 1
        self._open.add(value)
        found = min(of(arg) for arg in value.args)
        self._open.remove(value)
        return found

    def _of_number(self, value: Value) -> int:
        """Return the largest power of two up to 8 that a number is a multiple of for certain."""
        if value.op == op.CONST:
            number = int(value.attr)
            return min(number & -number, _MOST) if number else _MOST
        if not self._goes_on():
            return 1
        if value.op == op.PHI:
            return self._of_phi(value, self._of_number)
        inner = [self._of_number(arg) for arg in value.args] if value.op in _SUMS or value.op in _PRODUCTS else []
        if value.op in _SUMS:
            return min(inner)
        if value.op in _PRODUCTS:
            return min(_MOST, inner[0] * inner[1]) if value.op == op.MUL else max(inner)
        if value.op == op.SHL and value.args[1].op == op.CONST:
            return min(_MOST, self._of_number(value.args[0]) << min(int(value.args[1].attr), 3))
        return 1


_SUMS = frozenset((op.ADD, op.SUB, op.OR, op.XOR, op.ZEXT, op.SEXT, op.TRUNC))
_PRODUCTS = frozenset((op.MUL, op.AND))
