"""The C preamble's definitions become C types: sizes, offsets and bit fields as the System V ABI lays them out."""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace.cdefinition import CDefinitions, CEnum, CFunction, CMember, CStruct, CTypedef
from probee.compiler.lang.bpftrace.scope import Script
from probee.compiler.lang.bpftrace.type import align_of, enum_of
from probee.compiler.lang.bpftrace.type_name import named_ctype
from probee.errors import CompileError
from probee.model import ctype as c

_FLOATS = {"float": 4, "double": 8, "long double": 16}


def define(script: Script, definitions: CDefinitions) -> None:
    """Enter the preamble's types and constants into the script; raises CompileError."""
    for definition in definitions.types:
        if isinstance(definition, CStruct):
            _check_complete(script, definition)
            script.structs[f"{definition.kind} {definition.name}"] = layout(script, definition)
        elif isinstance(definition, CEnum):
            _define_enum(script, definition)
        else:
            assert isinstance(definition, CTypedef)
            script.structs[f"typedef {definition.name}"] = c.TypedefType(definition.name, ctype_of(script, definition.type))


def _check_complete(script: Script, definition: CStruct) -> None:
    """Who defines a type of the kernel's anew must define what is in it: a mixture of two kernels' types helps nobody."""
    if not (script.target.has_btf and script.target.type_named(definition.kind, definition.name) is not None):
        return
    for member in definition.members:
        type = member.type
        if isinstance(type, ast.NamedType) and type.tag in ("struct", "union") and type.name:
            name = f"{type.tag} {type.name}"
            if name not in script.structs:
                message = (
                    f"error: field has incomplete type '{name}': {definition.kind} {definition.name} is the kernel's, "
                    "and its members' types are not taken from there once it is defined anew"
                )
                raise CompileError(message, member.span, hint=f"define {name}, too, or leave both to the kernel's own types")


def _define_enum(script: Script, definition: CEnum) -> None:
    enum = _enum(definition)
    if definition.name:
        script.structs[f"enum {definition.name}"] = enum
    for name, value in enum.values:
        script.symbols[name] = value, enum_of(enum, 8)


def _enum(definition: CEnum) -> c.EnumType:
    values = tuple(zip(definition.names, definition.values, strict=True))
    wide = any(not -(1 << 31) <= value < 1 << 32 for _, value in values)
    return c.EnumType(definition.name, 8 if wide else 4, values, signed=any(value < 0 for _, value in values))


def ctype_of(script: Script, name: ast.TypeName) -> c.CType:
    """Return the C type that a declaration names."""
    if isinstance(name, CStruct):
        return layout(script, name)
    if isinstance(name, CEnum):
        return _enum(name)
    if isinstance(name, CFunction):
        return c.FunctionType(c.VOID, ())
    if isinstance(name, ast.PointerType):
        return c.PointerType(_pointee(script, name.target))
    if isinstance(name, ast.ArrayType):
        return c.ArrayType(ctype_of(script, name.element), name.size or 0)
    assert isinstance(name, ast.NamedType)
    if not name.tag and name.name == "void":
        return c.VOID
    if not name.tag and name.name in ("bool", "_Bool"):
        return c.IntType("bool", 1, signed=False, encoding="bool")
    if not name.tag and name.name in _FLOATS:
        return c.FloatType(name.name, _FLOATS[name.name])
    return named_ctype(script, name)


def _pointee(script: Script, name: ast.TypeName) -> c.CType | Callable[[], c.CType]:
    """Return what a pointer points to, looked up when it is needed: it may not be defined yet."""
    if isinstance(name, ast.NamedType) and name.tag:
        return lambda: named_ctype(script, name, incomplete=True)
    return ctype_of(script, name)


def layout(script: Script, definition: CStruct) -> c.StructType:
    """Lay out a struct or union."""
    struct = definition.kind == "struct"
    bit, size_bits, align = 0, 0, 1
    members: list[c.Member] = []
    for member in definition.members:
        ctype = ctype_of(script, member.type)
        if c.size_of(ctype) == 0 and not isinstance(c.strip(ctype), (c.ArrayType, c.StructType)):
            raise CompileError(f"the member '{member.name}' has an incomplete type", member.span)
        own = 1 if definition.packed else align_of(ctype)
        if member.bits is None:
            bit = -(-bit // (own * 8)) * own * 8
            members.append(c.Member(member.name, ctype, bit))
            end = bit + c.size_of(ctype) * 8
        else:
            bit, end = _bit_field(member, ctype, bit, packed=definition.packed)
            if member.name:
                members.append(c.Member(member.name, ctype, bit, member.bits))
        align = max(align, own)
        size_bits = max(size_bits, end)
        bit = end if struct else 0
    align = max(align, definition.aligned)
    size = -(-size_bits // 8)
    return c.StructType(definition.kind, definition.name, -(-size // align) * align, tuple(members))


def _bit_field(member: CMember, ctype: c.CType, bit: int, *, packed: bool) -> tuple[int, int]:
    """Return where a bit field starts and ends: it does not cross a multiple of its type's size."""
    bits, unit = member.bits or 0, c.size_of(ctype) * 8
    if bits > unit:
        raise CompileError(f"the bit field '{member.name}' is wider than its type", member.span)
    if bits == 0:
        start = -(-bit // unit) * unit
        return start, start
    if not packed and bit // unit != (bit + bits - 1) // unit:
        bit = -(-bit // unit) * unit
    return bit, bit + bits
