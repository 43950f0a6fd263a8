"""How pointers into the stack are aligned, of which a variable has moved some: `t[i]`, whose elements have 12 bytes, to 4.

Only what is certain counts; of a pointer of unknown origin it is taken that its access fits, as C says.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.unit import Value

_MOST = 8
_DEPTH = 12  # how far back is looked


def alignment(pointer: Value) -> int:
    """Return what a pointer is a multiple of, counted from the frame's end: 1, 2, 4 or 8."""
    return _of_pointer(pointer, _DEPTH)


def _of_pointer(value: Value, depth: int) -> int:
    if depth and value.op == op.OFFSET:
        return min(_of_pointer(value.args[0], depth - 1), _of_number(value.args[1], depth - 1))
    if depth and value.op == op.NON_NULL:
        return _of_pointer(value.args[0], depth - 1)
    if depth and value.op == op.PHI:
        return min((_of_pointer(arg, depth // 2) for arg in value.args if arg is not value), default=_MOST)
    return _MOST


def _of_number(value: Value, depth: int) -> int:
    """Return the largest power of two up to 8 that a number is a multiple of for certain."""
    if value.op == op.CONST:
        number = int(value.attr)
        return min(number & -number, _MOST) if number else _MOST
    if not depth:
        return 1
    inner = [_of_number(arg, depth - 1) for arg in value.args] if value.op in _SUMS or value.op in _PRODUCTS else []
    if value.op in _SUMS:
        return min(inner)
    if value.op in _PRODUCTS:
        return min(_MOST, inner[0] * inner[1]) if value.op == op.MUL else max(inner)
    if value.op == op.SHL and value.args[1].op == op.CONST:
        return min(_MOST, _of_number(value.args[0], depth - 1) << min(int(value.args[1].attr), 3))
    if value.op == op.PHI:
        return min((_of_number(arg, depth // 2) for arg in value.args if arg is not value), default=1)
    return 1


_SUMS = frozenset((op.ADD, op.SUB, op.OR, op.XOR, op.ZEXT, op.SEXT, op.TRUNC))
_PRODUCTS = frozenset((op.MUL, op.AND))
