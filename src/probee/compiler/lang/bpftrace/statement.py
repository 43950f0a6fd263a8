"""Types of statements: the table of them, and those that hold no rule of their own."""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.lang.bpftrace import assign, ast, loop
from probee.compiler.lang.bpftrace.function import FUNCTIONS
from probee.compiler.lang.bpftrace.resolve import Resolver
from probee.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _expression(resolver: Resolver, node: ast.ExprStatement) -> None:
    type = resolver.expr(node.value, statement=True)
    if type.kind != "none" and not _does_something(node.value):
        resolver.script.warn("Return value discarded.", node.span)


def _does_something(node: ast.Expr) -> bool:
    """True for what has a value, but is used for its effect as well: `delete(@m, k);` and its kin need no warning."""
    if isinstance(node, ast.Call):
        return node.name in ("delete", "write_user") or node.name not in FUNCTIONS
    return isinstance(node, (ast.IncDec, ast.Expansion))


def _discard(resolver: Resolver, node: ast.Discard) -> None:
    resolver.expr(node.value, statement=True)


def _if(resolver: Resolver, node: ast.If) -> None:
    taken = resolver.branch(node)
    if taken is not False:
        resolver.block(node.then)
    if taken or node.otherwise is None:
        return
    if isinstance(node.otherwise, ast.Block):
        resolver.block(node.otherwise)
    else:
        resolver.statement(node.otherwise)


def _import(resolver: Resolver, node: ast.Import) -> None:
    raise Unsupported(f"{node.path}: what is imported inside of a probe is C, and probee has no C compiler", node.span)


STATEMENTS: dict[type, Callable[[Resolver, Any], object]] = {
    ast.ExprStatement: _expression,
    ast.Discard: _discard,
    ast.Let: assign.let,
    ast.Assign: assign.assign,
    ast.If: _if,
    ast.While: loop.while_,
    ast.Unroll: loop.unroll,
    ast.For: loop.for_,
    ast.Break: loop.jump,
    ast.Continue: loop.jump,
    ast.Return: loop.return_,
    ast.Block: Resolver.block,
    ast.Import: _import,
}
