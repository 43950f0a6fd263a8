"""The tree back as text: parse(show(tree)) is the same tree but for spans.

Used by dumps and by the round-trip tests. Parentheses are written only where the tree needs them, so the text is also
what a formatter would start from. Long chains of left-associative operators take one Python frame. The nodes that macro
expansion makes have no syntax of their own; an Expansion shows as `/* name */ { body }`, an Argument as its value.
"""

from __future__ import annotations

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace.show_expression import is_primary, quoted, show_expression, show_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def show(program: ast.Program) -> str:
    """Return a whole program as text."""
    parts = [piece.text for piece in program.preamble]
    if program.config is not None:
        items = "".join(f"  {item.key} = {show_expression(item.value)};\n" for item in program.config.items)
        parts.append(f"config = {{\n{items}}}")
    parts += [_import(node) for node in program.imports]
    parts += [f"let @{node.map.name} = {node.kind}({node.size});" for node in program.maps]
    parts += [_macro(node) for node in program.macros]
    parts += [_function(node) for node in program.functions]
    parts += [_probe(node) for node in program.probes]
    return "".join(f"{part}\n" for part in parts)


def _import(node: ast.Import) -> str:
    return f"import {quoted(node.path.encode('utf-8', 'surrogateescape'))};"


def _macro(node: ast.Macro) -> str:
    params = ", ".join(show_expression(param) for param in node.params)
    return f"macro {node.name}({params}) {show_block(node.body, '')}"


def _function(node: ast.Function) -> str:
    params = ", ".join(f"${param.variable.name} : {show_type(param.declared)}" for param in node.params)
    return f"fn {node.name}({params}) : {show_type(node.returns)} {show_block(node.body, '')}"


def _probe(node: ast.Probe) -> str:
    points = ",\n".join(point.text for point in node.attach_points)
    predicate = f"/ {show_expression(node.predicate)} /\n" if node.predicate is not None else ""
    return f"{points}\n{predicate}{show_block(node.body, '')}"


# --- statements --------------------------------------------------------------------------------------------------


def show_block(node: ast.Block, indent: str) -> str:
    """Return `{ … }`, whose inner lines are indented one step deeper than `indent`."""
    inner = indent + "  "
    lines = [f"{inner}{_statement(statement, inner)}\n" for statement in node.statements]
    if node.value is not None:
        lines.append(f"{inner}{show_expression(node.value, indent=inner)}\n")
    return "{\n" + "".join(lines) + indent + "}" if lines else "{}"


def _statement(node: ast.Statement | ast.Block, indent: str) -> str:
    if isinstance(node, ast.Block):
        return show_block(node, indent) + ";"
    return _STATEMENTS[type(node)](node, indent)


def _show_value(node: ast.ExprStatement, indent: str) -> str:
    return f"{show_expression(node.value, indent=indent)};"


def _show_discard(node: ast.Discard, indent: str) -> str:
    return f"_ = {show_expression(node.value, indent=indent)};"


def _show_let(node: ast.Let, indent: str) -> str:
    declared = f" : {show_type(node.declared)}" if node.declared is not None else ""
    value = f" = {show_expression(node.value, indent=indent)}" if node.value is not None else ""
    return f"let ${node.variable.name}{declared}{value};"


def _show_assign(node: ast.Assign, indent: str) -> str:
    return f"{show_expression(node.target, indent=indent)} {node.op} {show_expression(node.value, indent=indent)};"


def _show_if_statement(node: ast.If, indent: str) -> str:
    return show_if(node, indent) + ";"


def show_if(node: ast.If | ast.IfExpr, indent: str) -> str:
    """Return `if (…) { … } else …` without anything behind it."""
    text = ""
    current: ast.Block | ast.If | ast.IfExpr | None = node
    while isinstance(current, (ast.If, ast.IfExpr)):
        text += f"if ({show_expression(current.condition, indent=indent)}) {show_block(current.then, indent)}"
        current = current.otherwise
        text += " else " if current is not None else ""
    return text + (show_block(current, indent) if current is not None else "")


def _show_while(node: ast.While, indent: str) -> str:
    return f"while ({show_expression(node.condition, indent=indent)}) {show_block(node.body, indent)}"


def _show_unroll(node: ast.Unroll, indent: str) -> str:
    return f"unroll ({show_expression(node.count, indent=indent)}) {show_block(node.body, indent)}"


def _show_for(node: ast.For, indent: str) -> str:
    over = node.iterable
    if isinstance(over, ast.Range):
        text = f"{_range_end(over.start, indent)}..{_range_end(over.end, indent)}"
    else:
        text = f"@{over.name}"
    return f"for (${node.variable.name} : {text}) {show_block(node.body, indent)}"


def _range_end(node: ast.Expr, indent: str) -> str:
    text = show_expression(node, indent=indent)
    return text if is_primary(node) else f"({text})"


def _show_return(node: ast.Return, indent: str) -> str:
    return f"return {show_expression(node.value, indent=indent)};" if node.value is not None else "return;"


_STATEMENTS: dict[type[ast.Statement], Callable[[Any, str], str]] = {
    ast.ExprStatement: _show_value,
    ast.Discard: _show_discard,
    ast.Let: _show_let,
    ast.Assign: _show_assign,
    ast.If: _show_if_statement,
    ast.While: _show_while,
    ast.Unroll: _show_unroll,
    ast.For: _show_for,
    ast.Break: lambda node, indent: "break;",
    ast.Continue: lambda node, indent: "continue;",
    ast.Return: _show_return,
    ast.Import: lambda node, indent: _import(node),
}
