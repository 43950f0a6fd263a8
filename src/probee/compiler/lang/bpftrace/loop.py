"""Types of loops, jumps and returns."""

from __future__ import annotations

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.resolve import Resolver, known_int
from probee.compiler.lang.bpftrace.scope import Unresolved, VariableInfo
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError, TypeMismatch, UnknownName

MAX_UNROLL = 100


def while_(resolver: Resolver, node: ast.While) -> None:
    hint = (
        "For loops support ranges (e.g. `for ($x : $start..$end) { ... }`), and can be used in place of while. "
        "These are more easily proven to end."
    )
    resolver.script.warn("While loops are deprecated and may be removed in the future.", node.span, hint=hint)
    resolver.attempt(resolver.condition, node.condition)
    _body(resolver, node.body, "inline")


def unroll(resolver: Resolver, node: ast.Unroll) -> None:
    resolver.expr(node.count)
    count = known_int(node.count)
    if count is None:
        raise CompileError("invalid unroll value", node.count.span)
    if count < 1:
        raise CompileError("unroll minimum value is 1", node.span)
    if count > MAX_UNROLL:
        raise CompileError(f"unroll maximum value is {MAX_UNROLL}", node.span)
    _body(resolver, node.body, "inline")


def for_(resolver: Resolver, node: ast.For) -> None:
    variables, name = resolver.instance.variables, node.variable.name
    info = variables.get(id(node))
    if info is None:
        if resolver.lookup(name) is not None:
            raise CompileError(f"Loop declaration shadows existing variable: ${name}", node.variable.span)
        info = variables[id(node)] = VariableInfo(name, node.variable.span)
    node.variable.meaning = info
    info.assigned = True
    type = _loop_variable(resolver, node.iterable)
    resolver.scopes.append({name: info})
    try:
        resolver.grow_variable(info, type)
        _body(resolver, node.body, "callback")
    finally:
        resolver.scopes.pop()


def _loop_variable(resolver: Resolver, iterable: ast.MapRef | ast.Range) -> Ty:
    if isinstance(iterable, ast.Range):
        for bound, which in ((iterable.start, "start"), (iterable.end, "end")):
            type = resolver.expr(bound)
            if not (type.is_int or type.kind in t.READABLE):
                raise TypeMismatch(f"Loop range requires an integer for the {which} value", iterable.span)
        return t.INT64
    info = resolver.script.maps.get(iterable.name)
    if info is None or info.keyed is None:
        raise Unresolved(UnknownName(f"Undefined map: @{iterable.name}", iterable.span))
    if not info.keyed:
        message = f"@{iterable.name} has no explicit keys (scalar map), and cannot be used for iteration"
        raise CompileError(message, iterable.span)
    if info.key is None or info.value is None:
        raise Unresolved(UnknownName(f"Undefined map: @{iterable.name}", iterable.span))
    if info.value.is_aggregation and info.value.kind not in t.READABLE:
        raise TypeMismatch(f"Loop expression does not support type: {info.value}", iterable.span)
    info.read = True
    value = t.int_of(8, signed=info.value.signed) if info.value.kind in t.READABLE else info.value
    return t.tuple_of([info.key, value])


def _body(resolver: Resolver, body: ast.Block, kind: str) -> None:
    resolver.loops.append(kind)
    try:
        resolver.block(body)
    finally:
        resolver.loops.pop()


def jump(resolver: Resolver, node: ast.Break | ast.Continue) -> None:
    if not resolver.loops:
        _outside_macro(resolver, node)
        word = "break" if isinstance(node, ast.Break) else "continue"
        where = "function" if resolver.instance.returns is not None else "probe"
        raise CompileError(f"'{word}' statement is not allowed in a {where}", node.span)


def _outside_macro(resolver: Resolver, node: ast.Break | ast.Continue | ast.Return) -> None:
    """A macro is an expression: it cannot decide where the probe that uses it goes on."""
    if resolver.script.calls:
        word = type(node).__name__.lower()
        raise CompileError(f"'{word}' statement is not allowed in a macro", node.span)


def return_(resolver: Resolver, node: ast.Return) -> None:
    _outside_macro(resolver, node)
    type = resolver.expr(node.value) if node.value is not None else t.NONE
    wanted = resolver.instance.returns
    if wanted is not None:
        from probee.compiler.lang.bpftrace.subprogram import check_return

        check_return(resolver, node, type, wanted)
    elif node.value is not None and not type.is_int:
        raise TypeMismatch(f"Probe return values can only be integers. Found {type}", node.span)
