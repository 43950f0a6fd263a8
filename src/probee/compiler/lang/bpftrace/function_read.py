"""str() and buf(): strings and bytes read from memory."""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.type import I8, I32
from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.check import arity, expect, literal_int
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import Resolver, known_int
from probee.compiler.lang.bpftrace.scope import Known
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError, TypeMismatch

PADDED = 1024  # below this, max_strlen counts characters, not bytes with the NUL


def _check_str(resolver: Resolver, node: ast.Call) -> Ty:
    """str(p, n) has at most n - 1 characters and a NUL."""
    arity(node, 1, 2)
    first = node.args[0]
    type = resolver.expr(first)
    limit = resolver.script.config.number("max_strlen")
    size = limit
    if len(node.args) > 1:
        resolver.expr(node.args[1])
        expect(node, node.args[1], ("int", "enum", "bool"), "integer")
        size = _literal_size(resolver, node, limit)
    if isinstance(first, ast.Positional):
        return _positional_text(resolver, node, first)
    if not (type.is_int or type.kind in ("pointer", "string", "array")):
        message = f"str() expects a string, integer or a pointer type as first argument ({type} provided)"
        raise TypeMismatch(message, node.span)
    if type.kind == "string" and len(node.args) == 1 and type.size <= limit:
        return type
    return t.string(size)


def _literal_size(resolver: Resolver, node: ast.Call, limit: int) -> int:
    known = known_int(node.args[1])
    if known is None:
        return limit
    if known < 0:
        raise CompileError(f"str() cannot use negative length ({known})", node.span)
    if known + 1 > limit:
        message = f"length param ({known}) is too long and will be shortened to {limit} bytes (see BPFTRACE_MAX_STRLEN)"
        resolver.script.warn(message, node.span)
    return min(known + 1, limit)


def _positional_text(resolver: Resolver, node: ast.Call, parameter: ast.Positional) -> Ty:
    """str($1) is the parameter's text, number or not."""
    parameters = resolver.script.parameters
    text = parameters[parameter.index - 1] if parameter.index <= len(parameters) else ""
    data = text.encode("utf-8", "surrogateescape")
    if len(node.args) > 1:
        data = data[: max(0, literal_int(resolver, node, 1) - 1)]
    node.meaning = Known(data)
    return t.string(len(data) + 1)


def _lower_str(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    assert target is not None
    b, first = low.b, node.args[0]
    if isinstance(node.meaning, Known):
        from probee.compiler.lang.bpftrace.lower_context import known_text

        known_text(low, node, target)
        return
    size = min(target.type.size, node.type.size)
    pointer = low.pointer(first)
    space = "user" if pointer.type.space == "user" else "kernel"
    known = known_int(node.args[1]) if len(node.args) > 1 else None
    length: int | Value = size
    if known is not None:
        length = min(known, size)
    elif len(node.args) > 1:
        length = b.bound(low.number(node.args[1]), size)
    elif first.type.kind == "array":
        length = min(size, first.type.size + 1)
    _clear(low, target)
    if length == 0:
        return
    result = place.read_string(b, target, length, pointer, space)
    if length == low.script.config.number("max_strlen") < PADDED:
        _read_last(low, target, size, result, pointer)


def _read_last(low: Lowerer, target: Place, size: int, result: Value, pointer: Value) -> None:
    """A string that is longer than its buffer fills it to the last byte: that is how it is known to be cut."""
    b = low.b
    helper = "probe_read_user" if pointer.type.space == "user" else "probe_read_kernel"

    def last() -> None:
        b.helper(helper, b.offset(target.base, target.offset + size - 1), b.const(1), b.offset(pointer, size - 1))

    low.diamond(b.compare(op.EQ, result, size), last, None)


def _clear(low: Lowerer, target: Place) -> None:
    """Make a failing read an empty string."""
    if target.type.size <= place.LONG:
        place.zero(low.b, target)
    else:
        low.b.store(target.base, low.b.const(0, I8), target.offset)


def _check_buf(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1, 2)
    type = resolver.expr(node.args[0])
    limit = resolver.script.config.number("max_strlen")
    if len(node.args) > 1:
        resolver.expr(node.args[1])
        expect(node, node.args[1], ("int", "enum", "bool"), "integer")
        known = known_int(node.args[1])
        if known is not None and known < 0:
            raise CompileError(f"buf() cannot use negative length ({known})", node.span)
        return t.buffer(min(known, limit) if known is not None else limit)
    if type.kind in ("array", "string"):
        return t.buffer(min(type.size, limit))
    if type.kind == "pointer" and t.pointee(type).kind == "array":
        return t.buffer(min(t.pointee(type).size, limit))
    raise CompileError(f"buf() expects a length argument for non-array type {type}", node.span)


def _lower_buf(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    assert target is not None
    b, capacity = low.b, target.type.count
    pointer = low.pointer(node.args[0])
    known = known_int(node.args[1]) if len(node.args) > 1 else target.type.count
    size = b.const(min(known, capacity)) if known is not None else b.bound(low.number(node.args[1]), capacity)
    b.store(target.base, b.trunc(size, I32), target.offset)
    helper = "probe_read_user" if pointer.type.space == "user" else "probe_read_kernel"
    b.helper(helper, b.offset(target.base, target.offset + 4), size, pointer)


TABLE = {
    "str": (_check_str, _lower_str),
    "buf": (_check_buf, _lower_buf),
}
