"""Conversions of C: integer promotions, the usual arithmetic conversions, casts.  ISO C 6.3.

A pointer that is converted to an integer of 64 bits stays the IR pointer that it is, until somebody computes with it.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.type import BOOL, DIRECT, I64, int_type
from probee.compiler.ir.unit import Value
from probee.compiler.lang.c.lower import Lowerer
from probee.compiler.lang.c.value import (
    INT,
    NO_FLOATS,
    Operand,
    is_bool,
    is_float,
    is_integer,
    is_pointer,
    is_signed,
)
from probee.errors import TypeMismatch, Unsupported
from probee.model.ctype import VOID, CType, strip


def is_null(operand: Operand) -> bool:
    """Return whether an operand is the constant 0."""
    return operand.value.op == op.CONST and operand.value.attr == 0


def number(low: Lowerer, operand: Operand) -> Value:
    """Return an operand as an IR integer of its type's width: a pointer's is its address."""
    value = operand.value
    if not value.type.is_pointer:
        return value
    value = low.b.address(value)
    size = 8 if is_pointer(operand.type) else strip(operand.type).size
    return value if size == 8 else low.b.trunc(value, int_type(size))


def wide(low: Lowerer, operand: Operand) -> Value:
    """Return an operand as an i64, extended as its type says."""
    value = operand.value
    if value.op == op.CONST and value.type.is_int:
        bits, negative = value.type.bits, is_signed(operand.type) and value.attr >> (value.type.bits - 1)
        return low.b.const(value.attr - (1 << bits) if negative else value.attr)
    return low.b.resize(number(low, operand), I64, signed=is_signed(operand.type))


def convert(low: Lowerer, operand: Operand, to: CType, span: int) -> Operand:
    """Return an operand as another type: what a cast, an assignment or an argument does.  TypeMismatch when there is no way."""
    if is_integer(to):
        return _to_integer(low, operand, to)
    if is_pointer(to):
        return _to_pointer(low, operand, to)
    if strip(to) is VOID:
        return Operand(to, operand.value)
    if is_float(to):
        raise Unsupported(NO_FLOATS, span)
    raise TypeMismatch(f"a value of type '{operand.type.spelling()}' does not become '{to.spelling()}'", span)


def _to_integer(low: Lowerer, operand: Operand, to: CType) -> Operand:
    if is_bool(to):
        return Operand(to, low.b.zext(truth(low, operand), int_type(1)))
    size = strip(to).size
    value = operand.value
    if value.type.is_pointer:
        if size == 8 or value.type.space in ("packet", "packet_end"):
            return Operand(to, value)
        value = low.b.address(value)
    signed = is_signed(operand.type) and not is_pointer(operand.type)
    return Operand(to, low.b.resize(value, int_type(size), signed=signed))


def _to_pointer(low: Lowerer, operand: Operand, to: CType) -> Operand:
    value = operand.value
    if value.type.is_pointer:
        return Operand(to, value)
    value = wide(low, operand)
    if value.op == op.CONST and value.attr == 0:
        return Operand(to, value)  # becomes a pointer where its memory is known
    return Operand(to, low.b.pointer(value, "kernel"))


def pointer_value(low: Lowerer, operand: Operand, space: str = "kernel") -> Value:
    """Return an operand's value as an IR pointer; the constant 0 becomes the null of `space`."""
    value = operand.value
    if value.type.is_pointer:
        return value
    if value.op == op.CONST and value.attr == 0 and space != "kernel":
        return low.b.null(space)
    return low.b.pointer(wide(low, operand), "kernel")


def truth(low: Lowerer, operand: Operand) -> Value:
    """Return, as an IR bool, whether an operand is not 0."""
    value = operand.value
    if value.type is BOOL:
        return value
    if value.type.is_pointer:
        if value.type.nullable:
            return low.b.check_null(value)
        if value.type.space in DIRECT or value.type.space == "context":
            return low.b.const(1, BOOL)
        value = low.b.address(value)
    if value.op == op.ZEXT and value.args[0].type is BOOL:
        return value.args[0]
    return low.b.compare(op.NE, value, 0)


def program_result(low: Lowerer, operand: Operand) -> Value:
    """Return a program's result as the register that the kernel looks at."""
    return low.b.resize(number(low, operand), I64, signed=False)


def from_truth(low: Lowerer, value: Value) -> Operand:
    """Return a comparison's result, an int."""
    return Operand(INT, low.b.zext(value, int_type(4)))
