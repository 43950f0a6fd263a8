"""Symbolic references of instructions: a name where the linked program has a number.

Each kind corresponds to one BPF_PSEUDO_* meaning of `src` (include/uapi/linux/bpf.h), save ConstRef, which is our own.
Resolving a name to a file descriptor, an offset or a BTF id is the linker's and the loader's work.
"""

from __future__ import annotations


class Ref:
    """A name in place of a number; two are equal when they are of one kind and have equal fields."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def _key(self) -> tuple[object, ...]:
        return (type(self), self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self._key()[1:]))})"


class MapRef(Ref):
    """The handle of a map, BPF_PSEUDO_MAP_FD."""

    __slots__ = ()


class MapValueRef(Ref):
    """An address inside the value of a one-element array, BPF_PSEUDO_MAP_VALUE; `offset` is in bytes."""

    __slots__ = ("offset",)

    def __init__(self, name: str, offset: int = 0) -> None:
        self.name = name
        self.offset = offset

    def _key(self) -> tuple[object, ...]:
        return (type(self), self.name, self.offset)


class ConstRef(Ref):
    """A late constant: 64 bits known only when the program is loaded."""

    __slots__ = ()


class FuncRef(Ref):
    """A function of the same program: called, or (64-bit load, BPF_PSEUDO_FUNC) passed as a callback."""

    __slots__ = ()


class BtfIdRef(Ref):
    """A kernel symbol known by BTF id; `kind` is "func" for a kfunc or "var" for a per-CPU or other variable."""

    __slots__ = ("kind",)

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.kind = kind

    def _key(self) -> tuple[object, ...]:
        return (type(self), self.name, self.kind)
