"""From the BTF of a compiled object to ctypes classes: keys and leaves of tables, events.

Tables have what bcc's have: pointers are numbers, enums unsigned where C's are, holes in a struct are members `__pad_N` and
`__pad_end`, anonymous members are `__anonN`.  Events are laid out as C does it, with enums as c_int and pointers as pointers.
Every class is checked against the offsets and the size that the compiler used; what ctypes cannot lay out so is an error.
"""

from __future__ import annotations

import ctypes as ct

from probee.bcc.error import BccError
from probee.formats.btf.reader import Btf
from probee.model.ctype import (
    ArrayType,
    CType,
    EnumType,
    FloatType,
    IntType,
    Member,
    PointerType,
    StructType,
    strip,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Class = type[Any]
    FieldRow = tuple[str, Any] | tuple[str, Any, int]

_UNSIGNED: dict[int, Any] = {1: ct.c_ubyte, 2: ct.c_ushort, 4: ct.c_uint, 8: ct.c_ulonglong, 16: ct.c_uint64 * 2}
_SIGNED: dict[int, Any] = {1: ct.c_char, 2: ct.c_short, 4: ct.c_int, 8: ct.c_longlong, 16: ct.c_int64 * 2}
_FLOATS: dict[int, Any] = {4: ct.c_float, 8: ct.c_double, 16: ct.c_longdouble}


class Structures:
    """The classes of one object; `types` leads from "key NAME", "leaf NAME" and "event NAME" to type ids of its BTF."""

    def __init__(self, btf: bytes, types: Mapping[str, int]) -> None:
        self._btf = Btf(btf) if btf else None
        self._types = types
        self._for_tables = _Layout(for_events=False)
        self._for_events = _Layout(for_events=True)

    def find(self, what: str, name: str) -> Class | None:
        """Return the class of a table's "key" or "leaf", or of what is sent through an output ("event"); None if unknown."""
        id = self._types.get(f"{what} {name}")
        if not id or self._btf is None:
            return None
        layout = self._for_events if what == "event" else self._for_tables
        return layout.class_of(self._btf.type(id))


def integer_class(size: int) -> Class:
    """Return the class for what has no type: a number if there is one of that size, else bytes."""
    found: Class = _UNSIGNED[size] if size in (1, 2, 4, 8) else ct.c_ubyte * size
    return found


class _Layout:
    def __init__(self, *, for_events: bool) -> None:
        self._for_events = for_events
        self._known: dict[int, tuple[StructType, Class]] = {}  # the type is kept so that its id() stays its own

    def class_of(self, ctype: CType) -> Class:
        ctype = strip(ctype)
        if isinstance(ctype, IntType):
            return _integer(ctype)
        if isinstance(ctype, StructType):
            return self._struct(ctype)
        if isinstance(ctype, ArrayType):
            array: Class = self.class_of(ctype.element) * ctype.count
            return array
        if isinstance(ctype, PointerType):
            return self._pointer(ctype)
        if isinstance(ctype, EnumType):
            signed = ctype.signed or self._for_events
            enum: Class = (_SIGNED if signed and ctype.size > 1 else _UNSIGNED)[ctype.size]
            return enum
        if isinstance(ctype, FloatType) and ctype.size in _FLOATS:
            found: Class = _FLOATS[ctype.size]
            return found
        raise BccError(f"Type: '{ctype.spelling()}' not recognized. Please define the data with ctypes manually.")

    def _pointer(self, ctype: PointerType) -> Class:
        if not self._for_events:
            return ct.c_ulonglong
        target = strip(ctype.target)
        return ct.c_char_p if isinstance(target, IntType) and target.size == 1 else ct.c_void_p

    def _struct(self, ctype: StructType) -> Class:
        found = self._known.get(id(ctype))
        if found is None:
            found = self._known[id(ctype)] = ctype, self._build(ctype)
        return found[1]

    def _build(self, ctype: StructType) -> Class:
        """Return the class, natural or packed: bcc packs a table's struct and names its holes, unless it has bit fields."""
        plain = ctype.kind == "union" or any(member.bit_size or _is_open(member) for member in ctype.members)
        natural, packed = self._make(ctype, packed=False), None
        if ctype.members and not plain and (not self._for_events or not _fits(natural, ctype)):
            packed = self._make(ctype, packed=True)
        elif plain and not _fits(natural, ctype):
            packed = self._make(ctype, packed=True, padded=False)
        made = packed or natural
        if not _fits(made, ctype):
            raise BccError(f"ctypes has no words for the layout of {ctype.spelling()}: order its members otherwise")
        return made

    def _make(self, ctype: StructType, *, packed: bool, padded: bool = True) -> Class:
        rows: list[FieldRow] = []
        anonymous: list[str] = []
        at = 0
        for number, member in enumerate(ctype.members):
            name = member.name
            if not name:
                name = f"__anon{len(anonymous)}"
                anonymous.append(name)
            member_class = self.class_of(member.type)
            if packed and padded and member.offset > at:
                rows.append((f"__pad_{number}", ct.c_char * (member.offset - at)))
            rows.append((name, member_class, member.bit_size) if member.bit_size else (name, member_class))
            at = member.offset + ct.sizeof(member_class)
        if packed and padded and ctype.size > at:
            rows.append(("__pad_end", ct.c_char * (ctype.size - at)))
        body: dict[str, Any] = {"_anonymous_": anonymous}
        if packed:
            body.update(_pack_=1, _layout_="ms")
        base = ct.Union if ctype.kind == "union" else ct.Structure
        return type(ctype.name, (base,), {**body, "_fields_": rows})


def is_hole(name: str) -> bool:
    """Return whether a member is the name of a hole in a table's struct, and none of the program's."""
    return name == "__pad_end" or (name.startswith("__pad_") and name[6:].isdecimal())


def _integer(ctype: IntType) -> Class:
    if ctype.encoding == "bool":
        return ct.c_bool
    if ctype.name == "char":
        return ct.c_char
    found: Class = (_SIGNED if ctype.signed else _UNSIGNED)[ctype.size]
    return found


def _is_open(member: Member) -> bool:
    inner = strip(member.type)
    return isinstance(inner, ArrayType) and not inner.count


def _fits(made: Class, ctype: StructType) -> bool:
    """Return whether a class has the size of a struct, and every member where the compiler has it."""
    if ct.sizeof(made) != ctype.size:
        return False
    names = [row[0] for row in made._fields_ if not is_hole(row[0])]
    for name, member in zip(names, ctype.members, strict=True):
        field = getattr(made, name)
        bits = (field.size >> 16, field.offset * 8 + (field.size & 0xFFFF)) if member.bit_size else (0, field.offset * 8)
        if bits != (member.bit_size, member.bit_offset):
            return False
    return True
