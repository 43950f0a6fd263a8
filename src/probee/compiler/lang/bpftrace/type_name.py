"""Type names in the source become types: the language's, C's, the preamble's, the probed program's, BTF's, in this order."""

from __future__ import annotations

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.scope import Script
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError, UnknownName, make_span, span_range
from probee.model import ctype as c

NO_BTF = "types of the kernel come from BTF (CONFIG_DEBUG_INFO_BTF), which this one lacks: define the type in the script"


def resolve_type(script: Script, name: ast.TypeName, space: str) -> Ty:
    """Return the type; pointers point into `space`.  `typeof` is the resolver's: it needs expressions."""
    if isinstance(name, ast.PointerType):
        try:
            return t.pointer_to(_pointee(script, name.target, space), space)
        except UnknownName as error:
            error.span = make_span(span_range(error.span)[0], span_range(name.span)[1])
            raise
    if isinstance(name, ast.ArrayType):
        return _array(script, name, space)
    assert isinstance(name, ast.NamedType)
    if not name.tag and name.name in ("string", "buffer"):
        size = script.config.number("max_strlen")
        return t.string(size) if name.name == "string" else t.buffer(size)
    if not name.tag and name.name in t.NAMED:
        return t.NAMED[name.name]
    return t.from_ctype(named_ctype(script, name), space)


def _array(script: Script, name: ast.ArrayType, space: str) -> Ty:
    element = name.element
    if isinstance(element, ast.NamedType) and not element.tag and element.name in ("string", "buffer", "inet"):
        size = name.size if name.size is not None else script.config.number("max_strlen")
        if element.name == "inet":
            return t.INET
        return t.string(size) if element.name == "string" else t.buffer(size)
    return t.array_of(resolve_type(script, element, space), name.size or 0)


def _pointee(script: Script, name: ast.TypeName, space: str) -> c.CType | Ty:
    if isinstance(name, ast.PointerType):
        target = _pointee(script, name.target, space)
        return c.PointerType(target) if isinstance(target, c.CType) else t.pointer_to(target, space)
    if isinstance(name, ast.NamedType) and (name.tag or name.name not in t.NAMED):
        return named_ctype(script, name)
    if isinstance(name, ast.NamedType) and name.name == "void":
        return c.VOID
    return resolve_type(script, name, space)


def named_ctype(script: Script, name: ast.NamedType, *, incomplete: bool = False) -> c.CType:
    """Return the C type of a name; a pointee may stay incomplete.  Raises UnknownName."""
    kinds = [name.tag] if name.tag else ["typedef", "int", "struct", "union", "enum"]
    for kind in kinds:
        own = script.structs.get(f"{kind} {name.name}")
        if isinstance(own, c.CType):
            return own
    if not name.tag and name.name in t.C_INTS:
        size, signed = t.C_INTS[name.name]
        return c.IntType(name.name, size, signed=signed)
    for kind in kinds:
        found = _described(script, kind, name.name)
        if found is not None:
            return found
    if incomplete and name.tag in ("struct", "union"):
        return c.ForwardType(name.tag, name.name)
    what = f"{name.tag} {name.name}" if name.tag else name.name
    raise _unknown(script, f'Cannot resolve unknown type "{what}"', name.span)


def _described(script: Script, kind: str, name: str) -> c.CType | None:
    """Return a type that the debug information of the probed program describes, or that of the kernel."""
    found = script.binary.type_named(kind, name) if script.binary is not None else None
    if found is not None and script.binary is not None:
        script.builds[script.binary.path] = script.binary.build_id
    if found is None and script.target.has_btf:
        found = script.target.type_named(kind, name)
    return found


def _unknown(script: Script, message: str, span: int) -> UnknownName:
    error = UnknownName(message, span)
    if not script.target.has_btf:
        error.hint = NO_BTF
    return error


def find_struct(script: Script, ctype: c.CType, span: int) -> c.StructType:
    """Return the struct or union behind a C type, completed from the preamble or BTF; raises CompileError."""
    bare = c.strip(ctype)
    if isinstance(bare, c.ForwardType):
        own = script.structs.get(f"{bare.kind} {bare.name}")
        found = own if own is not None else _described(script, bare.kind, bare.name)
        if not isinstance(found, c.StructType):
            raise _unknown(script, f"Unknown struct/union: '{bare.kind} {bare.name}'", span)
        return found
    if not isinstance(bare, c.StructType):
        raise CompileError(f"Can not access fields of type '{t.c_name(ctype)}'", span)
    return bare
