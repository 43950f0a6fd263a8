"""Expressions that make a value in memory anew: WRITERS writes it into a given Place and says whether it did."""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.ir.type import int_type
from probee.compiler.lang.bpftrace import ast, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.scope import Known, Outside, Within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


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
    data = (known[: max(target.type.size - 1, 0)] + b"\0")[: target.type.size]
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

    if node.type.kind == "struct":  # args, which lies in the context
        return False
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
    from probee.compiler.lang.bpftrace.expression import is_decided
    from probee.compiler.lang.bpftrace.lower_value import chosen

    if is_decided(node):
        low.into(chosen(node), target, padded=padded)
        return True
    then, otherwise = node.then or node.condition, node.otherwise
    assert otherwise is not None
    low.diamond(
        low.condition(node.condition),
        lambda: low.into(then, target, padded=padded),
        lambda: low.into(otherwise, target, padded=padded),
    )
    return True


def _write_cast(low: Lowerer, node: ast.Cast, target: Place, padded: bool) -> bool:
    b, type, source = low.b, node.type, node.operand.type
    if type.kind == "array" and source.is_int:
        value = low.number(node.operand)
        b.store(target.base, b.resize(value, int_type(type.size), signed=False), target.offset)
    elif type.kind == "array" or source.kind == "array":
        from probee.compiler.lang.bpftrace.lower_compare import here

        found = here(low, low.place(node.operand))
        size = min(type.size, source.size)
        b.copy(target.base, found.base, size, to_offset=target.offset, from_offset=found.offset)
        if size < target.type.size:
            place.zero(b, target, size)
        elif type.kind == "string":
            b.store(target.base, b.const(0, int_type(1)), target.offset + size - 1)
    elif type.kind in ("username", "ksym"):
        place.store(b, target.at(0, t.UINT64), low.number(node.operand))
    else:
        return _write_resized(low, node, target, padded)
    return True


def _write_resized(low: Lowerer, node: ast.Cast, target: Place, padded: bool) -> bool:
    """A cast that cuts a string goes by way of its own size, so that what is cut stays cut."""
    if node.type == target.type or (node.type.kind == "string" and node.type.size >= node.operand.type.size):
        low.into(node.operand, target, padded=padded)
        return True
    cut = place.alloca(low.b, node.type)
    low.into(node.operand, cut, padded=padded)
    place.copy(low.b, target, cut, padded=padded)
    return True


def _write_block(low: Lowerer, node: ast.Block, target: Place, padded: bool) -> bool:
    low.into(low.statements_of(node), target, padded=padded)
    return True


def _write_expansion(low: Lowerer, node: ast.Expansion, target: Place, padded: bool) -> bool:
    with Within(low.script, node):
        low.into(node.body, target, padded=padded)
    return True


def _write_argument(low: Lowerer, node: ast.Argument, target: Place, padded: bool) -> bool:
    with Outside(low.script):
        low.into(node.value, target, padded=padded)
    return True


def _write_comptime(low: Lowerer, node: ast.Comptime, target: Place, padded: bool) -> bool:
    low.into(node.operand, target, padded=padded)
    return True


def _write_type_info(low: Lowerer, node: ast.TypeInfo, target: Place, padded: bool) -> bool:
    from probee.compiler.lang.bpftrace.type_info import write

    return write(low, node, target, padded)


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
    ast.Argument: _write_argument,
    ast.Comptime: _write_comptime,
    ast.TypeInfo: _write_type_info,
}
