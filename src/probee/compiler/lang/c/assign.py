"""Assignments: plain, compound, ++ and --.  ISO C 6.5.16."""

from __future__ import annotations

from pycparser import c_ast

from probee.compiler.ir.type import int_type
from probee.compiler.lang.c import arithmetic, convert, memory
from probee.compiler.lang.c.constant import span_of
from probee.compiler.lang.c.lower import OPERANDS, PLACES, Lowerer
from probee.compiler.lang.c.value import INT, Operand, Place, is_aggregate, is_integer, is_wide
from probee.errors import TypeMismatch
from probee.model.ctype import VOID, ArrayType, IntType, size_of, strip


def _assignment(low: Lowerer, node: c_ast.Assignment) -> Operand | None:
    place = assigned(low, node.lvalue)
    value = _assign(low, place, node)
    return value if value is not None else low.in_memory(node, place)


def _assign(low: Lowerer, place: Place, node: c_ast.Assignment) -> Operand | None:
    """Assign to a place; return what the assignment is worth, None of what stays in memory."""
    span = span_of(node)
    if isinstance(strip(place.type), ArrayType):
        raise TypeMismatch("an array cannot be assigned: copy it with __builtin_memcpy()", span)
    if is_aggregate(place.type):
        _assign_aggregate(low, place, node)
        return None
    if node.op == "=":
        operand = low.operand(node.rvalue)
    else:
        old = memory.load(low, place, span)
        operand = arithmetic.binary(low, node.op[:-1], old, low.operand(node.rvalue), span)
    value = convert.convert(low, operand, place.type, span_of(node.rvalue))
    return _stored(low, place, value, span)


def assigned(low: Lowerer, node: c_ast.Node) -> Place:
    """Return the place that is written."""
    named = isinstance(node, (c_ast.ID, c_ast.StructRef, c_ast.ArrayRef, c_ast.CompoundLiteral, c_ast.Compound))
    if not named and not (isinstance(node, c_ast.UnaryOp) and node.op == "*"):
        raise TypeMismatch("only a variable, a member, an element or what a pointer points to can be assigned", span_of(node))
    place = low.place(node)
    if strip(place.type) is VOID:
        raise TypeMismatch("a void cannot be assigned: cast the pointer to what it points to", span_of(node))
    return place


def _stored(low: Lowerer, place: Place, value: Operand, span: int) -> Operand:
    """Store a value; return what the assignment is worth: of a bit field what fits into it."""
    memory.store(low, place, value, span)
    return value if place.bits is None else memory.load(low, place, span)


def _assign_aggregate(low: Lowerer, place: Place, node: c_ast.Assignment) -> None:
    """A struct, or an integer of 128 bits, which also takes what a smaller one holds."""
    span = span_of(node)
    if node.op != "=":
        if not isinstance(strip(place.type), IntType):
            raise TypeMismatch(f"'{node.op}' does not take '{place.type.spelling()}'", span)
        from probee.compiler.lang.c.wide import change

        change(low, place, node.op[:-1], node.rvalue, span)
        return
    if not place.packet_header:
        memory.writable(low, place, span)
    store_aggregate(low, place, node.rvalue)


def store_aggregate(low: Lowerer, place: Place, value: c_ast.Node) -> None:
    """Copy a struct into a place; an integer of 128 bits also takes what a smaller one holds."""
    span = span_of(value)
    wanted = strip(place.type)
    found = low.type_of(value)
    if is_aggregate(found):
        if size_of(found) != size_of(wanted):
            raise TypeMismatch(f"'{found.spelling()}' does not become '{place.type.spelling()}'", span)
        memory.copy(low, place, low.place(value), span)
        return
    operand = low.operand(value)
    if not is_wide(wanted) or not is_integer(operand.type):
        raise TypeMismatch(f"'{operand.type.spelling()}' does not become '{place.type.spelling()}'", span)
    from probee.compiler.lang.c.wide import store

    store(low, place, operand, span)


def _assigned_place(low: Lowerer, node: c_ast.Assignment) -> Place:
    """(a = b).member"""
    place = assigned(low, node.lvalue)
    _assign(low, place, node)
    return place


def increment(low: Lowerer, node: c_ast.UnaryOp) -> Operand | None:
    """++x, --x, x++, x--"""
    span = span_of(node)
    place = assigned(low, node.expr)
    if is_aggregate(place.type) and isinstance(strip(place.type), IntType):
        from probee.compiler.lang.c.wide import incremented

        return low.in_memory(node, incremented(low, node, place))
    old = memory.load(low, place, span)
    one = Operand(INT, low.b.const(1, int_type(4)))
    new = arithmetic.binary(low, node.op[-1], old, one, span)
    new = convert.convert(low, new, place.type, span)
    new = _stored(low, place, new, span)
    return old if node.op.startswith("p") else new


OPERANDS[c_ast.Assignment] = _assignment
PLACES[c_ast.Assignment] = _assigned_place
