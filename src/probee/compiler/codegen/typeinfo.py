"""C types as BTF of our own: what programs of C declare for their maps and records, for Python to read and the kernel to check.

Structs are entered whole, those behind pointers only when they are met inside themselves: a pointer's target is kept by name
and otherwise void, since half the kernel hangs on some of them.
"""

from __future__ import annotations

from probee.formats.btf import kind
from probee.formats.btf.build import BtfBuilder, MemberRow, identifier
from probee.model.ctype import (
    ArrayType,
    CType,
    EnumType,
    FloatType,
    ForwardType,
    IntType,
    PointerType,
    StructType,
    TypedefType,
    VoidType,
)


class TypeWriter:
    """Writes types into a builder; equal objects get one id."""

    def __init__(self, builder: BtfBuilder) -> None:
        self._btf = builder
        self._known: dict[int, int] = {}
        self._kept: list[CType] = []  # ids of objects are only unique while they live

    def add(self, ctype: CType) -> int:
        """Return the id of a type, 0 for void."""
        found = self._known.get(id(ctype))
        if found is None:
            found = self._add(ctype)
            self._known[id(ctype)] = found
            self._kept.append(ctype)
        return found

    def _add(self, ctype: CType) -> int:
        btf = self._btf
        if isinstance(ctype, IntType):
            return self._integer(ctype)
        if isinstance(ctype, FloatType):
            return btf.array(btf.integer("char", 1, signed=True), ctype.size)
        if isinstance(ctype, PointerType):
            return self._pointer(ctype)
        if isinstance(ctype, ArrayType):
            return btf.array(self.add(ctype.element), ctype.count)
        if isinstance(ctype, StructType):
            return self._struct(ctype)
        if isinstance(ctype, EnumType):
            return self._enum(ctype)
        if isinstance(ctype, TypedefType):
            return btf.typedef(identifier(ctype.name), self.add(ctype.target))
        if isinstance(ctype, ForwardType):
            return self._forward(ctype.name, ctype.kind)
        return 0

    def _integer(self, ctype: IntType) -> int:
        """Write an integer; chars are told by their name, since the kernel takes no signed char encoding."""
        return self._btf.integer(ctype.name, ctype.size, signed=ctype.signed, boolean=ctype.encoding == "bool")

    def _pointer(self, ctype: PointerType) -> int:
        target = ctype.target
        if isinstance(target, (StructType, ForwardType)):
            found = self._known.get(id(target))
            if found is None:
                found = self._forward(target.name, target.kind) if target.name else 0
            return self._btf.pointer(found)
        if isinstance(target, (IntType, TypedefType, PointerType)):
            return self._btf.pointer(self.add(target) if not _leads_far(target) else 0)
        return self._btf.pointer(0)

    def _forward(self, name: str, which: str) -> int:
        return self._btf.record(kind.FWD, identifier(name), 0, flag=which == "union", share=True)

    def _struct(self, ctype: StructType) -> int:
        name = identifier(ctype.name) if ctype.name else ""
        id_ = self._btf.declare(name)
        self._known[id(ctype)] = id_
        self._kept.append(ctype)
        members: list[MemberRow] = [
            (identifier(member.name) if member.name else "", self.add(member.type), member.bit_offset, member.bit_size)
            for member in ctype.members
        ]
        self._btf.define(id_, name, ctype.size, members, union=ctype.kind == "union")
        return id_

    def _enum(self, ctype: EnumType) -> int:
        if ctype.size != 4:
            return self._btf.integer(f"enum {ctype.name}"[:100], ctype.size, signed=ctype.signed)
        return self._btf.enum(identifier(ctype.name) if ctype.name else "", ctype.values, size=4)


def _leads_far(ctype: CType) -> bool:
    """Return whether a pointer's target is a struct by another name, which is left out."""
    while isinstance(ctype, TypedefType):
        ctype = ctype.target
    return isinstance(ctype, (StructType, VoidType, ForwardType))
