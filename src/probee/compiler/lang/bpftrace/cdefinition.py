# ruff: noqa: RUF023 -- the order of __slots__ is the order of the constructor, as in ast.py
"""What the C preamble of a program defines: neutral nodes, without layout.

Types are ast.TypeName nodes, to which this file adds the C-only ones. A member whose struct or enum was defined in place
refers to it by NamedType if it has a name (the definition itself then stands earlier in CDefinitions.types), and holds
the CStruct or CEnum itself if it has none. C's integer types come in one spelling each: `unsigned long`, `long long`, …
Sizes, offsets and the types behind names are resolve's.
"""

from __future__ import annotations

from probee.compiler.lang.bpftrace.ast import Node, TypeName


class CFunction(TypeName):
    """A function type; only pointers to one occur, and what it takes and returns does not matter."""

    __slots__ = ()


class CMember(Node):
    """`type name : bits;`. The name is "" for an anonymous struct or union, and for padding bits."""

    __slots__ = ("name", "type", "bits")

    def __init__(self, span: int, name: str, type: TypeName, bits: int | None) -> None:
        self.span, self.name, self.type, self.bits = span, name, type, bits


class CStruct(TypeName):
    """A struct or union definition; kind says which, name is "" for an anonymous one, aligned is 0 unless given."""

    __slots__ = ("kind", "name", "members", "packed", "aligned")

    def __init__(self, span: int, kind: str, name: str, members: list[CMember], packed: bool, aligned: int = 0) -> None:
        self.span, self.kind, self.name = span, kind, name
        self.members, self.packed, self.aligned = members, packed, aligned


class CEnum(TypeName):
    """An enum definition: names[i] has the value values[i]."""

    __slots__ = ("name", "names", "values", "packed")

    def __init__(self, span: int, name: str, names: list[str], values: list[int], packed: bool = False) -> None:
        self.span, self.name, self.names, self.values, self.packed = span, name, names, values, packed


class CTypedef(Node):
    """`typedef type name;`."""

    __slots__ = ("name", "type")

    def __init__(self, span: int, name: str, type: TypeName) -> None:
        self.span, self.name, self.type = span, name, type


class CMacro(Node):
    """`#define name text`, object-like; the text has no comments and single blanks."""

    __slots__ = ("name", "text")

    def __init__(self, span: int, name: str, text: str) -> None:
        self.span, self.name, self.text = span, name, text


class CInclude(Node):
    """`#include <path>` (system) or `#include "path"`; what it would define comes from BTF."""

    __slots__ = ("path", "system")

    def __init__(self, span: int, path: str, system: bool) -> None:
        self.span, self.path, self.system = span, path, system


class CDefinitions:
    """Everything the preamble defines: types in order of definition, macros as they are at its end, includes."""

    __slots__ = ("constants", "includes", "macros", "types")

    def __init__(self) -> None:
        self.types: list[CStruct | CEnum | CTypedef] = []
        self.macros: dict[str, CMacro] = {}
        self.includes: list[CInclude] = []
        self.constants: dict[str, int] = {}  #: members of all enums
