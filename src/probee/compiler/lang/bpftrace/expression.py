"""Types of expressions that hold no rule of their own: literals, names, parameters, branches, blocks, tuples, macros.

EXPRESSIONS is the table of all expressions: by node class, one function `(resolver, node) -> Ty`.  A constant result is left
in `node.meaning` as Known.
"""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.lang.bpftrace import access, assign, ast, operator
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.cast import cast
from probee.compiler.lang.bpftrace.resolve import Resolver
from probee.compiler.lang.bpftrace.scope import Known, Outside, Unresolved, Within
from probee.compiler.lang.bpftrace.type import Ty
from probee.compiler.lang.bpftrace.unify import unify
from probee.errors import CompileError, TypeMismatch, UnknownName

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# -- leaves


def _int_literal(resolver: Resolver, node: ast.IntLiteral) -> Ty:
    node.meaning = Known(node.value)
    return t.literal_type(node.value, unsigned=node.unsigned)


def _bool_literal(resolver: Resolver, node: ast.BoolLiteral) -> Ty:
    node.meaning = Known(bool(node.value))
    return t.BOOL


def _string_literal(resolver: Resolver, node: ast.StringLiteral) -> Ty:
    limit = resolver.script.config.number("max_strlen")
    if len(node.value) >= limit:
        raise CompileError(f"String is too long (over {limit} bytes): {node.value.decode('utf-8', 'replace')}", node.span)
    node.meaning = Known(node.value)
    return t.string(len(node.value) + 1)


def _variable(resolver: Resolver, node: ast.Variable) -> Ty:
    info = resolver.lookup(node.name)
    if info is None:
        raise UnknownName(f"Undefined or undeclared variable: ${node.name}", node.span)
    node.meaning = info
    if info.type is None:
        raise Unresolved(CompileError(f"Variable used before it was assigned: ${node.name}", node.span))
    if info.declaration and not info.assigned:
        resolver.script.warn(f"Variable used before it was assigned: ${node.name}", node.span)
    return info.type


def _map(resolver: Resolver, node: ast.MapRef | ast.MapAccess) -> Ty:
    info = resolver.map_use(node)
    info.read = True
    if info.value is None:
        raise Unresolved(UnknownName(f"Undefined map: @{info.name}", node.span))
    return info.value


def _positional(resolver: Resolver, node: ast.Positional) -> Ty:
    """A number, or a string: by its text.  A missing one is 0."""
    parameters = resolver.script.parameters
    text = parameters[node.index - 1] if node.index <= len(parameters) else ""
    if not text:
        resolver.script.warn(f"Positional parameter ${node.index} is empty or not provided.", node.span)
        node.meaning = Known(0)
        return t.literal_type(0)
    number = parameter_number(text)
    if number is None:
        data = text.encode("utf-8", "surrogateescape")
        node.meaning = Known(data)
        return t.string(len(data) + 1)
    node.meaning = Known(number)
    return t.literal_type(number)


def parameter_number(text: str) -> int | None:
    """Return the number that a positional parameter spells, None when it is text."""
    from probee.probes.number import parse_signed

    try:
        return parse_signed(text)
    except (ValueError, CompileError):
        return None


def _positional_count(resolver: Resolver, node: ast.PositionalCount) -> Ty:
    node.meaning = Known(len(resolver.script.parameters))
    return t.literal_type(len(resolver.script.parameters))


def _identifier(resolver: Resolver, node: ast.Identifier) -> Ty:
    from probee.compiler.lang.bpftrace.builtin import resolve_name

    return resolve_name(resolver, node)


def _call(resolver: Resolver, node: ast.Call) -> Ty:
    from probee.compiler.lang.bpftrace.function import resolve_call

    return resolve_call(resolver, node)


def _comptime(resolver: Resolver, node: ast.Comptime) -> Ty:
    type = resolver.expr(node.operand)
    if not isinstance(node.operand.meaning, Known):
        raise CompileError("Unable to resolve comptime expression", node.span)
    node.meaning = node.operand.meaning
    return type


def _type_info(resolver: Resolver, node: ast.TypeInfo) -> Ty:
    from probee.compiler.lang.bpftrace.type_info import resolve

    return resolve(resolver, node)


# -- branches and blocks


def _ternary(resolver: Resolver, node: ast.Ternary) -> Ty:
    if node.then is None:
        resolver.condition(node.condition)
        return _branches(node, node.condition.type, resolver.expr(node.otherwise, statement=True))
    resolver.condition(node.condition)
    if is_decided(node):
        assert isinstance(node.condition.meaning, Known)
        return resolver.expr(node.then if node.condition.meaning.value else node.otherwise, statement=True)
    then = resolver.expr(node.then, statement=True)
    return _branches(node, then, resolver.expr(node.otherwise, statement=True))


def is_decided(node: ast.Ternary | ast.IfExpr) -> bool:
    """True when only the branch that a condition takes counts: one of comptime, or a literal before a `?`."""
    if isinstance(node.condition, ast.Comptime):
        return True
    meaning = node.condition.meaning
    return isinstance(node, ast.Ternary) and node.then is not None and isinstance(meaning, Known) and meaning.literal


def _branches(node: ast.Expr, then: Ty, otherwise: Ty) -> Ty:
    if then.kind == "none" and otherwise.kind == "none":
        return t.NONE
    then, otherwise = (t.int_of(8, signed=side.signed) if side.kind in t.READABLE else side for side in (then, otherwise))
    joined = unify(then, otherwise) if then.kind != "none" and otherwise.kind != "none" else None
    if joined is None:
        message = f"Branches must return the same type or compatible types: have '{then}' and '{otherwise}'"
        raise TypeMismatch(message, node.span)
    return joined


def _if_expression(resolver: Resolver, node: ast.IfExpr) -> Ty:
    taken = resolver.branch(node)
    if taken is not None:
        chosen = node.then if taken else node.otherwise
        return resolver.expr(chosen) if chosen is not None else t.NONE
    then = resolver.expr(node.then)
    if node.otherwise is None:
        return t.NONE
    return _branches(node, then, resolver.expr(node.otherwise))


def _block(resolver: Resolver, node: ast.Block) -> Ty:
    """A block that is nothing but its value is as constant as that."""
    type = resolver.block(node)
    if not node.statements and node.value is not None and isinstance(node.value.meaning, Known):
        node.meaning = node.value.meaning
    return type


# -- composed


def _tuple(resolver: Resolver, node: ast.Tuple) -> Ty:
    return t.tuple_of([_member(resolver, item, "tuple") for item in node.items])


def _record(resolver: Resolver, node: ast.Record) -> Ty:
    return t.tuple_of([_member(resolver, value, "record") for value in node.values], node.names)


def _member(resolver: Resolver, item: ast.Expr, what: str) -> Ty:
    type = resolver.expr(item)
    call = assign.aggregation_call(item)
    if call is not None:
        raise CompileError(f"{call.name}() must be assigned directly to a map", call.span)
    if type.is_aggregation and type.kind not in t.READABLE:
        raise TypeMismatch(f"Map type {type} cannot exist inside a {what}.", item.span)
    if type.kind == "none":
        raise TypeMismatch(f"Invalid {what} element type: {type}", item.span)
    return t.int_of(8, signed=type.signed) if type.kind in t.READABLE else type


def _expansion(resolver: Resolver, node: ast.Expansion) -> Ty:
    with Within(resolver.script, node):
        type = resolver.expr(node.body)
    if isinstance(node.body.meaning, Known):
        node.meaning = node.body.meaning
    return type


def _argument(resolver: Resolver, node: ast.Argument) -> Ty:
    with Outside(resolver.script):
        type = resolver.expr(node.value, statement=True)
    if isinstance(node.value.meaning, Known):
        node.meaning = node.value.meaning
    return type


def _type_argument(resolver: Resolver, node: ast.TypeArgument) -> Ty:
    message = "When used as a call argument, `typeof` builtin only valid for macro calls that are expecting a type parameter"
    raise CompileError(message, node.span)


EXPRESSIONS: dict[type, Callable[[Resolver, Any], Ty]] = {
    ast.IntLiteral: _int_literal,
    ast.BoolLiteral: _bool_literal,
    ast.StringLiteral: _string_literal,
    ast.Identifier: _identifier,
    ast.Variable: _variable,
    ast.MapRef: _map,
    ast.MapAccess: _map,
    ast.Positional: _positional,
    ast.PositionalCount: _positional_count,
    ast.Unary: operator.unary,
    ast.Deref: access.dereference,
    ast.AddressOf: access.address_of,
    ast.IncDec: operator.increment,
    ast.Binary: operator.binary,
    ast.Logical: operator.logical,
    ast.Ternary: _ternary,
    ast.Cast: cast,
    ast.Field: access.field,
    ast.TupleIndex: access.tuple_index,
    ast.Index: access.index,
    ast.Call: _call,
    ast.TypeArgument: _type_argument,
    ast.SizeOf: access.sizeof,
    ast.OffsetOf: access.offsetof,
    ast.Comptime: _comptime,
    ast.TypeInfo: _type_info,
    ast.Tuple: _tuple,
    ast.Record: _record,
    ast.Block: _block,
    ast.IfExpr: _if_expression,
    ast.Expansion: _expansion,
    ast.Argument: _argument,
}
