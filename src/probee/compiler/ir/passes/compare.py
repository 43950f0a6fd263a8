"""Algebra on comparisons; see fold.py for what a rule is.

A comparison is brought to the form that tells the kernel's verifier most and costs least: the constant on the right, without
extensions that do not matter, by zero where it can be.  Nothing is moved to another register than the one compared.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.passes.constant import evaluate, signed
from probee.compiler.ir.passes.fold import mask
from probee.compiler.ir.type import BOOL, I32
from probee.compiler.ir.unit import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from probee.compiler.ir.passes.fold import Maker

_TRUE_OF_ITSELF = frozenset((op.EQ, op.ULE, op.UGE, op.SLE, op.SGE))
_UNSIGNED = {op.SLT: op.ULT, op.SLE: op.ULE, op.SGT: op.UGT, op.SGE: op.UGE}
_EQUALITY = (op.EQ, op.NE)


def comparison(m: Maker, value: Value) -> Value | None:
    left, right = value.args
    operation = value.op
    if left is right:
        return m.const(int(operation in _TRUE_OF_ITSELF), BOOL)
    if left.op == op.CONST:
        if right.op == op.CONST:
            return m.const(evaluate(operation, left.attr, right.attr, left.type.bits), BOOL)
        return m.make(op.SWAPPED[operation], BOOL, [right, left])
    if left.type.is_pointer:
        return None
    if right.op == op.CONST:
        return _with_constant(m, operation, left, right)
    if left.op == op.SEXT and right.op == op.SEXT and not {left, right} & m.bounds.needed:
        one, other = left.args[0], right.args[0]
        if one.type is other.type and (operation in _EQUALITY or (operation in _UNSIGNED and one.type is I32)):
            return m.make(operation, BOOL, [one, other])
    return None


def _with_constant(m: Maker, operation: str, left: Value, right: Value) -> Value | None:
    number: int = right.attr
    bits = left.type.bits
    known = _by_range(m, operation, m.width[left], number, bits)
    if known is not None:
        return m.const(known, BOOL)
    if operation in _UNSIGNED and m.width[left] < bits and number >> (bits - 1) == 0:
        return m.make(_UNSIGNED[operation], BOOL, [left, right])
    if operation in _EQUALITY:
        return _equality(m, operation, left, number)
    if left in m.bounds.needed:
        return None
    if left.op == op.ZEXT and left.args[0].type is I32 and operation not in _UNSIGNED:
        return m.make(operation, BOOL, [left.args[0], m.const(number, I32)])
    if left.op == op.SEXT and left.args[0].type is I32 and operation in _UNSIGNED:
        return _of_narrow(m, operation, left, number)
    return _order(m, operation, left, number)


def _by_range(m: Maker, operation: str, width: int, number: int, bits: int) -> int | None:
    """Return the result when it is the same for 0 and the largest number of `width` bits (orders are monotonic in between)."""
    if width == bits and operation in _UNSIGNED:
        least, most = 1 << (bits - 1), mask(bits - 1)
    else:
        least, most = 0, mask(width)
    if operation in _EQUALITY:
        return int(operation == op.NE) if number > most and least == 0 else None
    low = evaluate(operation, least, number, bits)
    return low if low == evaluate(operation, most, number, bits) else None


def _equality(m: Maker, operation: str, left: Value, number: int) -> Value | None:
    type = left.type
    if type is BOOL:  # number is 0 or 1
        return left if (operation == op.EQ) == bool(number) else m.make(op.XOR, BOOL, [left, m.const(1, BOOL)])
    if left.op == op.ZEXT:
        source = left.args[0]
        if source.type is BOOL or source.type is I32 or number >= 1 << 31:
            return m.make(operation, BOOL, [source, m.const(number, source.type)])
    if left.op == op.SEXT:
        return _of_narrow(m, operation, left, number)
    if left.op == op.XOR and left.args[1].op == op.CONST:
        other = number ^ left.args[1].attr
        return m.make(operation, BOOL, [left.args[0], m.const(other, type)])
    if number == 0 and left not in m.bounds.needed:
        return _nothing_left(m, operation, left)
    return None


def _nothing_left(m: Maker, operation: str, left: Value) -> Value | None:
    """x >> n == 0 is x < 1 << n, x / n == 0 is x < n, where that is a number for an instruction."""
    if left.op not in (op.LSHR, op.UDIV) or left.args[1].op != op.CONST:
        return None
    number: int = left.args[1].attr
    limit = number if left.op == op.UDIV else 1 << number
    if not 0 < limit < min(1 << 31, 1 << left.type.bits):
        return None
    return m.make(op.ULT if operation == op.EQ else op.UGE, BOOL, [left.args[0], m.const(limit, left.type)])


def _of_narrow(m: Maker, operation: str, left: Value, number: int) -> Value | None:
    """Compare before sign extension, where the constant fits; signed orders and equality do not see the extension."""
    source = left.args[0]
    bits = source.type.bits
    narrow = m.const(number, source.type)
    if signed(narrow.attr, bits) == signed(number, left.type.bits):
        return m.make(operation, BOOL, [source, narrow])
    least, most = -(1 << (bits - 1)), mask(bits - 1)
    low = evaluate(operation, least & mask(left.type.bits), number, left.type.bits)
    high = evaluate(operation, most, number, left.type.bits)
    return m.const(low, BOOL) if low == high else None


def _order(m: Maker, operation: str, left: Value, number: int) -> Value | None:
    """Orders that are equalities; and powers of two too large for an instruction: compare what is left of a shift with 0."""
    type = left.type
    if operation == op.ULT and number == 1:
        return m.make(op.EQ, BOOL, [left, m.const(0, type)])
    if operation == op.UGE and number == 1:
        return m.make(op.NE, BOOL, [left, m.const(0, type)])
    if operation in (op.ULE, op.UGT) and number == 0:
        return m.make(op.EQ if operation == op.ULE else op.NE, BOOL, [left, m.const(0, type)])
    limit = number + 1 if operation in (op.ULE, op.UGT) else number
    if type.bits == 64 and operation in (op.ULT, op.ULE, op.UGT, op.UGE) and limit >= 1 << 31 and limit & (limit - 1) == 0:
        if limit >> type.bits:
            return None
        shifted = m.make(op.LSHR, type, [left, m.const(limit.bit_length() - 1, type)])
        return m.make(op.EQ if operation in (op.ULT, op.ULE) else op.NE, BOOL, [shifted, m.const(0, type)])
    return None
