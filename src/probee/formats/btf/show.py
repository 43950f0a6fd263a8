"""Types as C text: `show_type` for a definition with offsets, `show_function`, `show_blob` for everything in a blob.

    struct qstr {                                   /* size 16 */
            union {
                    struct {
                            u32 hash;               /* 0, 4 */
                            u32 len;                /* 4, 4 */
                    };
                    u64 hash_len;                   /* 0, 8 */
            };
            unsigned char *name;                    /* 8, 8 */
    };

A comment gives the offset from the outermost struct and the size, in bytes; for a bit field, byte:bit and bits.
Qualifiers are not shown: model/ctype.py has none.
"""

from __future__ import annotations

from collections.abc import Iterator

from probee.errors import BtfError
from probee.formats.btf import kind
from probee.formats.btf.reader import Btf
from probee.model.ctype import (
    ArrayType,
    CType,
    EnumType,
    FunctionType,
    IntType,
    Member,
    PointerType,
    StructType,
    TypedefType,
    size_of,
)

_INDENT = " " * 8
_COLUMN = 56


def show_type(ctype: CType) -> str:
    """Return the definition of a struct, union, enum or typedef, ending in a semicolon; others as they are spelled."""
    try:
        return "\n".join(_definition(ctype))
    except RecursionError:
        raise BtfError("a BTF type is nested without end") from None


def show_function(name: str, function: FunctionType) -> str:
    """Return a function's declaration, ending in a semicolon."""
    try:
        return f"{function.spelling(name)};"
    except RecursionError:
        raise BtfError(f"the BTF type of {name} is nested without end") from None


def show_blob(btf: Btf) -> Iterator[str]:
    """Yield `[id] definition` for every type of a blob, without its base's: what `--emit btf` prints."""
    for id in range(btf.first_id, btf.end_id):
        number, name = btf.kind(id), btf.name(id)
        if number in (kind.DATASEC, kind.DECL_TAG):
            text = f"section {name};" if number == kind.DATASEC else f"tag {name};"
        else:
            ctype = btf.type(id)
            if number == kind.FUNC and isinstance(ctype, FunctionType):
                text = show_function(name, ctype)
            else:
                text = f"{ctype.spelling(name)};" if number == kind.VAR else show_type(ctype)
        yield f"[{id}] {text}"


def _definition(ctype: CType) -> Iterator[str]:
    if isinstance(ctype, StructType):
        yield _commented(f"{_head(ctype)}{{", f"size {ctype.size}")
        yield from _members(ctype, 0, 1)
        yield "};"
    elif isinstance(ctype, EnumType):
        yield f"enum {ctype.name + ' ' if ctype.name else ''}{{"
        yield from (f"{_INDENT}{name} = {value}," for name, value in ctype.values)
        yield "};"
    elif isinstance(ctype, TypedefType):
        yield f"typedef {ctype.target.spelling(ctype.name)};"
    elif isinstance(ctype, IntType):
        yield f"{ctype.name};  /* size {ctype.size}, {'signed' if ctype.signed else 'unsigned'} */"
    else:
        yield f"{ctype.spelling()};"


def _head(struct: StructType) -> str:
    return f"{struct.kind} {struct.name} " if struct.name else f"{struct.kind} "


def _members(struct: StructType, start: int, depth: int) -> Iterator[str]:
    """Yield the lines of a struct that begins at bit `start` of the outermost one."""
    for member in struct.members:
        inner, declarator = _peel(member)
        offset = start + member.bit_offset
        if isinstance(inner, StructType) and not inner.name:
            yield f"{_INDENT * depth}{_head(inner)}{{"
            yield from _members(inner, offset, depth + 1)
            yield f"{_INDENT * depth}}}{' ' + declarator if declarator else ''};"
        else:
            line = f"{_INDENT * depth}{member.type.spelling(member.name)}"
            if member.bit_size:
                line += f" : {member.bit_size}"
                place = f"{offset // 8}:{offset % 8}, {member.bit_size}"
            else:
                place = f"{offset // 8}, {size_of(member.type)}"
            yield _commented(f"{line};", place)


def _peel(member: Member) -> tuple[CType, str]:
    """Return what a member is made of, and its declarator: `struct { … } *x[4]` gives (the struct, "*x[4]")."""
    ctype, declarator = member.type, member.name
    while isinstance(ctype, (ArrayType, PointerType)):
        if isinstance(ctype, ArrayType):
            declarator, ctype = f"{declarator}[{ctype.count or ''}]", ctype.element
        else:
            declarator = f"(*{declarator})" if isinstance(ctype.target, ArrayType) else f"*{declarator}"
            ctype = ctype.target
    return ctype, declarator


def _commented(line: str, comment: str) -> str:
    return f"{line:<{_COLUMN - 1}} /* {comment} */"
