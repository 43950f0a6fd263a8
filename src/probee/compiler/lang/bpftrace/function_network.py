"""Bytes in network order: ntop, pton, macaddr, bswap."""

from __future__ import annotations

from probee.compiler.ir.type import I32, I64, int_type
from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.check import arity, expect, literal_text
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import Resolver, known_int
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError, TypeMismatch

AF_INET, AF_INET6 = 2, 10


def _check_ntop(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1, 2)
    for argument in node.args:
        resolver.expr(argument)
    if len(node.args) == 2:
        expect(node, node.args[0], ("int", "enum"), "integer")
    data = node.args[-1]
    if data.type.kind not in ("int", "array", "string", "pointer", "struct"):
        raise TypeMismatch(f"ntop() expects an integer or array argument, got {data.type}", node.span)
    if _size(node) not in (4, 16):
        raise TypeMismatch("ntop() argument must be 4 or 16 bytes in size", node.span)
    return t.INET


def _size(node: ast.Call) -> int:
    """Return how many bytes an address has: by its type, for a bare pointer by the family when that is known."""
    type = node.args[-1].type
    if type.kind == "int":
        return 4
    if type.kind == "pointer":
        size = t.pointee(type).size
        return size if size in (4, 16) else 16 if len(node.args) == 2 and known_int(node.args[0]) == AF_INET6 else 4
    return int(type.size)


def _lower_ntop(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    """The family, then the address; what is not needed of its 16 bytes is zero."""
    assert target is not None
    b, data, size = low.b, node.args[-1], _size(node)
    place.zero(b, target)
    family = low.number(node.args[0]) if len(node.args) == 2 else b.const(AF_INET if size == 4 else AF_INET6)
    b.store(target.base, family, target.offset)
    if data.type.kind == "int":
        b.store(target.base, b.trunc(low.number(data), I32), target.offset + 8)
        return
    source = Place(low.value(data), 0, data.type) if data.type.kind == "pointer" else place.readable(b, low.place(data))
    b.copy(target.base, source.base, size, to_offset=target.offset + 8, from_offset=source.offset)


def _check_pton(resolver: Resolver, node: ast.Call) -> Ty:
    import socket

    arity(node, 1)
    text = literal_text(resolver, node, 0)
    try:
        data = socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except OSError:
        raise CompileError(f"pton() expects a valid IPv4/IPv6 address, got {text}", node.span) from None
    node.meaning = data
    return t.array_of(t.UINT8, len(data))


def _lower_pton(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    from probee.compiler.lang.bpftrace.lower_write import write_bytes

    assert target is not None and isinstance(node.meaning, bytes)
    write_bytes(low, target, node.meaning)


def _check_macaddr(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1)
    data = node.args[0]
    type = resolver.expr(data)
    if isinstance(data, ast.StringLiteral):
        raise TypeMismatch("macaddr() does not support literal string arguments", node.span)
    if type.kind not in ("int", "array", "string", "pointer"):
        raise TypeMismatch(f"macaddr() only supports array or pointer arguments ({type} provided)", node.span)
    if type.kind in ("array", "string") and type.size < 6:
        raise TypeMismatch("macaddr() argument must be at least 6 bytes in size", node.span)
    return t.MACADDR


def _lower_macaddr(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    assert target is not None
    b, source = low.b, low.pointer(node.args[0])
    b.store(target.base, b.const(0), target.offset)
    b.copy(target.base, source, 6, to_offset=target.offset)


def _check_bswap(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1)
    resolver.expr(node.args[0])
    type = expect(node, node.args[0], ("int",), "integer")
    return t.int_of(type.size, signed=False)


def _lower_bswap(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    b, size = low.b, node.type.size
    value = low.number(node.args[0])
    return value if size == 1 else b.zext(b.bswap(b.trunc(value, int_type(size))), I64)


TABLE = {
    "ntop": (_check_ntop, _lower_ntop),
    "pton": (_check_pton, _lower_pton),
    "macaddr": (_check_macaddr, _lower_macaddr),
    "bswap": (_check_bswap, _lower_bswap),
}
