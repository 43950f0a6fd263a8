"""Operators on values: the usual arithmetic conversions decide width and sign, pointers move by what they point to."""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.type import I64, int_type
from probee.compiler.ir.unit import Value
from probee.compiler.lang.c import convert, memory
from probee.compiler.lang.c.constant import common_type, promote
from probee.compiler.lang.c.lower import Lowerer
from probee.compiler.lang.c.value import LONG, Operand, is_integer, is_pointer, is_signed, pointee
from probee.errors import TypeMismatch
from probee.model.ctype import size_of, strip

_COMPARISONS = {  # operator → (signed, unsigned)
    "==": (op.EQ, op.EQ), "!=": (op.NE, op.NE), "<": (op.SLT, op.ULT), "<=": (op.SLE, op.ULE),
    ">": (op.SGT, op.UGT), ">=": (op.SGE, op.UGE),
}  # fmt: skip
_ARITHMETIC = {
    "+": (op.ADD, op.ADD), "-": (op.SUB, op.SUB), "*": (op.MUL, op.MUL), "/": (op.SDIV, op.UDIV), "%": (op.SREM, op.UREM),
    "&": (op.AND, op.AND), "|": (op.OR, op.OR), "^": (op.XOR, op.XOR),
}  # fmt: skip
_SHIFTS = {"<<": (op.SHL, op.SHL), ">>": (op.ASHR, op.LSHR)}


def binary(low: Lowerer, operator: str, left: Operand, right: Operand, span: int) -> Operand:
    """Return `left operator right`; && and || are control flow (expression.py)."""
    if operator in _COMPARISONS:
        return convert.from_truth(low, _compare(low, operator, left, right))
    pointers = is_pointer(left.type) + is_pointer(right.type)
    if pointers and operator in ("+", "-"):
        return _move(low, operator, left, right, span)
    if pointers:
        side = left if is_pointer(left.type) else right
        raise TypeMismatch(f"'{operator}' does not take a pointer ('{side.type.spelling()}'): cast it to u64", span)
    if not (is_integer(left.type) and is_integer(right.type)):
        raise TypeMismatch(f"'{operator}' does not take '{left.type.spelling()}' and '{right.type.spelling()}'", span)
    if operator in _SHIFTS:
        ctype = promote(left.type)
        a = convert.convert(low, left, ctype, span)
        by = low.b.resize(convert.number(low, right), convert.number(low, a).type, signed=is_signed(right.type))
        return Operand(ctype, low.b.binary(_SHIFTS[operator][not is_signed(ctype)], convert.number(low, a), by))
    if _is_packet(left.value) and _is_packet(right.value) and operator == "-":
        return Operand(LONG, low.b.emit(op.DISTANCE, I64, [left.value, right.value]))
    if operator in ("+", "-") and _is_packet(left.value):  # (long)ctx->data + offset
        by = convert.wide(low, right)
        return Operand(LONG, low.b.offset(left.value, by if operator == "+" else low.b.sub(low.b.const(0), by)))
    ctype = common_type(left.type, right.type)
    one, two = (convert.number(low, convert.convert(low, each, ctype, span)) for each in (left, right))
    return Operand(ctype, _fold(low, _ARITHMETIC[operator][not is_signed(ctype)], one, two))


def _fold(low: Lowerer, operation: str, a: Value, b: Value) -> Value:
    """Compute with two constants at once, where that matters to the checks of the front end: indexes, sizes."""
    if a.op == op.CONST and b.op == op.CONST and operation in (op.ADD, op.SUB, op.MUL):
        number = {op.ADD: a.attr + b.attr, op.SUB: a.attr - b.attr, op.MUL: a.attr * b.attr}[operation]
        return low.b.const(number, a.type)
    return low.b.binary(operation, a, b)


def _is_packet(value: Value) -> bool:
    return value.type.is_pointer and value.type.space in ("packet", "packet_end")


def _compare(low: Lowerer, operator: str, left: Operand, right: Operand) -> Value:
    signed, unsigned = _COMPARISONS[operator]
    a, b = left.value, right.value
    if a.type.is_pointer or b.type.is_pointer:
        return _compare_pointers(low, unsigned, left, right)
    if is_pointer(left.type) or is_pointer(right.type):
        return low.b.compare(unsigned, convert.wide(low, left), convert.wide(low, right))
    ctype = common_type(left.type, right.type)
    a, b = (convert.number(low, convert.convert(low, each, ctype, 0)) for each in (left, right))
    return low.b.compare(signed if is_signed(ctype) else unsigned, a, b)


def _compare_pointers(low: Lowerer, operation: str, left: Operand, right: Operand) -> Value:
    a, b = left.value, right.value
    if _is_packet(a) and _is_packet(b):
        return low.b.compare(operation, a, b)
    for pointer, other in ((left, right), (right, left)):
        if convert.is_null(other) and operation in (op.EQ, op.NE):
            there = convert.truth(low, pointer)
            return there if operation == op.NE else low.b.xor(there, low.b.const(1, there.type))
    return low.b.compare(operation, convert.wide(low, left), convert.wide(low, right))


def _move(low: Lowerer, operator: str, left: Operand, right: Operand, span: int) -> Operand:
    """Pointer arithmetic."""
    if is_pointer(left.type) and is_pointer(right.type):
        if operator == "+":
            raise TypeMismatch("two pointers cannot be added", span)
        return _difference(low, left, right)
    if is_pointer(right.type):
        if operator == "-":
            raise TypeMismatch("a pointer cannot be subtracted from a number", span)
        left, right = right, left
    target = pointee(left.type)
    assert target is not None
    size = max(size_of(low.source.scope.complete(strip(target))), 1)  # void counts as bytes, as in GNU C
    if operator == "-":
        wide = convert.wide(low, right)
        number = low.b.const(-wide.attr) if wide.op == op.CONST else low.b.sub(low.b.const(0), wide)
        right = Operand(LONG, number)
    value = left.value
    if not value.type.is_pointer:  # counts from null
        by = convert.wide(low, right)
        return Operand(left.type, low.b.add(convert.wide(low, left), by if size == 1 else low.b.mul(by, size)))
    return Operand(left.type, memory.moved(low, value, right, size))


def _difference(low: Lowerer, left: Operand, right: Operand) -> Operand:
    if _is_packet(left.value) and _is_packet(right.value):
        bytes = low.b.emit(op.DISTANCE, I64, [left.value, right.value])
    else:
        bytes = low.b.sub(convert.wide(low, left), convert.wide(low, right))
    target = pointee(left.type)
    size = size_of(target) if target is not None else 1
    return Operand(LONG, bytes if size <= 1 else low.b.binary(op.SDIV, bytes, low.b.const(size)))


def unary(low: Lowerer, operator: str, operand: Operand, span: int) -> Operand:
    """Return `operator operand` of +, - and ~."""
    if not is_integer(operand.type):
        raise TypeMismatch(f"'{operator}' does not take '{operand.type.spelling()}'", span)
    ctype = promote(operand.type)
    value = convert.number(low, convert.convert(low, operand, ctype, span))
    if operator == "-":
        value = low.b.const(-value.attr, value.type) if value.op == op.CONST else low.b.sub(low.b.const(0, value.type), value)
    elif operator == "~":
        value = low.b.xor(value, low.b.const(-1, int_type(size_of(ctype))))
    return Operand(ctype, value)
