"""Declarations: nodes of the AST to types, and a program's file scope.

Qualifiers are dropped, except that a pointer keeps that its target is const.  A struct that is defined in a declaration is
defined in the scope of that declaration; a struct that is only named is looked up when somebody looks through the pointer.
"""

from __future__ import annotations

from typing import Any

from pycparser import c_ast

from probee.compiler.lang.c import basic
from probee.compiler.lang.c.constant import evaluate, first_span, span_of, undeclared
from probee.compiler.lang.c.layout import DeclaredMember, DeclaredStruct, lay_out
from probee.compiler.lang.c.scope import Scope, Symbol
from probee.compiler.lang.c.token import Note
from probee.errors import ParseError, TypeMismatch, UnknownName, Unsupported
from probee.model.ctype import (
    ArrayType,
    CType,
    EnumType,
    ForwardType,
    FunctionType,
    Parameter,
    PointerType,
    StructType,
    TypedefType,
    VoidType,
    strip,
)


def type_of(node: c_ast.Node, scope: Scope) -> CType:
    """Return the type that a node denotes; see Scope.type_of."""
    handler = _HANDLERS.get(type(node))
    if handler is None:
        raise Unsupported(f"this kind of type is not supported ({type(node).__name__})", span_of(node))
    return handler(node, scope)


def _inner(node: Any, scope: Scope) -> CType:
    return type_of(node.type, scope)


def _pointer(node: c_ast.PtrDecl, scope: Scope) -> CType:
    inner = node.type
    const = "const" in (getattr(inner, "quals", None) or [])
    named = inner.type if isinstance(inner, c_ast.TypeDecl) else None
    if isinstance(named, (c_ast.Struct, c_ast.Union)) and named.decls is None and named.name:
        return PointerType(_later(named, scope), const=const)
    return PointerType(type_of(inner, scope), const=const)


def _later(node: c_ast.Struct | c_ast.Union, scope: Scope) -> Any:
    """Return what finds the struct or union that a pointer leads to, when it is asked for."""
    kind = "struct" if isinstance(node, c_ast.Struct) else "union"
    name = node.name
    return lambda: scope.tag(kind, name) or ForwardType(kind, name)


def _array(node: c_ast.ArrayDecl, scope: Scope) -> CType:
    element = type_of(node.type, scope)
    plain = strip(element)
    if isinstance(scope.complete(plain), (ForwardType, VoidType, FunctionType)):
        raise TypeMismatch(f"an array's elements cannot be {plain.spelling()}, which has no size", span_of(node))
    count = 0
    if node.dim is not None:
        value = evaluate(node.dim, scope)
        if value is None:
            raise _no_length(node.dim, scope, span_of(node.dim) or span_of(node))
        if value < 0:
            raise TypeMismatch(f"an array cannot have {value} elements", span_of(node.dim) or span_of(node))
        count = value
    return ArrayType(element, count, size=strip(element).size * count)


def _function(node: c_ast.FuncDecl, scope: Scope) -> CType:
    parameters = [Parameter(name, ctype) for name, ctype, _ in parameters_of(node, scope)]
    return FunctionType(type_of(node.type, scope), tuple(parameters), variadic=is_variadic(node))


def is_variadic(node: c_ast.FuncDecl) -> bool:
    return node.args is not None and any(isinstance(p, c_ast.EllipsisParam) for p in node.args.params)


def _no_length(dimension: c_ast.Node, scope: Scope, span: int) -> TypeMismatch:
    name = undeclared(dimension, scope)
    if name is not None:
        hint = f"Define it, give it to BPF(…, cflags=['-D{name.name}=64']), or replace it in the text."
        message = f"{name.name!r} is not defined: the length of an array must be a constant"
        return TypeMismatch(message, span_of(name) or span, hint=hint)
    return TypeMismatch("the length of an array must be a constant", span)


def parameters_of(node: c_ast.FuncDecl, scope: Scope) -> tuple[tuple[str, CType, int], ...]:
    """Return (name or "", type, span) of each parameter; arrays and functions are pointers, as C has them."""
    found: list[tuple[str, CType, int]] = []
    for parameter in node.args.params if node.args is not None else ():
        if isinstance(parameter, c_ast.EllipsisParam):
            continue
        if isinstance(parameter, c_ast.ID):
            raise ParseError(f"parameter {parameter.name!r} has no type", span_of(parameter))
        ctype = decay(type_of(parameter.type, scope))
        if isinstance(strip(ctype), VoidType) and not parameter.name:
            continue
        if isinstance(strip(ctype), VoidType):
            message = f"parameter {parameter.name!r} is void: did you mean a pointer, void *{parameter.name}?"
            raise TypeMismatch(message, span_of(parameter))
        found.append((parameter.name or "", ctype, span_of(parameter) or span_of(node)))
    return tuple(found)


def decay(ctype: CType) -> CType:
    """Return the type that a parameter has when it is declared with this one."""
    plain = strip(ctype)
    if isinstance(plain, ArrayType):
        return PointerType(plain.element)
    return PointerType(plain) if isinstance(plain, FunctionType) else ctype


def _names(node: c_ast.IdentifierType, scope: Scope) -> CType:
    names = node.names
    if len(names) == 1:
        symbol = scope.find(names[0])
        if symbol is not None and symbol.kind == "typedef" and symbol.type is not None:
            return symbol.type
    found = basic.spelled(names)
    if found is None and len(names) == 1:
        found = scope.typedef(names[0])
    if found is None:
        text = " ".join(names)
        if len(names) == 1:
            raise UnknownName(f"there is no type named {text!r}", span_of(node))
        raise ParseError(f"{text!r} is no type", span_of(node))
    return found


def _typeof(node: c_ast.TypeOf, scope: Scope) -> CType:
    from probee.compiler.lang.c.infer import type_of_expression

    if isinstance(node.expr, c_ast.Typename):
        return type_of(node.expr, scope)
    found = type_of_expression(node.expr, scope)
    if found is None:
        raise Unsupported("typeof: the type of this expression is not known here", span_of(node.expr) or span_of(node))
    return found


def _struct(node: c_ast.Struct | c_ast.Union, scope: Scope) -> CType:
    kind = "struct" if isinstance(node, c_ast.Struct) else "union"
    name = node.name or ""
    if node.decls is None:
        found = scope.tag(kind, name)
        if found is None:
            found = scope.tags[name] = ForwardType(kind, name)
        return found
    span = span_of(node)
    known = scope.kernel.declared.get(id(node))  # `struct s { ... } a, b;` gives each declarator the same node
    before = scope.tags.get(name) if name else None
    if before is not None and before is not known and not isinstance(before, ForwardType):
        raise TypeMismatch(f"{kind} {name} is defined twice", span)
    if known is None:
        struct = known = DeclaredStruct(kind, name, span)
        if name:
            scope.tags[name] = ForwardType(kind, name)
        _fill(struct, node, scope)
        scope.kernel.declared[id(node)] = struct
    if name:
        scope.tags[name] = known
    return known


def _fill(struct: DeclaredStruct, node: c_ast.Struct | c_ast.Union, scope: Scope) -> None:
    members: list[DeclaredMember] = []
    seen: set[str] = set()
    for declaration in node.decls:
        if not isinstance(declaration, c_ast.Decl):
            continue
        member = _member(declaration, scope, last=declaration is node.decls[-1])
        if member is None:
            continue
        if member.name and member.name in seen:
            raise TypeMismatch(f"{struct.spelling()} has two members named {member.name!r}", span_of(declaration))
        seen.add(member.name)
        members.append(member)
    attributes = attributes_of(node)
    lay_out(struct, members, packed="packed" in attributes, alignment=_alignment(attributes, scope, span_of(node)))


def _member(node: c_ast.Decl, scope: Scope, *, last: bool) -> DeclaredMember | None:
    ctype = type_of(node.type, scope)
    name = node.name or ""
    plain = scope.complete(ctype)
    if not name and node.bitsize is None and not isinstance(plain, StructType):
        return None  # a declaration without a member, as of an enum
    if not name and node.bitsize is None and isinstance(node.type, (c_ast.Struct, c_ast.Union)) and node.type.name:
        return None if node.type.decls is not None else DeclaredMember("", plain)
    if isinstance(plain, (ForwardType, VoidType, FunctionType)):
        what = f"member {name!r}" if name else "a member without a name"
        raise TypeMismatch(f"{what} has the incomplete type {plain.spelling()}", first_span(node))
    attributes = attributes_of(node)
    alignment = _alignment(attributes, scope, span_of(node))
    if node.bitsize is None:
        ctype = plain if isinstance(strip(ctype), ForwardType) else ctype
        return DeclaredMember(name, ctype, alignment=alignment, packed="packed" in attributes)
    width = evaluate(node.bitsize, scope)
    if width is None or not 0 <= width <= plain.size * 8 or (width == 0 and name):
        raise TypeMismatch(f"this is no width for a bit field of type {plain.spelling()}", span_of(node.bitsize))
    return DeclaredMember(name, ctype, width, alignment=alignment, packed="packed" in attributes)


def attributes_of(node: c_ast.Node) -> dict[str, str]:
    """Return the __attribute__((...)) of a declared thing, with the text of their arguments."""
    coord = node.coord
    return coord.file.attributes if coord is not None and isinstance(coord.file, Note) else {}


def _alignment(attributes: dict[str, str], scope: Scope, span: int) -> int:
    """Return what `aligned` asks for, 0 without it."""
    text = attributes.get("aligned")
    if text is None:
        return 0
    if not text:
        return 16
    try:
        value = int(text.rstrip("uUlL"), 0)
    except ValueError:
        constant = scope.constant(text)
        value = constant[0] if constant is not None else 0
    if value <= 0 or value & (value - 1):
        raise TypeMismatch(f"aligned({text}): an alignment is a power of two", span)
    return value


def _enum(node: c_ast.Enum, scope: Scope) -> CType:
    name = node.name or ""
    if node.values is None:
        found = scope.tag("enum", name)
        if found is None:
            raise UnknownName(f"there is no enum {name}", span_of(node))
        return found
    known = scope.kernel.declared.get(id(node))
    if isinstance(known, EnumType):
        for value_name, value in known.values:
            if value_name not in scope.symbols:
                scope.declare(value_name, Symbol("enumerator", value_name, basic.INT, value=value, span=span_of(node)))
        return known
    values: list[tuple[str, int]] = []
    following = 0
    for enumerator in node.values.enumerators:
        if not isinstance(enumerator, c_ast.Enumerator):
            continue
        if enumerator.value is not None:
            given = evaluate(enumerator.value, scope)
            if given is None:
                raise TypeMismatch(f"the value of {enumerator.name} must be a constant", span_of(enumerator))
            following = given
        values.append((enumerator.name, following))
        ctype = basic.INT if -(1 << 31) <= following < 1 << 31 else basic.LONG
        _declare_once(scope, Symbol("enumerator", enumerator.name, ctype, value=following, span=span_of(enumerator)))
        following += 1
    low, high = min(value for _, value in values), max(value for _, value in values)
    size = 4 if low >= -(1 << 31) and high < 1 << (31 if low < 0 else 32) else 8
    found = EnumType(name, size, tuple(values), signed=low < 0)
    scope.kernel.declared[id(node)] = found
    if name:
        scope.tags[name] = found
    return found


def _declare_once(scope: Scope, symbol: Symbol) -> None:
    if symbol.name in scope.symbols:
        raise TypeMismatch(f"{symbol.name!r} is declared twice", symbol.span)
    scope.declare(symbol.name, symbol)


def declare_typedef(node: c_ast.Typedef, scope: Scope) -> None:
    """Declare the name of a `typedef`."""
    ctype = type_of(node.type, scope)
    scope.declare(node.name, Symbol("typedef", node.name, TypedefType(node.name, ctype), span=span_of(node)))


def check_assertion(node: c_ast.StaticAssert, scope: Scope) -> None:
    """Obey a _Static_assert."""
    value = evaluate(node.cond, scope)
    if value is None:
        raise TypeMismatch("_Static_assert needs a constant", span_of(node.cond) or span_of(node))
    if not value:
        text = node.message.value if node.message is not None else ""
        raise TypeMismatch(f"this assertion fails{': ' if text else ''}{text}", span_of(node.cond) or span_of(node))


_HANDLERS = {
    c_ast.Typename: _inner, c_ast.Decl: _inner, c_ast.Typedef: _inner, c_ast.TypeDecl: _inner, c_ast.PtrDecl: _pointer,
    c_ast.ArrayDecl: _array, c_ast.FuncDecl: _function, c_ast.IdentifierType: _names, c_ast.TypeOf: _typeof,
    c_ast.Struct: _struct, c_ast.Union: _struct, c_ast.Enum: _enum,
}  # fmt: skip
