"""C types as BTF, tracepoint formats and C definitions in scripts describe them.

Mirrors the kinds of include/uapi/linux/btf.h without their encoding: integers, pointers, arrays, structs and unions,
enums, typedefs, functions.  Qualifiers (const, volatile, restrict) are dropped; type tags (`user`, `rcu`, `percpu`) stay
on the pointer.  A type that was read from BTF refers to others lazily: a reference is either a CType or a thunk that
returns one, resolved at the first look.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing takes longer to import than this module
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Reference: TypeAlias = "CType | Callable[[], CType]"


class CType:
    """Base of all C types.  `size` is in bytes; void, functions and incomplete types have 0."""

    __slots__ = ("size",)

    def __init__(self, size: int) -> None:
        self.size = size

    def spelling(self, declarator: str = "") -> str:
        """Return the type as C writes it, around `declarator` when one is given."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.spelling()}>"


def _spell(base: str, declarator: str) -> str:
    return f"{base} {declarator}" if declarator else base


def _force(reference: Reference) -> CType:
    return reference if isinstance(reference, CType) else reference()


class VoidType(CType):
    """void, and whatever is opaque."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(0)

    def spelling(self, declarator: str = "") -> str:
        return _spell("void", declarator)


VOID = VoidType()


class IntType(CType):
    """An integer; `encoding` is "" or "char" or "bool"."""

    __slots__ = ("encoding", "name", "signed")

    def __init__(self, name: str, size: int, *, signed: bool, encoding: str = "") -> None:
        super().__init__(size)
        self.name = name
        self.signed = signed
        self.encoding = encoding

    def spelling(self, declarator: str = "") -> str:
        return _spell(self.name, declarator)


class FloatType(CType):
    """float, double, long double: known by size only."""

    __slots__ = ("name",)

    def __init__(self, name: str, size: int) -> None:
        super().__init__(size)
        self.name = name

    def spelling(self, declarator: str = "") -> str:
        return _spell(self.name, declarator)


class PointerType(CType):
    """A pointer; `tag` is the BTF type tag of its pointee ("user", "percpu", "rcu") or "".

    `const` says that the pointee is const, which only spelling cares about.
    """

    __slots__ = ("_target", "const", "tag")

    def __init__(self, target: Reference, *, tag: str = "", const: bool = False) -> None:
        super().__init__(8)
        self._target = target
        self.tag = tag
        self.const = const

    @property
    def target(self) -> CType:
        self._target = _force(self._target)
        return self._target

    def spelling(self, declarator: str = "") -> str:
        target = self.target
        if isinstance(target, (ArrayType, FunctionType)):
            return target.spelling(f"(*{declarator})")
        text = target.spelling(f"*{declarator}") if declarator.startswith("*") else f"{target.spelling()} *{declarator}"
        return f"const {text}" if self.const else text


class ArrayType(CType):
    """`count` elements; a flexible array member has count 0."""

    __slots__ = ("_element", "count")

    def __init__(self, element: Reference, count: int, *, size: int | None = None) -> None:
        super().__init__(size if size is not None else strip(_force(element)).size * count)
        self._element = element
        self.count = count

    @property
    def element(self) -> CType:
        self._element = _force(self._element)
        return self._element

    def spelling(self, declarator: str = "") -> str:
        return self.element.spelling(f"{declarator}[{self.count or ''}]")


class Member:
    """One member of a struct.  Offsets and sizes are in bits; `bit_size` is 0 unless it is a bit field.

    `name` is "" for an anonymous struct or union, whose members count as the outer one's.
    """

    __slots__ = ("_type", "bit_offset", "bit_size", "name")

    def __init__(self, name: str, type: Reference, bit_offset: int, bit_size: int = 0) -> None:
        self.name = name
        self._type = type
        self.bit_offset = bit_offset
        self.bit_size = bit_size

    @property
    def type(self) -> CType:
        self._type = _force(self._type)
        return self._type

    @property
    def offset(self) -> int:
        """The byte that the member starts in."""
        return self.bit_offset // 8


class StructType(CType):
    """A struct or union (`kind` says which).  Members may be given by a thunk, called at the first look."""

    __slots__ = ("_members", "kind", "name")

    def __init__(
        self, kind: str, name: str, size: int, members: tuple[Member, ...] | Callable[[], tuple[Member, ...]]
    ) -> None:
        super().__init__(size)
        self.kind = kind
        self.name = name
        self._members = members

    @property
    def members(self) -> tuple[Member, ...]:
        if not isinstance(self._members, tuple):
            self._members = self._members()
        return self._members

    def find(self, name: str) -> tuple[Member, ...]:
        """Return the path to a member, through anonymous structs and unions; () when there is none.

        The member's offset from the start of this struct is the sum of the bit offsets along the path.
        """
        return self._find(name, set())

    def _find(self, name: str, seen: set[int]) -> tuple[Member, ...]:
        seen.add(id(self))  # damaged BTF may say that a struct contains itself
        for member in self.members:
            if member.name == name:
                return (member,)
            if not member.name:
                inner = strip(member.type)
                if isinstance(inner, StructType) and id(inner) not in seen:
                    path = inner._find(name, seen)
                    if path:
                        return (member, *path)
        return ()

    def spelling(self, declarator: str = "") -> str:
        return _spell(f"{self.kind} {self.name or '(anon)'}", declarator)


class PassedByReference(StructType):
    """A class of C++ that is never copied bit by bit: what functions are passed, or return, of it is its address."""

    __slots__ = ()


class EnumType(CType):
    """An enum; `values` holds (name, value) in order of declaration."""

    __slots__ = ("_values", "name", "signed")

    def __init__(
        self,
        name: str,
        size: int,
        values: tuple[tuple[str, int], ...] | Callable[[], tuple[tuple[str, int], ...]],
        *,
        signed: bool = False,
    ) -> None:
        super().__init__(size)
        self.name = name
        self.signed = signed
        self._values = values

    @property
    def values(self) -> tuple[tuple[str, int], ...]:
        if not isinstance(self._values, tuple):
            self._values = self._values()
        return self._values

    def spelling(self, declarator: str = "") -> str:
        return _spell(f"enum {self.name or '(anon)'}", declarator)


class TypedefType(CType):
    """Another name for a type."""

    __slots__ = ("_target", "name")

    def __init__(self, name: str, target: Reference) -> None:
        super().__init__(0)
        self.name = name
        self._target = target

    @property
    def target(self) -> CType:
        self._target = _force(self._target)
        return self._target

    def spelling(self, declarator: str = "") -> str:
        return _spell(self.name, declarator)


class ForwardType(CType):
    """A struct or union that is named but not defined."""

    __slots__ = ("kind", "name")

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(0)
        self.kind = kind
        self.name = name

    def spelling(self, declarator: str = "") -> str:
        return _spell(f"{self.kind} {self.name}", declarator)


class Parameter:
    """A named parameter of a function."""

    __slots__ = ("_type", "name")

    def __init__(self, name: str, type: Reference) -> None:
        self.name = name
        self._type = type

    @property
    def type(self) -> CType:
        self._type = _force(self._type)
        return self._type


class FunctionType(CType):
    """A function's signature."""

    __slots__ = ("_result", "parameters", "variadic")

    def __init__(self, result: Reference, parameters: tuple[Parameter, ...], *, variadic: bool = False) -> None:
        super().__init__(0)
        self._result = result
        self.parameters = parameters
        self.variadic = variadic

    @property
    def result(self) -> CType:
        self._result = _force(self._result)
        return self._result

    def spelling(self, declarator: str = "") -> str:
        inside = ", ".join([p.type.spelling(p.name) for p in self.parameters] + ["..."] * self.variadic) or "void"
        return self.result.spelling(f"{declarator or ''}({inside})")


def strip(ctype: CType) -> CType:
    """Return the type behind any typedefs."""
    while isinstance(ctype, TypedefType):
        ctype = ctype.target
    return ctype


def size_of(ctype: CType) -> int:
    """Return sizeof the type in bytes, looking through typedefs."""
    return strip(ctype).size
