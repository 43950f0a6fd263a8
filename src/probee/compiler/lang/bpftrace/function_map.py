"""Functions on maps of the script: delete, has_key, len."""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.type import I64, MAP, pointer
from probee.compiler.ir.unit import Function, Value
from probee.compiler.lang.bpftrace import ast, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.aggregation import bucket_count
from probee.compiler.lang.bpftrace.check import arity
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.lower_map import BUCKETED, kernel_name, key_size, lookup, make_key
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import Resolver
from probee.compiler.lang.bpftrace.scope import Known, MapInfo, Unresolved
from probee.compiler.lang.bpftrace.stack import stack_length
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError, TypeMismatch, UnknownName, Unsupported


def _info(resolver: Resolver, node: ast.Call) -> MapInfo:
    first = node.args[0]
    ref = first.map if isinstance(first, ast.MapAccess) and len(node.args) == 1 and node.name == "delete" else first
    if not isinstance(ref, ast.MapRef):
        raise TypeMismatch(f"{node.name}() expects a map to be provided", first.span)
    info = resolver.script.maps.get(ref.name)
    if info is None or info.keyed is None:
        raise Unresolved(UnknownName(f"Undefined map: @{ref.name}", first.span))
    return info


def _access(node: ast.Call) -> ast.MapRef | ast.MapAccess:
    """Return the element that the call names, in either of its forms: f(@m, key) or f(@m[key])."""
    first = node.args[0]
    if len(node.args) > 1:
        assert isinstance(first, ast.MapRef)
        return ast.MapAccess(node.span, first, node.args[1])
    assert isinstance(first, (ast.MapRef, ast.MapAccess))
    return first


def _check_delete(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1, 2)
    info = _info(resolver, node)
    if len(node.args) == 1 and isinstance(node.args[0], ast.MapRef) and info.keyed:
        message = "call to delete() with a single argument expects a map without explicit keys (scalar map)"
        raise CompileError(message, node.span)
    if len(node.args) == 2 and not info.keyed:
        message = "call to delete() expects a map with explicit keys (non-scalar map)"
        raise CompileError(message, node.span)
    resolver.map_use(_access(node))
    return t.BOOL


def _lower_delete(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    """True when there was something to delete."""
    b = low.b
    access = _access(node)
    info = low.script.maps[(access.map if isinstance(access, ast.MapAccess) else access).name]
    if info.value is not None and info.value.kind in BUCKETED:
        return _delete_buckets(low, info, access)
    result = b.helper("map_delete_elem", b.map(kernel_name(info)), make_key(low, info, access))
    return b.zext(b.compare(op.EQ, result, 0), I64)


def _delete_buckets(low: Lowerer, info: MapInfo, access: ast.MapRef | ast.MapAccess) -> Value:
    """Delete a histogram's every bucket, or a time series' every slot; true when there was any."""
    b, n_buckets = low.b, bucket_count(info)
    found, bucket = place.alloca(b, t.UINT64, "found"), place.alloca(b, t.UINT64, "bucket")
    place.store(b, found, b.const(0))
    place.store(b, bucket, b.const(0))
    key = make_key(low, info, access, b.const(0))
    at_bucket = key_size(info) - 8
    head, body, end = b.new_block(), b.new_block(), b.new_block()
    b.jump(head)
    b.at(head)
    number = place.load(b, bucket)
    b.branch(b.compare(op.ULT, number, n_buckets), body, end)
    b.at(body)
    b.store(key, number, at_bucket)
    result = b.helper("map_delete_elem", b.map(kernel_name(info)), key)
    low.diamond(b.compare(op.EQ, result, 0), lambda: place.store(b, found, b.const(1)), None)
    place.store(b, bucket, b.add(number, 1))
    b.jump(head)
    b.at(end)
    return place.load(b, found)


def _check_has_key(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 2)
    info = _info(resolver, node)
    if not info.keyed:
        raise CompileError("call to has_key() expects a map with explicit keys (non-scalar map)", node.span)
    info.read = True
    resolver.map_use(_access(node))
    return t.BOOL


def _lower_has_key(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    access = _access(node)
    assert isinstance(access, ast.MapAccess)
    info = low.script.maps[access.map.name]
    found = lookup(low, info, make_key(low, info, access))
    return low.b.zext(low.b.check_null(found), I64)


def _check_len(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1)
    first = node.args[0]
    if not isinstance(first, ast.MapRef):
        type = resolver.expr(first)
        if type.kind in ("kstack", "ustack"):
            resolver.script.stored_lengths = resolver.script.stored_lengths or not _is_taken_here(first)
            return t.INT64
        raise TypeMismatch(f"len() expects a map or stack to be provided ({type} provided)", first.span)
    info = _info(resolver, node)
    if not info.keyed:
        raise CompileError("call to len() expects a map with explicit keys (non-scalar map)", node.span)
    info.read = True
    return t.INT64


def _is_taken_here(node: ast.Expr) -> bool:
    """True for a stack that the expression itself takes, not one from a variable or a map."""
    return isinstance(node, (ast.Identifier, ast.Call)) and node.name in ("kstack", "ustack")


def _lower_len(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    """Count the elements: bpf_for_each_map_elem returns how many it visited."""
    first = node.args[0]
    if not isinstance(first, ast.MapRef):
        if _is_taken_here(first):
            return stack_length(low, first)
        return low.b.lshr(place.load(low.b, low.place(first).at(0, t.UINT64)), 32)
    if not low.feature("for_each_map_elem"):
        raise Unsupported("len() of a map needs bpf_for_each_map_elem, which this kernel lacks (Linux 5.13)", node.span)
    assert isinstance(node.args[0], ast.MapRef)
    b = low.b
    info = low.script.maps[node.args[0].name]
    parameters = (MAP, pointer("map"), pointer("map"), pointer("stack"))
    function = Function(f"{low.function.name}_len{len(low.callbacks) + 1}", parameters, I64, kind="callback", span=node.span)
    low.callbacks.append(function)
    inner = low.nested(function)
    inner.b.return_(inner.b.const(0))
    table = place.alloca(b, t.UINT64)
    place.store(b, table, b.const(0))
    where = place.address(b, table)
    return b.helper("for_each_map_elem", b.map(kernel_name(info)), b.callback(function.name), where, b.const(0))


def _check_is_scalar(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1)
    node.meaning = Known(not _info(resolver, node).keyed)
    return t.BOOL


def _lower_known(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    assert isinstance(node.meaning, Known)
    return low.b.const(int(node.meaning.value))


TABLE = {
    "is_scalar": (_check_is_scalar, _lower_known),
    "delete": (_check_delete, _lower_delete),
    "has_key": (_check_has_key, _lower_has_key),
    "len": (_check_len, _lower_len),
}
