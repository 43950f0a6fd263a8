"""Types of IR values.

Integers are i8 … i64 without a sign (operations carry it), `BOOL` is the result of a comparison.  A pointer carries the
memory it points to, its *space*, and whether it may be null; what a load through it means follows from the space:

    stack     this frame            plain load          map       a map value             plain load
    ringbuf   a reserved record     plain load          context   the program's context   load_context only
    packet    packet data           plain load, after check_packet
    trusted   BTF-typed kernel      load_trusted        kernel    any kernel address      probe_read_kernel
    user      user memory           probe_read_user     percpu    a per-CPU variable      through per_cpu_ptr only
    own       here the stack, there a map value or a record: the verifier follows each way, plain load

Types are interned: compare them with `is`.
"""

from __future__ import annotations

SPACES = ("stack", "map", "ringbuf", "context", "packet", "packet_end", "trusted", "kernel", "user", "percpu", "own")
DIRECT = frozenset(("stack", "map", "ringbuf", "packet", "own"))  # what `load`, `store`, `copy` reach with plain instructions


class Type:
    """One interned type: `kind` is void, bool, int, pointer, map or function."""

    __slots__ = ("bits", "kind", "name", "nullable", "space")

    def __init__(self, kind: str, name: str, bits: int, space: str = "", *, nullable: bool = False) -> None:
        self.kind = kind
        self.name = name
        self.bits = bits
        self.space = space
        self.nullable = nullable

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return (self.bits + 7) // 8

    @property
    def is_pointer(self) -> bool:
        return self.kind == "pointer"

    @property
    def is_int(self) -> bool:
        return self.kind == "int"

    def __repr__(self) -> str:
        return self.name


VOID = Type("void", "void", 0)
BOOL = Type("bool", "bool", 1)
I8 = Type("int", "i8", 8)
I16 = Type("int", "i16", 16)
I32 = Type("int", "i32", 32)
I64 = Type("int", "i64", 64)
MAP = Type("map", "map", 64)  # a map handle, an argument of helpers
FUNCTION = Type("function", "function", 64)  # a callback's address, an argument of helpers

_INTS = {1: I8, 2: I16, 4: I32, 8: I64}
_POINTERS = {
    (space, nullable): Type("pointer", f"ptr.{space}{'?' if nullable else ''}", 64, space, nullable=nullable)
    for space in SPACES
    for nullable in (False, True)
}


def int_type(size: int) -> Type:
    """Return the integer type of `size` bytes: 1, 2, 4 or 8."""
    return _INTS[size]


def pointer(space: str, *, nullable: bool = False) -> Type:
    """Return the pointer type for a space."""
    return _POINTERS[space, nullable]
