"""Types in a macro's body: parameters that stand for a type or a field, put in place.

A parameter stands for a type when its argument is typeof(…): `sizeof(t)`, `t*`, `struct t`, `let $x : t`, `(t)0`. A bare
name in such a place that is no parameter stays what it is; it is never taken for a macro.
"""

from __future__ import annotations

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace.macroframe import Frame
from probee.compiler.lang.bpftrace.show_expression import show_type
from probee.errors import CompileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Push = Callable[[Any, Any, Frame], None]


def expand_operand(holder: Any, field: str, frame: Frame, push: Push) -> None:
    """Treat holder.field, which is an expression or a type (sizeof, offsetof, typeinfo, typeof)."""
    operand = getattr(holder, field)
    if isinstance(operand, ast.TypeName):
        setattr(holder, field, expand_type(operand, frame, push))
        return
    if not isinstance(operand, ast.Identifier):
        push(holder, field, frame)
        return
    found = frame.follow(operand.name)
    if found is None:
        return
    value, where, hops = found
    if isinstance(value, ast.TypeArgument):
        setattr(holder, field, _type_value(value, where, hops, operand.span, push))
    else:
        push(holder, field, frame)


def expand_type(type: ast.TypeName, frame: Frame, push: Push, hops: int = 0) -> ast.TypeName:
    """Return a type with its parameters replaced; `hops` is how many expansions out of the text around it lies."""
    parent: ast.PointerType | ast.ArrayType | None = None
    bottom = type
    while isinstance(bottom, (ast.PointerType, ast.ArrayType)):
        parent = bottom
        bottom = bottom.target if isinstance(bottom, ast.PointerType) else bottom.element
    if isinstance(bottom, ast.TypeOf):
        _expand_typeof(bottom, frame, push, hops)
        return type
    assert isinstance(bottom, ast.NamedType)
    new = _replacement(bottom, type, frame, push, hops)
    if parent is None:
        return new
    if isinstance(parent, ast.PointerType):
        parent.target = new
    else:
        parent.element = new
    return type


def _expand_typeof(node: ast.TypeOf, frame: Frame, push: Push, hops: int) -> None:
    if hops and isinstance(node.operand, ast.Expr):
        node.operand = _wrap(node.operand, frame, hops, push)
    else:
        expand_operand(node, "operand", frame, push)


def _replacement(name: ast.NamedType, whole: ast.TypeName, frame: Frame, push: Push, hops: int) -> ast.TypeName:
    """Return what a named type stands for."""
    found = frame.follow(name.name)
    if found is None:
        return name
    value, where, further = found
    if isinstance(value, ast.Identifier):
        return ast.NamedType(name.span, value.name, name.tag)
    if isinstance(value, ast.TypeArgument):
        type = _type_value(value, where, hops + further, name.span, push)
        if not name.tag:
            return type if isinstance(type, ast.TypeName) else ast.NamedType(name.span, type.name)
        if isinstance(type, ast.Identifier) or (isinstance(type, ast.NamedType) and not type.tag):
            return ast.NamedType(name.span, type.name, name.tag)
    macro = frame.definition.macro.name if frame.definition is not None else ""
    message = (
        f"Invalid replacement for macro '{macro}' type parameter '{name.name}' which makes up the type "
        f"'{show_type(whole)}'"
    )
    raise CompileError(message, value.span, source=where.source)


def _type_value(
    argument: ast.TypeArgument, frame: Frame, hops: int, span: int, push: Push
) -> ast.TypeName | ast.Identifier:
    """Return the type that an argument `typeof(…)`, which belongs to `frame`, gives to a place in a macro.

    A bare name that may be a type or a value comes back as an Identifier.
    """
    target = argument.target
    operand = target.operand if isinstance(target, ast.TypeOf) else target
    if isinstance(operand, ast.Identifier):
        found = frame.follow(operand.name)
        if found is None:
            return ast.Identifier(span, operand.name)
        value, where, further = found
        if isinstance(value, ast.TypeArgument):
            return _type_value(value, where, hops + further, span, push)
    if isinstance(operand, ast.TypeName):
        type: ast.TypeName = ast.copy(operand)
        for node in ast.walk(type):
            if isinstance(node, (ast.NamedType, ast.PointerType, ast.ArrayType)):
                node.span = span
        return expand_type(type, frame, push, hops)
    return ast.TypeOf(span, _wrap(ast.copy(operand), frame, hops, push))


def _wrap(value: ast.Expr, frame: Frame, hops: int, push: Push) -> ast.Expr:
    """Return an expression of `frame` for a place `hops` expansions further in."""
    result = value
    for _ in range(hops):
        outer = ast.Argument(value.span, result)
        if result is value:
            push(outer, "value", frame)
        result = outer
    return result


def expand_path(node: ast.OffsetOf, frame: Frame) -> None:
    """Replace the field of `offsetof(t, field)` when it is a parameter; the argument is `a` or `a.b.c`."""
    found = frame.follow(node.path[0]) if len(node.path) == 1 else None
    if found is None:
        return
    value, where, _ = found
    path: list[str] = []
    while isinstance(value, ast.Field):
        path.append(value.name)
        value = value.operand
    if isinstance(value, ast.Identifier):
        node.path = [value.name, *reversed(path)]
    elif path:
        message = (
            "FieldAccess expressions must be made up entirely of idents (e.g. a.b.c) to replace the second argument "
            "in `offsetof`"
        )
        raise CompileError(message, found[0].span, source=where.source)
