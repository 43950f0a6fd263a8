"""The type of an expression where none is computed: typeof, and sizeof of an expression, in declarations.

While functions are lowered the lowering's own answer is used (Scope.type_of_expression); this is what declarations need before.
"""

from __future__ import annotations

from typing import Any

from pycparser import c_ast

from probee.compiler.lang.c import basic
from probee.compiler.lang.c.constant import common_type, evaluate_typed, promote
from probee.compiler.lang.c.scope import Scope
from probee.model.ctype import ArrayType, CType, FunctionType, PointerType, strip


def type_of_expression(node: c_ast.Node, scope: Scope) -> CType | None:
    """Return the type of an expression, None when it cannot be told."""
    asked = scope.type_of_expression
    if asked is not None:
        return asked(node, scope)
    return infer(node, scope)


def infer(node: c_ast.Node, scope: Scope) -> CType | None:
    """Return an expression's type from the declarations in scope."""
    kind: Any = _KINDS.get(type(node))
    found: CType | None = kind(node, scope) if kind is not None else None
    if found is None:
        constant = evaluate_typed(node, scope)
        return None if constant is None else constant[1]
    return found


def _name(node: c_ast.ID, scope: Scope) -> CType | None:
    symbol = scope.find(node.name)
    return symbol.type if symbol is not None else None


def _member(node: c_ast.StructRef, scope: Scope) -> CType | None:
    outer = infer(node.name, scope)
    if outer is None:
        return None
    struct = scope.pointee(outer) if node.type == "->" else scope.complete(outer)
    path = scope.member_path(struct, node.field.name) if struct is not None else ()
    return path[-1].type if path else None


def _element(node: c_ast.ArrayRef, scope: Scope) -> CType | None:
    return _dereferenced(infer(node.name, scope), scope)


def _dereferenced(ctype: CType | None, scope: Scope) -> CType | None:
    plain = strip(ctype) if ctype is not None else None
    if isinstance(plain, ArrayType):
        return plain.element
    return plain.target if isinstance(plain, PointerType) else None


def _unary(node: c_ast.UnaryOp, scope: Scope) -> CType | None:
    if node.op in ("sizeof", "_Alignof"):
        return basic.UNSIGNED_LONG
    if node.op == "!":
        return basic.INT
    inner = infer(node.expr, scope)
    if node.op == "*":
        return _dereferenced(inner, scope)
    if inner is None:
        return None
    if node.op == "&":
        return PointerType(inner)
    return inner if "+" in node.op[1:] or "-" in node.op[1:] else promote(inner)


def _binary(node: c_ast.BinaryOp, scope: Scope) -> CType | None:
    if node.op in ("&&", "||", "==", "!=", "<", ">", "<=", ">="):
        return basic.INT
    left, right = infer(node.left, scope), infer(node.right, scope)
    if left is None or right is None:
        return None
    for side in (left, right):
        plain = strip(side)
        if isinstance(plain, ArrayType):
            return PointerType(plain.element)
        if isinstance(plain, PointerType):
            return side
    return promote(left) if node.op in ("<<", ">>") else common_type(left, right)


def _call(node: c_ast.FuncCall, scope: Scope) -> CType | None:
    function = infer(node.name, scope) if isinstance(node.name, c_ast.ID) else None
    plain = strip(function) if function is not None else None
    return plain.result if isinstance(plain, FunctionType) else None


def _string(node: c_ast.Constant, scope: Scope) -> CType | None:
    if node.type != "string":
        return None
    from probee.compiler.lang.c.constant import span_of
    from probee.compiler.lang.c.literal import string_bytes

    return ArrayType(basic.CHAR, len(string_bytes(node.value, span_of(node))) + 1)


_KINDS = {
    c_ast.ID: _name, c_ast.StructRef: _member, c_ast.ArrayRef: _element, c_ast.UnaryOp: _unary, c_ast.BinaryOp: _binary,
    c_ast.Cast: lambda node, scope: scope.type_of(node.to_type), c_ast.FuncCall: _call, c_ast.Constant: _string,
    c_ast.CompoundLiteral: lambda node, scope: scope.type_of(node.type),
    c_ast.TernaryOp: lambda node, scope: infer(node.iftrue if node.iftrue is not None else node.cond, scope),
    c_ast.Assignment: lambda node, scope: infer(node.lvalue, scope),
    c_ast.ExprList: lambda node, scope: infer(node.exprs[-1], scope),
}  # fmt: skip
