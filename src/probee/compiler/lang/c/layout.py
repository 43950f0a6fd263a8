"""How structs and unions that a program defines lie in memory: the ABI's rules, for natural, packed and aligned members.

x86-64 and AArch64 agree on everything here.  What BTF describes has its offsets already.
"""

from __future__ import annotations

from probee.model.ctype import ArrayType, CType, EnumType, FloatType, IntType, Member, PointerType, StructType, strip


class DeclaredStruct(StructType):
    """A struct or union that the program defines; `alignment` is in bytes."""

    __slots__ = ("alignment", "packed", "span")

    def __init__(self, kind: str, name: str, span: int) -> None:
        super().__init__(kind, name, 0, ())
        self.alignment = 1
        self.packed = False
        self.span = span


class DeclaredMember:
    """A member as it was written: `width` is -1 unless it is a bit field, `alignment` 0 unless an attribute gives one."""

    __slots__ = ("alignment", "name", "packed", "type", "width")

    def __init__(self, name: str, type: CType, width: int = -1, *, alignment: int = 0, packed: bool = False) -> None:
        self.name = name
        self.type = type
        self.width = width
        self.alignment = alignment
        self.packed = packed


def alignment_of(ctype: CType) -> int:
    """Return a type's alignment in bytes."""
    ctype = strip(ctype)
    if isinstance(ctype, DeclaredStruct):
        return ctype.alignment
    if isinstance(ctype, ArrayType):
        return alignment_of(ctype.element)
    if isinstance(ctype, StructType):
        return _alignment_in_btf(ctype)
    if isinstance(ctype, (IntType, EnumType, FloatType, PointerType)):
        return min(ctype.size, 16) or 1
    return 1


def _alignment_in_btf(struct: StructType) -> int:
    """Return the largest alignment that a struct's members suggest and its layout does not contradict."""
    wanted = 1
    for member in struct.members:
        if member.bit_size:
            continue
        own = alignment_of(member.type)
        if member.bit_offset % (own * 8) == 0:
            wanted = max(wanted, own)
    while wanted > 1 and struct.size % wanted:
        wanted //= 2
    return wanted


def lay_out(struct: DeclaredStruct, members: list[DeclaredMember], *, packed: bool, alignment: int = 0) -> None:
    """Give a struct or union its members, size and alignment."""
    end = largest = 0  # in bits
    strictest = 1
    placed: list[Member] = []
    for member in members:
        start = 0 if struct.kind == "union" else end
        natural = 1 if packed or member.packed else alignment_of(member.type)
        own = max(natural, member.alignment)
        size = strip(member.type).size * 8
        if member.width < 0:
            start = _up(start, own * 8)
            placed.append(Member(member.name, member.type, start))
            after = start + size
        else:
            start = _place_field(start, member, size, packed=packed)
            if member.name:
                placed.append(Member(member.name, member.type, start, member.width))
            after = start + member.width
        if member.name or member.width < 0:
            strictest = max(strictest, own)
        end = after
        largest = max(largest, after)
    struct.alignment = max(strictest, alignment)
    struct.packed = packed
    struct.size = _up(largest, struct.alignment * 8) // 8
    struct._members = tuple(placed)


def _place_field(start: int, member: DeclaredMember, size: int, *, packed: bool) -> int:
    """Return where a bit field begins: it does not cross a boundary of its type, unless packed; width 0 goes to the next."""
    if member.width == 0:
        return _up(start, size)
    if member.alignment:
        start = _up(start, member.alignment * 8)
    if packed or member.packed or not size:
        return start
    if start // size != (start + member.width - 1) // size:
        return _up(start, size)
    return start


def _up(value: int, boundary: int) -> int:
    return -(-value // boundary) * boundary if boundary else value
