"""Functions that only the compiler knows: questions about types and kinds of expressions, and failing on purpose."""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.check import arity, literal_text
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.operator import literal
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import Resolver
from probee.compiler.lang.bpftrace.scope import Known
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError


def _about(question: Callable[[ast.Expr, Ty], bool]) -> Callable[[Resolver, ast.Call], Ty]:
    def check(resolver: Resolver, node: ast.Call) -> Ty:
        arity(node, 1)
        type = resolver.expr(node.args[0])
        node.meaning = Known(question(node.args[0], type))
        return t.BOOL

    return check


def _lower(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    assert isinstance(node.meaning, Known)
    return low.b.const(int(node.meaning.value))


def _check_fail(resolver: Resolver, node: ast.Call) -> Ty:
    """The text of a fail() that is reached is the error."""
    from probee.model.printf import compile_format, parse_format

    if not node.args:
        raise CompileError("fail() requires at least one argument (0 provided)", node.span)
    text = literal_text(resolver, node, 0)
    values, types = [], []
    for argument in node.args[1:]:
        type = resolver.expr(argument)
        value = literal(argument)
        if value is None:
            raise CompileError("fail() arguments need to be literals", node.span)
        values.append(value)
        types.append(t.value_type(type))
    raise CompileError(compile_format(parse_format(text), types)(tuple(values)), node.span)


def _check_static_assert(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 2)
    resolver.condition(node.args[0])
    message = literal_text(resolver, node, 1)
    known = node.args[0].meaning
    if not isinstance(known, Known):
        raise CompileError("static_assert() expects a condition that is known at compile time", node.args[0].span)
    if not known.value:
        raise CompileError(message, node.span)
    return t.NONE


def _nothing(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    return None


TABLE = {
    "is_str": (_about(lambda node, type: type.kind == "string"), _lower),
    "is_ptr": (_about(lambda node, type: type.kind == "pointer"), _lower),
    "is_array": (_about(lambda node, type: type.kind == "array"), _lower),
    "is_integer": (_about(lambda node, type: type.kind in ("int", "enum")), _lower),
    "is_unsigned_integer": (_about(lambda node, type: type.kind in ("int", "enum") and not type.signed), _lower),
    "is_literal": (_about(lambda node, type: literal(node) is not None), _lower),
    "fail": (_check_fail, _nothing),
    "static_assert": (_check_static_assert, _nothing),
}
