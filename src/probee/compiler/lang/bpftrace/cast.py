"""Explicit casts: which there are, and what type they give (reference §4.5)."""

from __future__ import annotations

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.resolve import Resolver, known_int
from probee.compiler.lang.bpftrace.scope import Known
from probee.compiler.lang.bpftrace.type import Ty
from probee.compiler.lang.bpftrace.unify import unify
from probee.errors import CompileError, TypeMismatch
from probee.model import ctype as c


def cast(resolver: Resolver, node: ast.Cast) -> Ty:
    source = resolver.expr(node.operand)
    if source.kind in t.READABLE:
        source = t.int_of(8, signed=source.signed)
    target = resolver.type_of_name(node.target)
    if source.kind == "struct":
        raise TypeMismatch(f'Cannot cast from C type "{source}"', node.span)
    if source.kind == "none":
        raise TypeMismatch(f'Cannot cast from "{source}" type', node.span)
    result = _result(resolver, node, source, target)
    if result is None:
        raise TypeMismatch(f'Cannot cast from "{source}" to "{target}"', node.span)
    if node.operand.type.kind == target.kind == "int" and t.settled(source) == target and not _in_macro(resolver):
        resolver.script.warn(f"Unnecessary cast: expression is already of type {target}", node.span)
    return result


def _in_macro(resolver: Resolver) -> bool:
    """A macro casts what it may be given, whatever it is given here."""
    return bool(resolver.script.calls)


def _result(resolver: Resolver, node: ast.Cast, source: Ty, target: Ty) -> Ty | None:
    if target.is_int:
        return _to_int(node, source, target)
    if target.kind == "pointer":
        return _to_pointer(resolver, source, target)
    if target.kind == "array":
        return _to_array(node, source, target)
    if target.kind == "string":
        fits = source.kind == "string" or (source.kind == "array" and source.element is not None and source.element.size == 1)
        return target if fits else None
    if target.kind in ("username", "ksym", "macaddr") and source.is_int:
        return target if target.kind != "macaddr" else None
    if target.kind in ("tuple", "record"):
        return target if _same_shape(source, target) else None
    if target.kind == source.kind and target.size <= source.size:
        return target
    return None


def _same_shape(source: Ty, target: Ty) -> bool:
    """Members are cast one by one: integers to integers, everything else as far as it converts by itself."""
    if source.kind != target.kind or len(source.fields) != len(target.fields):
        return False
    for index, to in enumerate(target.fields):
        field = source.fields[index]
        if source.kind == "record":
            named = next((f for f in source.fields if f.name == to.name), None)
            if named is None:
                return False
            field = named
        if field.type.is_int and to.type.is_int:
            continue
        if to.type.kind in ("tuple", "record"):
            if not _same_shape(field.type, to.type):
                return False
        elif field.type.kind != to.type.kind or (to.type.kind != "string" and unify(to.type, field.type) is None):
            return False
    return True


def _to_int(node: ast.Cast, source: Ty, target: Ty) -> Ty | None:
    if source.kind == "array" and source.element is not None and source.element.is_int:
        return target if source.size == target.size and target.kind != "bool" else None
    if source.kind == "string" and target.kind == "bool":
        return target
    if not (source.is_int or source.kind == "pointer" or source.kind in ("ksym", "username")):
        return None
    known = known_int(node.operand)
    return target if known is None else _cast_known(node, known, target)


def _cast_known(node: ast.Cast, value: int, target: Ty) -> Ty:
    if target.kind == "enum" and target.table is not None and value not in target.table:
        raise CompileError(f"Enum: {target.name} doesn't contain a variant value of {value}", node.span)
    if target.kind == "bool":
        node.meaning = Known(value != 0, literal=False)
        return target
    bits = target.size * 8
    value &= (1 << bits) - 1
    node.meaning = Known(value - (1 << bits) if target.signed and value >> (bits - 1) else value, literal=False)
    return target


def _to_pointer(resolver: Resolver, source: Ty, target: Ty) -> Ty | None:
    if not (source.is_int or source.kind in ("pointer", "string", "ksym")):
        return None
    space = source.space if source.kind == "pointer" and source.space in ("kernel", "user") else resolver.instance.space
    return t.pointer_to(target.target if target.target is not None else c.VOID, space)


def _to_array(node: ast.Cast, source: Ty, target: Ty) -> Ty | None:
    """Bytes stay as they are; an array without a size gets as many elements as there is room for."""
    element = target.element
    assert element is not None
    if source.kind not in ("int", "enum", "bool", "string", "array") or not element.is_int:
        return None
    count = target.count or source.size // element.size
    size = count * element.size
    if target.count and source.is_int and size < source.size:
        return None
    if not count or not (size == source.size or (source.is_int and source.size < size <= 8)):
        message = "Cannot determine array size: the element size is incompatible with the cast integer size"
        raise TypeMismatch(message, node.span)
    return t.array_of(element, count)
