"""Statements to IR.  Assignments to maps are lower_map.py's, loops lower_loop.py's; what is constant leaves no branch."""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.ir.unit import Block
from probee.compiler.lang.bpftrace import ast, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.scope import Known, Outside, VariableInfo, Within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _expression_statement(low: Lowerer, node: ast.ExprStatement | ast.Discard) -> None:
    effect(low, node.value)


def effect(low: Lowerer, node: ast.Expr) -> None:
    """Evaluate an expression for its effect."""
    if isinstance(node, ast.Block):
        low.block(node)
        if node.value is not None and not low.b.terminated:
            effect(low, node.value)
    elif isinstance(node, (ast.Call, ast.Identifier)) and node.type.kind == "none":
        from probee.compiler.lang.bpftrace.function import lower_call

        lower_call(low, node, None)
    elif isinstance(node, (ast.Ternary, ast.IfExpr)) and node.type.kind == "none":
        _effect_branches(low, node)
    elif isinstance(node, ast.Expansion):
        with Within(low.script, node):
            effect(low, node.body)
    elif isinstance(node, ast.Argument):
        with Outside(low.script):
            effect(low, node.value)
    elif node.type.is_scalar:
        low.value(node)
    elif node.type.kind != "none" and not node.type.is_aggregation:
        low.place(node)


def _effect_branches(low: Lowerer, node: ast.Ternary | ast.IfExpr) -> None:
    known = _known(node.condition)
    if known is not None:
        branch = (node.then or node.condition) if known else node.otherwise
        if branch is not None:
            effect(low, branch)
        return
    then, otherwise = node.then or node.condition, node.otherwise
    low.diamond(
        low.condition(node.condition),
        lambda: effect(low, then),
        (lambda: effect(low, otherwise)) if otherwise is not None else None,
    )


def _let(low: Lowerer, node: ast.Let) -> None:
    info = _info(node.variable)
    info.place = None
    if node.value is not None:
        _set(low, info, node.value)
    elif info.type is not None:
        _clear(low, low.variable_place(info))


def _clear(low: Lowerer, target: Place) -> None:
    if target.type.is_scalar:
        place.store(low.b, target, low.b.const(0))
    elif target.type.kind == "string" and target.type.size > place.LONG:
        place.zero(low.b, target.at(0, t.UINT64))
    else:
        place.zero(low.b, target)


def _info(node: ast.Variable) -> VariableInfo:
    assert isinstance(node.meaning, VariableInfo)
    return node.meaning


def _assign(low: Lowerer, node: ast.Assign) -> None:
    if isinstance(node.target, ast.Variable):
        _set(low, _info(node.target), node.value)
        return
    from probee.compiler.lang.bpftrace import lower_map

    lower_map.assign(low, node.target, node.value, node.span)


def _set(low: Lowerer, info: VariableInfo, value: ast.Expr) -> None:
    """Assign to a variable."""
    assert info.type is not None
    if info.type.is_scalar:
        place.store(low.b, low.variable_place(info), low.convert(low.value(value), value.type, info.type))
    elif _mentions(value, info):
        temporary = place.alloca(low.b, info.type)
        low.into(value, temporary, padded=False)
        place.copy(low.b, low.variable_place(info), temporary, padded=False)
    else:
        low.into(value, low.variable_place(info), padded=False)


def _if(low: Lowerer, node: ast.If) -> None:
    otherwise = node.otherwise
    known = _known(node.condition)
    if known is not None:
        if known:
            low.block(node.then)
        elif otherwise is not None:
            _else(low, otherwise)
        return
    condition = low.condition(node.condition)
    low.diamond(condition, lambda: low.block(node.then), (lambda: _else(low, otherwise)) if otherwise else None)


def _else(low: Lowerer, node: ast.Block | ast.If) -> None:
    if isinstance(node, ast.Block):
        low.block(node)
    else:
        low.statement(node)


def _loop(low: Lowerer, node: ast.While | ast.Unroll | ast.For) -> None:
    from probee.compiler.lang.bpftrace import lower_loop

    lower_loop.lower(low, node)


def _break(low: Lowerer, node: ast.Break) -> None:
    _leave_loop(low, low.loops[-1].end, 1)


def _continue(low: Lowerer, node: ast.Continue) -> None:
    _leave_loop(low, low.loops[-1].next, 0)


def _leave_loop(low: Lowerer, target: Block | None, status: int) -> None:
    """Jump, or in a callback return: 1 stops the iteration, 0 goes on."""
    if target is not None:
        low.b.jump(target)
    else:
        low.b.return_(low.b.const(status))


def _return(low: Lowerer, node: ast.Return) -> None:
    if low.instance.returns is not None:
        from probee.compiler.lang.bpftrace.subprogram import return_value

        low.leave(return_value(low, node))
        return
    low.leave(low.value(node.value) if node.value is not None else None)


def _mentions(node: ast.Expr, info: VariableInfo) -> bool:
    """True when a variable is read in an expression (so that it must not be overwritten while that is evaluated)."""
    return any(isinstance(n, ast.Variable) and getattr(n, "meaning", None) is info for n in ast.walk(node))


def _known(node: ast.Expr) -> bool | None:
    """Return the truth of a constant condition."""
    meaning = node.meaning
    return bool(meaning.value) if isinstance(meaning, Known) else None


STATEMENTS: dict[type, Callable[[Lowerer, Any], None]] = {
    ast.ExprStatement: _expression_statement,
    ast.Discard: _expression_statement,
    ast.Let: _let,
    ast.Assign: _assign,
    ast.If: _if,
    ast.While: _loop,
    ast.Unroll: _loop,
    ast.For: _loop,
    ast.Break: _break,
    ast.Continue: _continue,
    ast.Return: _return,
    ast.Block: Lowerer.block,
}
