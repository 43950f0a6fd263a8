"""Algebra on arithmetic: constants, identities, cheaper operations.  A rule returns the value to use instead, or None.

Rules look at the value and its operands only.  `Maker` is the walk that calls them (number.py): it makes constants and
further values, and knows how many low bits of a value can be set.  Constants are kept on the right.  What the kernel's
verifier rejects (a division by a constant 0, a shift by the width or more) does not survive; provable operations have no
rules.  Comparisons are in compare.py, conversions and pointers in convert.py.
"""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.ir import op
from probee.compiler.ir.passes.constant import evaluate
from probee.compiler.ir.type import BOOL, Type
from probee.compiler.ir.unit import FieldAccess, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from probee.compiler.ir.passes.bounds import Bounds

    class Maker(Protocol):
        """What rules need of the walk."""

        bounds: Bounds
        fields: dict[Value, FieldAccess]
        width: dict[Value, int]  # value → the number of low bits that may be set

        def const(self, number: int, type: Type) -> Value:
            """Return a constant, cut to the type."""

        def make(self, operation: str, type: Type, args: list[Value], attr: object = None) -> Value:
            """Return a value, folded and numbered like any other."""


Rule = Callable[["Maker", Value], "Value | None"]


def mask(bits: int) -> int:
    return (1 << bits) - 1


def arithmetic(m: Maker, value: Value) -> Value | None:
    """Constants first, then the operation's own rules with a constant on the right, then those without."""
    left, right = value.args
    if left.op == op.CONST:
        if right.op == op.CONST:
            return m.const(evaluate(value.op, left.attr, right.attr, value.type.bits), value.type)
        if value.op in op.COMMUTATIVE:
            value.args = [right, left]
            left, right = right, left
    if right.op == op.CONST:
        return _WITH_CONSTANT[value.op](m, value, left, right.attr)
    if left is right and value.op in _WITH_ITSELF:
        return left if value.op in (op.AND, op.OR) else m.const(0, value.type)
    if value.op in (op.SDIV, op.SREM):
        return _positive_division(m, value)
    return None


_WITH_ITSELF = frozenset((op.AND, op.OR, op.XOR, op.SUB))


def _inner(value: Value, operation: str) -> tuple[Value, int] | None:
    """Return (x, c) of `x operation c`."""
    if value.op != operation or value.args[1].op != op.CONST:
        return None
    return value.args[0], value.args[1].attr


def _add(m: Maker, value: Value, left: Value, number: int) -> Value | None:
    if number == 0:
        return left
    inner = _inner(left, op.ADD)
    if inner is not None:
        return m.make(op.ADD, value.type, [inner[0], m.const(inner[1] + number, value.type)])
    return None


def _sub(m: Maker, value: Value, left: Value, number: int) -> Value | None:
    return left if number == 0 else m.make(op.ADD, value.type, [left, m.const(-number, value.type)])


def _mul(m: Maker, value: Value, left: Value, number: int) -> Value | None:
    if number == 0:
        return m.const(0, value.type)
    if number & (number - 1) == 0:
        return m.make(op.SHL, value.type, [left, m.const(number.bit_length() - 1, value.type)])
    inner = _inner(left, op.MUL)
    if inner is not None:
        return m.make(op.MUL, value.type, [inner[0], m.const(inner[1] * number, value.type)])
    return None


def _udiv(m: Maker, value: Value, left: Value, number: int) -> Value | None:
    if number == 0 or m.width[left] < number.bit_length():
        return m.const(0, value.type)
    if number & (number - 1) == 0:
        return m.make(op.LSHR, value.type, [left, m.const(number.bit_length() - 1, value.type)])
    return None


def _urem(m: Maker, value: Value, left: Value, number: int) -> Value | None:
    if number == 0 or m.width[left] < number.bit_length():
        return left
    if number & (number - 1) == 0:
        return m.make(op.AND, value.type, [left, m.const(number - 1, value.type)])
    return None


def _sdiv(m: Maker, value: Value, left: Value, number: int) -> Value | None:
    if number == 0:
        return m.const(0, value.type)
    if number == 1:
        return left
    if number == mask(value.type.bits):
        return m.make(op.SUB, value.type, [m.const(0, value.type), left])
    return _positive_division(m, value)


def _srem(m: Maker, value: Value, left: Value, number: int) -> Value | None:
    if number == 0:
        return left
    if number in (1, mask(value.type.bits)):
        return m.const(0, value.type)
    return _positive_division(m, value)


def _positive_division(m: Maker, value: Value) -> Value | None:
    """Signed division of numbers without a sign is unsigned."""
    if any(m.width[arg] >= value.type.bits for arg in value.args):
        return None
    return m.make(op.UDIV if value.op == op.SDIV else op.UREM, value.type, value.args)


def _and(m: Maker, value: Value, left: Value, number: int) -> Value | None:
    possible = mask(m.width[left])
    if number & possible == possible:
        return left
    if number & possible == 0:
        return m.const(0, value.type)
    inner = _inner(left, op.AND)
    if inner is not None:
        return m.make(op.AND, value.type, [inner[0], m.const(inner[1] & number, value.type)])
    return None


def _or(m: Maker, value: Value, left: Value, number: int) -> Value | None:
    if number == 0:
        return left
    if number == mask(value.type.bits):
        return m.const(number, value.type)
    inner = _inner(left, op.OR)
    if inner is not None:
        return m.make(op.OR, value.type, [inner[0], m.const(inner[1] | number, value.type)])
    return None


def _xor(m: Maker, value: Value, left: Value, number: int) -> Value | None:
    if number == 0:
        return left
    if value.type is BOOL and left.op in op.COMPARISONS:
        return m.make(op.NEGATED[left.op], BOOL, list(left.args))
    inner = _inner(left, op.XOR)
    if inner is not None:
        return m.make(op.XOR, value.type, [inner[0], m.const(inner[1] ^ number, value.type)])
    return None


def _shl(m: Maker, value: Value, left: Value, number: int) -> Value | None:
    bits = value.type.bits
    if number >= bits:
        return m.make(op.SHL, value.type, [left, m.const(number % bits, value.type)])
    if number == 0:
        return left
    inner = _inner(left, op.SHL)
    if inner is not None:
        total = inner[1] % bits + number
        return m.make(op.SHL, value.type, [inner[0], m.const(total, value.type)]) if total < bits else m.const(0, value.type)
    return None


def _lshr(m: Maker, value: Value, left: Value, number: int) -> Value | None:
    bits = value.type.bits
    if number >= bits:
        return m.make(op.LSHR, value.type, [left, m.const(number % bits, value.type)])
    if number == 0:
        return left
    if number >= m.width[left]:
        return m.const(0, value.type)
    inner = _inner(left, op.LSHR)
    if inner is not None:
        total = inner[1] % bits + number
        return m.make(op.LSHR, value.type, [inner[0], m.const(total, value.type)]) if total < bits else m.const(0, value.type)
    inner = _inner(left, op.SHL)
    if inner is not None and inner[1] <= number < bits and bits - number < 32:
        down = m.make(op.LSHR, value.type, [inner[0], m.const(number - inner[1], value.type)])
        return m.make(op.AND, value.type, [down, m.const(mask(bits - number), value.type)])
    return None


def _ashr(m: Maker, value: Value, left: Value, number: int) -> Value | None:
    bits = value.type.bits
    if number >= bits:
        return m.make(op.ASHR, value.type, [left, m.const(number % bits, value.type)])
    if number == 0:
        return left
    if m.width[left] < bits:
        return m.make(op.LSHR, value.type, value.args)
    inner = _inner(left, op.SHL)
    if inner is not None and inner[1] == number and m.width[inner[0]] < bits - number:
        return inner[0]
    return None


_WITH_CONSTANT: dict[str, Callable[[Maker, Value, Value, int], Value | None]] = {
    op.ADD: _add, op.SUB: _sub, op.MUL: _mul, op.UDIV: _udiv, op.UREM: _urem, op.SDIV: _sdiv, op.SREM: _srem,
    op.AND: _and, op.OR: _or, op.XOR: _xor, op.SHL: _shl, op.LSHR: _lshr, op.ASHR: _ashr,
}  # fmt: skip
