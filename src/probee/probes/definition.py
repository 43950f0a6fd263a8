"""C definitions of structs, unions and enums as text, for `-lv 'struct file'`.

One member per line, anonymous structs written out in place.  Qualifiers are not shown: the model drops them.
"""

from __future__ import annotations

from collections.abc import Iterator

from probee.model.ctype import ArrayType, CType, EnumType, Member, StructType


def definition(ctype: StructType | EnumType) -> list[str]:
    """Return the lines of a definition, the last one ending in a semicolon."""
    if isinstance(ctype, EnumType):
        values = [f"\t{name} = {value}," for name, value in ctype.values]
        return [f"enum {ctype.name} {{", *values, "};"]
    return [f"{ctype.kind} {ctype.name} {{", *_members(ctype, 1), "};"]


def _members(struct: StructType, depth: int) -> Iterator[str]:
    indent = "\t" * depth
    for member in struct.members:
        inner, dimensions = _anonymous(member.type)
        if inner is None:
            yield f"{indent}{_declaration(member)};"
            continue
        yield f"{indent}{inner.kind} {{"
        yield from _members(inner, depth + 1)
        declarator = f" {member.name}{dimensions}" if member.name else ""
        yield f"{indent}}}{declarator};"


def _declaration(member: Member) -> str:
    bits = f": {member.bit_size}" if member.bit_size else ""
    return f"{member.type.spelling(member.name)}{bits}"


def _anonymous(ctype: CType) -> tuple[StructType | None, str]:
    """Return (the struct without a name that a member is, or is an array of; the array's dimensions)."""
    dimensions = ""
    while isinstance(ctype, ArrayType):
        dimensions += f"[{ctype.count or ''}]"
        ctype = ctype.element
    return (ctype, dimensions) if isinstance(ctype, StructType) and not ctype.name else (None, "")
