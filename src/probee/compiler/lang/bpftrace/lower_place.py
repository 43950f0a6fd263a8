"""Expressions whose value already lies somewhere: variables, fields, elements, what pointers point to.

PLACES finds the Place by node class (None when there is none after all); FIELD_VALUES reads scalars out of such places.
"""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.ir import op
from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast, passed, place, slot
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.lower_context import context_of
from probee.compiler.lang.bpftrace.passed import PassedMember
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import known_int
from probee.compiler.lang.bpftrace.scope import Outside, VariableInfo, Within
from probee.compiler.lang.bpftrace.slot import SlotMember
from probee.errors import CompileError
from probee.model import ctype as c

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _variable_place(low: Lowerer, node: ast.Variable) -> Place:
    assert isinstance(node.meaning, VariableInfo)
    return low.variable_place(node.meaning)


def _identifier_place(low: Lowerer, node: ast.Identifier) -> Place | None:
    """`args` lies in the program's context, or is put together."""
    if node.type.kind != "struct":
        return None
    if passed.is_args(node):
        return passed.together(low, node)
    return Place(context_of(low, node), 0, node.type)


def _struct_place(low: Lowerer, node: ast.Field) -> Place:
    """Where the struct or record lies that a field is taken of."""
    operand = node.operand
    if passed.is_args(operand):
        return Place(context_of(low, operand), 0, operand.type)
    if isinstance(operand, ast.Field) and passed.is_argument(operand):
        return passed.part(low, node, operand)
    if operand.type.kind != "pointer":
        return low.place(operand)
    target = operand.type.target
    if isinstance(target, c.CType) and isinstance(c.strip(target), c.ForwardType):
        from probee.compiler.lang.bpftrace.type_name import find_struct

        return Place(low.value(operand), 0, t.struct_of(find_struct(low.script, target, operand.span)))
    return Place(low.value(operand), 0, t.pointee(operand.type))


def _field_place(low: Lowerer, node: ast.Field) -> Place:
    base = _struct_place(low, node)
    if base.type.kind == "record":
        field = next(f for f in base.type.fields if f.name == node.name)
        return base.at(field.offset, field.type)
    found = base.member(node.meaning, node.type)
    if isinstance(node.meaning[-1], PassedMember) and not node.type.is_scalar and base.space == "context":
        return passed.memory(low, found, node.meaning[-1])
    if isinstance(node.meaning[-1], SlotMember) and not node.type.is_scalar and base.space == "context":
        return slot.memory(low, found)
    return found


def _tuple_index_place(low: Lowerer, node: ast.TupleIndex) -> Place:
    base = low.place(node.operand)
    field = base.type.fields[node.index]
    return base.at(field.offset, field.type)


def _index_place(low: Lowerer, node: ast.Index) -> Place | None:
    type = node.operand.type
    known = known_int(node.index)
    if type.kind in ("tuple", "record"):
        assert known is not None
        field = type.fields[known]
        return low.place(node.operand).at(field.offset, field.type)
    if type.kind == "pointer":
        base = Place(low.value(node.operand), 0, node.type)
    else:
        base = low.place(node.operand)
    size = node.type.size
    if known is not None:
        if type.kind == "string" and known >= type.size:  # only known now: variables grow
            raise CompileError(f"the index {known} is out of bounds for array of size {type.size}", node.span)
        return base.at(known * size, node.type)
    return _dynamic_index(low, node, base, size)


def _dynamic_index(low: Lowerer, node: ast.Index, base: Place, size: int) -> Place:
    b = low.b
    index = low.number(node.index)
    if base.space in ("kernel", "user"):
        start = b.offset(base.base, base.offset)
        if node.operand.type.kind == "array" and node.operand.type.count:
            return _bounded_index(low, node, b.address(start), index, base.space)
        return Place(b.offset(start, b.mul(index, size)), 0, node.type)
    if base.space == "context":
        start = b.add(b.address(base.base), base.offset)
        if node.operand.type.kind == "array" and node.operand.type.count:
            return _bounded_index(low, node, start, index, "kernel")
        return Place(b.pointer(b.add(start, b.mul(index, size)), "kernel"), 0, node.type)
    # memory of ours: out of bounds reads as zero
    count = node.operand.type.count or node.operand.type.size
    result = place.alloca(b, node.type)

    def inside() -> None:
        at = b.offset(base.base, b.add(b.mul(b.bound(index, count - 1), size), base.offset))
        place.copy(b, result, Place(at, 0, node.type), padded=True)

    def outside() -> None:
        _warn_of_bounds(low, node)
        place.zero(b, result)

    low.diamond(b.compare(op.ULT, index, count), inside, outside)
    return result


def _bounded_index(low: Lowerer, node: ast.Index, start: Value, index: Value, space: str) -> Place:
    """An element of an array in memory that is not ours: out of bounds it is read at address 0, which gives zero."""
    b, address = low.b, place.alloca(low.b, t.UINT64)

    def outside() -> None:
        _warn_of_bounds(low, node)
        place.store(b, address, b.const(0))

    inside = b.compare(op.ULT, index, node.operand.type.count)
    low.diamond(inside, lambda: place.store(b, address, b.add(start, b.mul(index, node.type.size))), outside)
    return Place(b.pointer(place.load(b, address), space), 0, node.type)


def _warn_of_bounds(low: Lowerer, node: ast.Index) -> None:
    from probee.compiler.lang.bpftrace.lower_record import warn

    warn(low, "Array access out of bounds. This can lead to unexpected results.", node.span)


def _deref_place(low: Lowerer, node: ast.Deref) -> Place:
    if node.operand.type.kind == "struct":
        return low.place(node.operand)
    value = low.value(node.operand)
    if not value.type.is_pointer:
        value = low.b.pointer(value, low.instance.space)
    return Place(value, 0, node.type)


def _block_place(low: Lowerer, node: ast.Block) -> Place | None:
    return low.place(low.statements_of(node))


def _expansion_place(low: Lowerer, node: ast.Expansion) -> Place:
    with Within(low.script, node):
        return low.place(node.body)


def _argument_place(low: Lowerer, node: ast.Argument) -> Place:
    with Outside(low.script):
        return low.place(node.value)


# -- scalars read out of places


def _field(low: Lowerer, node: ast.Field) -> Value:
    where = _field_place(low, node)
    path = node.meaning
    if not isinstance(path, tuple):
        return place.load(low.b, where)
    from probee.compiler.lang.bpftrace.arguments import LocatedMember, located

    if isinstance(path[-1], LocatedMember):
        return located(low, where, path[-1])
    if isinstance(path[-1], PassedMember) and where.space == "context":
        return passed.value(low, where, path[-1])
    if isinstance(path[-1], SlotMember) and where.space == "context":
        return slot.value(low, where, path[-1])
    if path[-1].bit_size:
        base = _struct_place(low, node)
        bit = sum(member.bit_offset for member in path)
        bits = Place(base.base, base.offset, node.type, where.root, where.path)
        return low.convert(place.load_bits(low.b, bits, path[-1], bit), t.INT64, node.type)
    return place.load(low.b, where)


def _index_value(low: Lowerer, node: ast.Index) -> Value:
    where = _index_place(low, node)
    assert where is not None
    return place.load(low.b, where)


def _deref_value(low: Lowerer, node: ast.Deref) -> Value:
    return place.load(low.b, _deref_place(low, node))


def _address_of(low: Lowerer, node: ast.AddressOf) -> Value:
    if isinstance(node.operand, ast.MapRef):
        return low.b.pointer(low.b.address(low.b.map(f"@{node.operand.name}")), "kernel")
    info = node.operand.meaning
    assert isinstance(info, VariableInfo)
    return place.address(low.b, low.variable_place(info))


FIELD_VALUES: dict[type, Callable[[Lowerer, Any], Value]] = {
    ast.Field: _field,
    ast.Index: _index_value,
    ast.Deref: _deref_value,
    ast.AddressOf: _address_of,
}

PLACES: dict[type, Callable[[Lowerer, Any], Place | None]] = {
    ast.Variable: _variable_place,
    ast.Field: _field_place,
    ast.TupleIndex: _tuple_index_place,
    ast.Index: _index_place,
    ast.Deref: _deref_place,
    ast.Identifier: _identifier_place,
    ast.Block: _block_place,
    ast.Expansion: _expansion_place,
    ast.Argument: _argument_place,
}

