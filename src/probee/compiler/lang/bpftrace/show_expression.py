"""Expressions and types back as text, with parentheses only where the tree needs them (see show.py)."""

from __future__ import annotations

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace.parser_expression import PRECEDENCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_BRANCH, _TERNARY, _PREFIX, _POSTFIX, _PRIMARY = -1, 0, 11, 12, 13
_ESCAPES = {0x0A: "\\n", 0x09: "\\t", 0x0D: "\\r", 0x22: '\\"', 0x5C: "\\\\"}
_STRENGTH: dict[type[ast.Expr], int] = {
    ast.Block: _BRANCH,
    ast.IfExpr: _BRANCH,
    ast.Expansion: _BRANCH,
    ast.Ternary: _TERNARY,
    ast.Unary: _PREFIX,
    ast.Deref: _PREFIX,
    ast.AddressOf: _PREFIX,
    ast.Cast: _PREFIX,
    ast.Comptime: _PREFIX,
    ast.IncDec: _PREFIX,
    ast.Field: _POSTFIX,
    ast.TupleIndex: _POSTFIX,
    ast.Index: _POSTFIX,
}


def quoted(value: bytes) -> str:
    """Return a string literal for some bytes."""
    return '"' + "".join(_ESCAPES.get(c) or (chr(c) if 0x20 <= c < 0x7F else f"\\x{c:02x}") for c in value) + '"'


def show_type(node: ast.TypeName) -> str:
    """Return a type as text."""
    suffix = ""
    while not isinstance(node, (ast.NamedType, ast.TypeOf)):
        if isinstance(node, ast.PointerType):
            suffix = " *" + suffix
            node = node.target
        else:
            assert isinstance(node, ast.ArrayType)
            suffix = f"[{'' if node.size is None else node.size}]{suffix}"
            node = node.element
    if isinstance(node, ast.TypeOf):
        return f"typeof({_type_or_expression(node.operand, '')})"
    return f"{node.tag} {node.name}{suffix}" if node.tag else node.name + suffix


def _type_or_expression(node: ast.Expr | ast.TypeName, indent: str) -> str:
    if isinstance(node, ast.TypeName):
        return show_type(node)
    text = show_expression(node, indent=indent)
    return f"({text})" if isinstance(node, ast.Index) else text  # `a[1]` alone would be a type


def _strength(node: ast.Expr) -> int:
    """Return how tightly a node holds together: the precedence of its outermost operator."""
    while isinstance(node, ast.Argument):
        node = node.value
    if isinstance(node, (ast.Binary, ast.Logical)):
        return PRECEDENCE[node.op]
    return _STRENGTH.get(type(node), _PRIMARY)


def is_primary(node: ast.Expr) -> bool:
    """Say whether a node needs no parentheses anywhere."""
    return _strength(node) == _PRIMARY


def show_expression(node: ast.Expr, *, least: int = _BRANCH, indent: str = "") -> str:
    """Return an expression as text, in parentheses if it holds together less than `least`."""
    text = _EXPRESSIONS[type(node)](node, indent)
    return f"({text})" if _strength(node) < least else text


def _list(items: list[ast.Expr], indent: str) -> str:
    return ", ".join(show_expression(item, indent=indent) for item in items)


# --- operators -----------------------------------------------------------------------------------------------------


def _binary(node: ast.Binary | ast.Logical, indent: str) -> str:
    """Return `left op right`, walking down the left side in a loop."""
    tail: list[str] = []
    left: ast.Expr = node
    least = 0
    while isinstance(left, (ast.Binary, ast.Logical)) and PRECEDENCE[left.op] >= least:
        least = PRECEDENCE[left.op]
        right = show_expression(left.right, least=least + 1, indent=indent)
        tail.append(f" {left.op} {right}")
        left = left.left
    return show_expression(left, least=least, indent=indent) + "".join(reversed(tail))


def _ternary(node: ast.Ternary, indent: str) -> str:
    condition = show_expression(node.condition, least=1, indent=indent)
    then = f" {show_expression(node.then, least=0, indent=indent)} " if node.then is not None else ""
    return f"{condition} ?{then}: {show_expression(node.otherwise, least=0, indent=indent)}"


def _prefix(op: str, operand: ast.Expr, indent: str) -> str:
    text = show_expression(operand, least=_PREFIX, indent=indent)
    return f"{op}({text})" if text.startswith(op) and op == "-" else op + text


def _increment(node: ast.IncDec, indent: str) -> str:
    target = show_expression(node.target, indent=indent)
    return node.op + target if node.prefix else target + node.op


def _cast(node: ast.Cast, indent: str) -> str:
    operand = show_expression(node.operand, least=_PREFIX, indent=indent)
    if operand.startswith("+"):
        operand = f"({operand})"
    return f"({show_type(node.target)}){operand}"


def _postfix(node: ast.Field | ast.TupleIndex | ast.Index, indent: str) -> str:
    """Return a chain of postfix forms, walking down to what it begins with in a loop."""
    tail: list[str] = []
    operand: ast.Expr = node
    while isinstance(operand, (ast.Field, ast.TupleIndex, ast.Index)):
        if isinstance(operand, ast.Field):
            tail.append(f"{'->' if operand.arrow else '.'}{operand.name}")
        elif isinstance(operand, ast.TupleIndex):
            tail.append(f".{operand.index}")
        else:
            tail.append(f"[{show_expression(operand.index, indent=indent)}]")
        operand = operand.operand
    # `@m[k]` is an access to the map, `(@m)[k]` an index into its value
    least = _PRIMARY + 1 if isinstance(operand, ast.MapRef) and tail[-1][0] == "[" else _POSTFIX
    return show_expression(operand, least=least, indent=indent) + "".join(reversed(tail))


# --- primaries -------------------------------------------------------------------------------------------------------


def _map_access(node: ast.MapAccess, indent: str) -> str:
    key = node.key
    items = key.items if isinstance(key, ast.Tuple) and len(key.items) > 1 else [key]
    return f"@{node.map.name}[{_list(items, indent)}]"


def _tuple(node: ast.Tuple, indent: str) -> str:
    return f"({_list(node.items, indent)},)" if len(node.items) == 1 else f"({_list(node.items, indent)})"


def _record(node: ast.Record, indent: str) -> str:
    pairs = zip(node.names, node.values, strict=True)
    return "(" + ", ".join(f"{name} = {show_expression(value, indent=indent)}" for name, value in pairs) + ")"


def _block(node: ast.Block, indent: str) -> str:
    from probee.compiler.lang.bpftrace.show import show_block  # which imports this module

    return show_block(node, indent)


def _if(node: ast.IfExpr, indent: str) -> str:
    from probee.compiler.lang.bpftrace.show import show_if  # which imports this module

    return show_if(node, indent)


def _offsetof(node: ast.OffsetOf, indent: str) -> str:
    return f"offsetof({_type_or_expression(node.subject, indent)}, {'.'.join(node.path)})"


_EXPRESSIONS: dict[type[ast.Expr], Callable[[Any, str], str]] = {
    ast.IntLiteral: lambda node, indent: node.text,
    ast.BoolLiteral: lambda node, indent: "true" if node.value else "false",
    ast.StringLiteral: lambda node, indent: quoted(node.value),
    ast.Identifier: lambda node, indent: node.name,
    ast.Variable: lambda node, indent: f"${node.name}",
    ast.MapRef: lambda node, indent: f"@{node.name}",
    ast.MapAccess: _map_access,
    ast.Positional: lambda node, indent: f"${node.index}",
    ast.PositionalCount: lambda node, indent: "$#",
    ast.Unary: lambda node, indent: _prefix(node.op, node.operand, indent),
    ast.Deref: lambda node, indent: _prefix("*", node.operand, indent),
    ast.AddressOf: lambda node, indent: _prefix("&", node.operand, indent),
    ast.IncDec: _increment,
    ast.Binary: _binary,
    ast.Logical: _binary,
    ast.Ternary: _ternary,
    ast.Cast: _cast,
    ast.Field: _postfix,
    ast.TupleIndex: _postfix,
    ast.Index: _postfix,
    ast.Call: lambda node, indent: f"{node.name}({_list(node.args, indent)})",
    ast.TypeArgument: lambda node, indent: show_type(node.target),
    ast.SizeOf: lambda node, indent: f"sizeof({_type_or_expression(node.operand, indent)})",
    ast.OffsetOf: _offsetof,
    ast.TypeInfo: lambda node, indent: f"typeinfo({_type_or_expression(node.operand, indent)})",
    ast.Comptime: lambda node, indent: f"comptime {show_expression(node.operand, least=_PREFIX, indent=indent)}",
    ast.Tuple: _tuple,
    ast.Record: _record,
    ast.Block: _block,
    ast.IfExpr: _if,
    ast.Expansion: lambda node, indent: f"/* {node.name} */ {_block(node.body, indent)}",
    ast.Argument: lambda node, indent: show_expression(node.value, indent=indent),
}
