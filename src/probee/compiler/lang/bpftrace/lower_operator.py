"""Expressions to IR: values of scalars, places of what lies in memory, writers of what is made anew.

Three tables by node class: VALUES gives an IR value, PLACES where a value already lies (or None when it does not), WRITERS
writes into a given place (and says whether it did).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from probee.compiler.ir import op
from probee.compiler.ir.type import BOOL, I8, I64, int_type
from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.operator import signed_operands
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import known_int
from probee.compiler.lang.bpftrace.scope import Known, VariableInfo
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError, Unsupported
from probee.model import ctype as c
from probee.model.spec import Action

_ARITHMETIC = {
    "+": op.ADD, "-": op.SUB, "*": op.MUL, "&": op.AND, "|": op.OR, "^": op.XOR, "<<": op.SHL, ">>": op.LSHR,
}  # fmt: skip
_UNSIGNED = {"==": op.EQ, "!=": op.NE, "<": op.ULT, "<=": op.ULE, ">": op.UGT, ">=": op.UGE}
_SIGNED = {"==": op.EQ, "!=": op.NE, "<": op.SLT, "<=": op.SLE, ">": op.SGT, ">=": op.SGE}
_DIVIDE_WARNING = "Divide or modulo by 0 detected. This can lead to unexpected results. 1 is being used as the result."


# -- conditions


def condition(low: Lowerer, node: ast.Expr) -> Value:
    """Return a bool."""
    b = low.b
    if isinstance(node, ast.Binary) and node.op in _UNSIGNED and not isinstance(node.meaning, Known):
        return _compare(low, node)
    if isinstance(node, ast.Unary) and node.op == "!":
        inner = low.condition(node.operand)
        return b.emit(op.NEGATED[inner.op], BOOL, inner.args) if inner.op in op.NEGATED else b.compare(op.EQ, b.zext(inner, I64), 0)
    value = low.value(node) if node.type.is_scalar or node.type.kind in t.READABLE else place.load(b, word(low.place(node)))
    if value.type.is_pointer:
        value = b.address(value)
    return b.compare(op.NE, value, 0)


def word(where: Place) -> Place:
    """Return the first eight bytes of a place as a number."""
    return where.at(0, t.UINT64)


def as_value(low: Lowerer, truth: Value) -> Value:
    return low.b.zext(truth, I64)


# -- values


def _logical(low: Lowerer, node: ast.Logical) -> Value:
    """Short circuit; a chain of one operator shares its exit."""
    b = low.b
    parts: list[ast.Expr] = []
    left: ast.Expr = node
    while isinstance(left, ast.Logical) and left.op == node.op:
        parts.append(left.right)
        left = left.left
    parts.append(left)
    parts.reverse()
    is_and = node.op == "&&"
    result = place.alloca(b, t.UINT64)
    place.store(b, result, b.const(0 if is_and else 1))
    end = b.new_block()
    for part in parts:
        go_on = b.new_block()
        truth = low.condition(part)
        b.branch(truth, go_on, end) if is_and else b.branch(truth, end, go_on)
        b.at(go_on)
    place.store(b, result, b.const(1 if is_and else 0))
    b.jump(end)
    b.at(end)
    return place.load(b, result)


def _unary(low: Lowerer, node: ast.Unary) -> Value:
    b = low.b
    if node.op == "!":
        return as_value(low, condition(low, node))
    value = low.number(node.operand)
    if node.op == "-":
        return low.convert(b.sub(b.const(0), value), t.INT64, node.type)
    return low.convert(b.xor(value, -1), t.INT64, node.type)


def _binary(low: Lowerer, node: ast.Binary) -> Value:
    b = low.b
    if node.op in _UNSIGNED:
        return as_value(low, _compare(low, node))
    if node.type.kind == "pointer":
        return _pointer_arithmetic(low, node)
    left, right = readable(low, node.left), readable(low, node.right)
    if node.op in ("/", "%"):
        return _divide(low, node, left, right)
    return b.binary(_ARITHMETIC[node.op], left, right)


def readable(low: Lowerer, node: ast.Expr) -> Value:
    """Return an operand as an i64: ints, pointers as addresses, aggregations as their current value, symbols as addresses."""
    if node.type.kind in t.WORDS:
        return place.load(low.b, word(low.place(node)))
    return low.number(node)


def _pointer_arithmetic(low: Lowerer, node: ast.Binary) -> Value:
    b = low.b
    pointer, number = (node.left, node.right) if node.left.type.kind == "pointer" else (node.right, node.left)
    size = t.pointee(pointer.type).size or 1
    base, by = low.value(pointer), low.number(number)
    by = b.mul(by, size) if size != 1 else by
    return b.offset(base, b.sub(b.const(0), by) if node.op == "-" else by)


def _divide(low: Lowerer, node: ast.Binary, left: Value, right: Value) -> Value:
    b = low.b
    operation = op.UDIV if node.op == "/" else op.UREM
    known = known_int(node.right)
    if known:
        return b.binary(operation, left, right)
    result = place.alloca(b, t.UINT64)

    def warn() -> None:
        from probee.compiler.lang.bpftrace.lower_record import warn

        warn(low, _DIVIDE_WARNING, node.span)
        place.store(b, result, b.const(1))

    low.diamond(
        b.compare(op.EQ, right, 0), warn, lambda: place.store(b, result, b.binary(operation, left, right))
    )
    return place.load(b, result)


def _compare(low: Lowerer, node: ast.Binary) -> Value:
    b = low.b
    left, right = node.left.type, node.right.type
    if {left.kind, right.kind} & {"string", "array", "tuple", "record", "macaddr", "inet", "buffer"}:
        from probee.compiler.lang.bpftrace.lower_compare import compare_memory

        equal = compare_memory(low, node.left, node.right)
        return b.compare(op.NE if node.op == "==" else op.EQ, equal, 0)
    a, z = readable(low, node.left), readable(low, node.right)
    signed = left.kind != "pointer" and right.kind != "pointer" and signed_operands(node, left, right)
    return b.compare((_SIGNED if signed else _UNSIGNED)[node.op], a, z)


def _ternary(low: Lowerer, node: ast.Ternary | ast.IfExpr) -> Value:
    b = low.b
    result = place.alloca(b, _slot(node.type))
    _branches_into(low, node, result)
    return place.load(b, result)


def _slot(type: Ty) -> Ty:
    return t.int_of(8, signed=type.signed) if type.is_int else type


def _branches_into(low: Lowerer, node: ast.Ternary | ast.IfExpr, target: Place) -> None:
    then, otherwise = node.then or node.condition, node.otherwise
    assert otherwise is not None
    low.diamond(
        low.condition(node.condition),
        lambda: low.into(then, target, padded=True),
        lambda: low.into(otherwise, target, padded=True),
    )


def _block(low: Lowerer, node: ast.Block) -> Value:
    low.block(node)
    assert node.value is not None
    return low.value(node.value)


def _increment(low: Lowerer, node: ast.IncDec) -> Value:
    b = low.b
    step = 1 if node.op == "++" else -1
    if not isinstance(node.target, ast.Variable):
        from probee.compiler.lang.bpftrace import lower_map

        return lower_map.increment(low, node, step)
    info = node.target.meaning
    assert isinstance(info, VariableInfo) and info.type is not None
    where = low.variable_place(info)
    old = place.load(b, where)
    if info.type.kind == "pointer":
        new = b.offset(old, step * (t.pointee(info.type).size or 1))
    else:
        new = low.convert(b.add(old, step), t.INT64, info.type)
    place.store(b, where, new)
    return new if node.prefix else old


def _cast(low: Lowerer, node: ast.Cast) -> Value:
    source, target = node.operand.type, node.type
    if source.kind == "array" and target.is_int:
        return place.load(low.b, low.place(node.operand).at(0, t.int_of(source.size, signed=target.signed)))
    if source.kind == "array":
        return place.address(low.b, low.place(node.operand))
    if target.kind == "pointer":
        return low.convert(readable(low, node.operand), t.UINT64, target)
    return low.convert(readable(low, node.operand), source if source.is_int else t.UINT64, target)


def _call(low: Lowerer, node: ast.Call | ast.Identifier) -> Value:
    from probee.compiler.lang.bpftrace.function import lower_call

    value = lower_call(low, node, None)
    assert value is not None
    return value


def _map(low: Lowerer, node: ast.MapRef | ast.MapAccess) -> Value:
    from probee.compiler.lang.bpftrace import lower_map

    return lower_map.read(low, node)


def _field(low: Lowerer, node: ast.Field) -> Value:
    where = _field_place(low, node)
    path = node.meaning
    if not isinstance(path, tuple):
        return place.load(low.b, where)
    from probee.compiler.lang.bpftrace.arguments import LocatedMember, located

    if isinstance(path[-1], LocatedMember):
        return located(low, where, path[-1])
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
    info = node.operand.meaning
    assert isinstance(info, VariableInfo)
    return place.address(low.b, low.variable_place(info))


def _expansion(low: Lowerer, node: ast.Expansion) -> Value:
    return low.value(node.body)


def _argument(low: Lowerer, node: ast.Argument) -> Value:
    return low.value(node.value)


# -- places


def _variable_place(low: Lowerer, node: ast.Variable) -> Place:
    assert isinstance(node.meaning, VariableInfo)
    return low.variable_place(node.meaning)


def _struct_place(low: Lowerer, node: ast.Field) -> Place:
    """Where the struct or record lies that a field is taken of."""
    operand = node.operand
    if operand.type.kind == "pointer":
        target = t.pointee(operand.type)
        if target.kind == "none" and isinstance(operand.type.target, c.ForwardType):
            from probee.compiler.lang.bpftrace.type_name import find_struct

            target = t.struct_of(find_struct(low.script, operand.type.target, operand.span))
        return Place(low.value(operand), 0, target)
    return low.place(operand)


def _field_place(low: Lowerer, node: ast.Field) -> Place:
    base = _struct_place(low, node)
    if base.type.kind == "record":
        field = next(f for f in base.type.fields if f.name == node.name)
        return base.at(field.offset, field.type)
    return base.member(node.meaning, node.type)


def _tuple_index_place(low: Lowerer, node: ast.TupleIndex) -> Place:
    base = low.place(node.operand)
    field = base.type.fields[node.index]
    return base.at(field.offset, field.type)


def _index_place(low: Lowerer, node: ast.Index) -> Place | None:
    b = low.b
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
        if base.space == "context":
            return base.at(known * size, node.type)
        return base.at(known * size, node.type)
    return _dynamic_index(low, node, base, size)


def _dynamic_index(low: Lowerer, node: ast.Index, base: Place, size: int) -> Place:
    b = low.b
    index = low.number(node.index)
    if base.space in ("kernel", "user"):
        at = b.offset(b.offset(base.base, base.offset), b.mul(index, size))
        return Place(at, 0, node.type)
    if base.space == "context":
        at = b.add(b.add(b.address(base.base), base.offset), b.mul(index, size))
        return Place(b.pointer(at, "kernel"), 0, node.type)
    # memory of ours: out of bounds reads as zero
    count = node.operand.type.count or node.operand.type.size
    result = place.alloca(b, node.type)

    def inside() -> None:
        at = b.offset(base.base, b.add(b.mul(b.bound(index, count - 1), size), base.offset))
        place.copy(b, result, Place(at, 0, node.type), padded=True)

    def outside() -> None:
        from probee.compiler.lang.bpftrace.lower_record import warn

        warn(low, "Array access out of bounds. This can lead to unexpected results.", node.span)
        place.zero(b, result)

    low.diamond(b.compare(op.ULT, index, count), inside, outside)
    return result


def _deref_place(low: Lowerer, node: ast.Deref) -> Place:
    value = low.value(node.operand)
    if not value.type.is_pointer:
        value = low.b.pointer(value, low.instance.space)
    return Place(value, 0, node.type)


def _block_place(low: Lowerer, node: ast.Block) -> Place:
    low.block(node)
    assert node.value is not None
    return low.place(node.value)


def _expansion_place(low: Lowerer, node: ast.Expansion) -> Place:
    return low.place(node.body)


def _argument_place(low: Lowerer, node: ast.Argument) -> Place:
    return low.place(node.value)


# -- writers


def write_bytes(low: Lowerer, target: Place, data: bytes) -> None:
    """Write constant bytes with the widest stores that fit."""
    b = low.b
    at = 0
    while at < len(data):
        size = next(n for n in (8, 4, 2, 1) if at + n <= len(data) and (at + target.offset) % n == 0)
        b.store(target.base, b.const(int.from_bytes(data[at : at + size], "little"), int_type(size)), target.offset + at)
        at += size


def _write_string(low: Lowerer, node: ast.Expr, target: Place, padded: bool) -> bool:
    known = node.meaning.value if isinstance(node.meaning, Known) else None
    if not isinstance(known, bytes):
        return False
    data = known[: max(target.type.size - 1, 0)] + b"\0"
    if padded or target.type.size <= place.LONG:
        data += bytes(min(-len(data) % 8, target.type.size - len(data)))
        write_bytes(low, target, data)
        if len(data) < target.type.size:
            place.zero(low.b, target, len(data))
    else:
        write_bytes(low, target, data)
    return True


def _write_call(low: Lowerer, node: ast.Call | ast.Identifier, target: Place, padded: bool) -> bool:
    from probee.compiler.lang.bpftrace.function import lower_call

    if node.type.kind == target.type.kind == "string" and node.type.size > target.type.size:
        return False
    if padded and place.is_long(target.type):
        place.zero(low.b, target)
    elif node.type.kind == "string" and node.type.size < target.type.size <= place.LONG:
        place.zero(low.b, target, node.type.size)
    lower_call(low, node, target)
    return True


def _write_tuple(low: Lowerer, node: ast.Tuple | ast.Record, target: Place, padded: bool) -> bool:
    if place.has_gaps(target.type) and (padded or not place.is_long(target.type)):
        place.zero(low.b, target)
    items = node.items if isinstance(node, ast.Tuple) else node.values
    for index, item in enumerate(items):
        field = target.type.fields[index]
        if isinstance(node, ast.Record):
            field = next(f for f in target.type.fields if f.name == node.names[index])
        low.into(item, target.at(field.offset, field.type), padded=padded and not place.has_gaps(target.type))
    return True


def _write_map(low: Lowerer, node: ast.MapRef | ast.MapAccess, target: Place, padded: bool) -> bool:
    from probee.compiler.lang.bpftrace import lower_map

    lower_map.read_into(low, node, target, padded=padded)
    return True


def _write_branches(low: Lowerer, node: ast.Ternary | ast.IfExpr, target: Place, padded: bool) -> bool:
    then, otherwise = node.then or node.condition, node.otherwise
    assert otherwise is not None
    low.diamond(
        low.condition(node.condition),
        lambda: low.into(then, target, padded=padded),
        lambda: low.into(otherwise, target, padded=padded),
    )
    return True


def _write_cast(low: Lowerer, node: ast.Cast, target: Place, padded: bool) -> bool:
    b, type = low.b, node.type
    if type.kind == "array" and type.element is not None:
        value = low.number(node.operand)
        b.store(target.base, b.resize(value, int_type(type.size), signed=False), target.offset)
        return True
    if type.kind == "username":
        place.store(b, target.at(0, t.UINT64), low.number(node.operand))
        return True
    low.into(node.operand, target, padded=padded)
    return True


def _write_block(low: Lowerer, node: ast.Block, target: Place, padded: bool) -> bool:
    low.block(node)
    assert node.value is not None
    low.into(node.value, target, padded=padded)
    return True


def _write_expansion(low: Lowerer, node: ast.Expansion, target: Place, padded: bool) -> bool:
    low.into(node.body, target, padded=padded)
    return True


VALUES: dict[type, Callable[[Lowerer, Any], Value]] = {
    ast.Logical: _logical,
    ast.Unary: _unary,
    ast.Binary: _binary,
    ast.Ternary: _ternary,
    ast.IfExpr: _ternary,
    ast.Block: _block,
    ast.IncDec: _increment,
    ast.Cast: _cast,
    ast.Call: _call,
    ast.Identifier: _call,
    ast.MapRef: _map,
    ast.MapAccess: _map,
    ast.Field: _field,
    ast.Index: _index_value,
    ast.Deref: _deref_value,
    ast.AddressOf: _address_of,
    ast.Expansion: _expansion,
    ast.Argument: _argument,
}

PLACES: dict[type, Callable[[Lowerer, Any], Place | None]] = {
    ast.Variable: _variable_place,
    ast.Field: _field_place,
    ast.TupleIndex: _tuple_index_place,
    ast.Index: _index_place,
    ast.Deref: _deref_place,
    ast.Block: _block_place,
    ast.Expansion: _expansion_place,
    ast.Argument: _argument_place,
}

WRITERS: dict[type, Callable[[Lowerer, Any, Place, bool], bool]] = {
    ast.StringLiteral: _write_string,
    ast.Positional: _write_string,
    ast.Binary: _write_string,
    ast.Call: _write_call,
    ast.Identifier: _write_call,
    ast.Tuple: _write_tuple,
    ast.Record: _write_tuple,
    ast.MapRef: _write_map,
    ast.MapAccess: _write_map,
    ast.Ternary: _write_branches,
    ast.IfExpr: _write_branches,
    ast.Cast: _write_cast,
    ast.Block: _write_block,
    ast.Expansion: _write_expansion,
}
