"""What an expression of C means while it is lowered: an `Operand` (a value), a `Place` (something in memory), a `Variable`.

The IR's pointer types say which memory a pointer points to (ir/type.py), and that is how provenance travels: a value of a C
integer type may still be an IR pointer, as long as nobody computes with it, so that `(void *)(long)ctx->data` remains a packet
pointer.  Integers are kept at the width of their C type; sizes and offsets are bytes.
"""

from __future__ import annotations

from probee.compiler.ir.unit import Value
from probee.compiler.lang.c.basic import CHAR, INT, LONG, LONG_LONG, UNSIGNED_LONG, UNSIGNED_LONG_LONG
from probee.compiler.lang.c.basic import UNSIGNED_INT as UNSIGNED
from probee.model.ctype import ArrayType, CType, EnumType, FloatType, FunctionType, IntType, PointerType, StructType, strip

__all__ = [
    "CHAR", "INT", "LONG", "LONG_LONG", "NO_FLOATS", "UNSIGNED", "UNSIGNED_LONG", "UNSIGNED_LONG_LONG", "Operand", "Place",
    "Variable", "is_aggregate", "is_bool", "is_float", "is_function", "is_integer", "is_pointer", "is_scalar", "is_signed",
    "is_wide", "pointee",
]  # fmt: skip

NO_FLOATS = "BPF programs have no floating-point numbers"


class Operand:
    """A value and its C type: a scalar.  `value` is of the C type's width, or a pointer."""

    __slots__ = ("type", "value")

    def __init__(self, type: CType, value: Value) -> None:
        self.type = type
        self.value = value


class Place:
    """Something in memory: `type` at `offset` bytes from the pointer `base`; `bits` is (first bit, how many) of a bit field.

    `variable` is the local variable that it lies in when that is certain, `packet_header` says that `base` is really an offset
    into the packet that the context describes.  `field` is (root type, path of members) while it is a member of kernel memory.
    """

    __slots__ = ("base", "bits", "field", "offset", "packet_header", "type", "variable")

    def __init__(
        self,
        type: CType,
        base: Value,
        offset: int = 0,
        *,
        bits: tuple[int, int] | None = None,
        variable: Variable | None = None,
        field: tuple[str, str] | None = None,
        packet_header: bool = False,
    ) -> None:
        self.type = type
        self.base = base
        self.offset = offset
        self.bits = bits
        self.variable = variable
        self.field = field
        self.packet_header = packet_header

    @property
    def space(self) -> str:
        return self.base.type.space


class Variable:
    """A local variable or parameter.

    `key` names it over several lowerings of its function, so that what was learnt about the pointers that it holds (at which
    offset, pointing where) is known from the start of the next one.
    """

    __slots__ = ("key", "slot", "type")

    def __init__(self, key: tuple[object, ...], type: CType, slot: Value) -> None:
        self.key = key
        self.type = type
        self.slot = slot


def is_integer(ctype: CType) -> bool:
    """Return whether values of a type are integers, enums and bools included; those of 128 bits are not values here."""
    return isinstance(strip(ctype), (IntType, EnumType)) and strip(ctype).size <= 8


def is_pointer(ctype: CType) -> bool:
    return isinstance(strip(ctype), PointerType)


def is_scalar(ctype: CType) -> bool:
    return is_integer(ctype) or is_pointer(ctype)


def is_aggregate(ctype: CType) -> bool:
    """Return whether a type is only ever handled in memory: structs, unions, 128-bit integers."""
    bare = strip(ctype)
    return isinstance(bare, StructType) or (isinstance(bare, IntType) and bare.size > 8)


def is_wide(ctype: CType) -> bool:
    """Return whether a type is an integer of 128 bits."""
    bare = strip(ctype)
    return isinstance(bare, IntType) and bare.size > 8


def is_signed(ctype: CType) -> bool:
    bare = strip(ctype)
    return isinstance(bare, (IntType, EnumType)) and bare.signed


def is_bool(ctype: CType) -> bool:
    bare = strip(ctype)
    return isinstance(bare, IntType) and bare.encoding == "bool"


def pointee(ctype: CType) -> CType | None:
    """Return what a pointer points to, or an array's elements; None of other types."""
    bare = strip(ctype)
    if isinstance(bare, PointerType):
        return bare.target
    return bare.element if isinstance(bare, ArrayType) else None


def is_float(ctype: CType) -> bool:
    return isinstance(strip(ctype), FloatType)


def is_function(ctype: CType) -> bool:
    return isinstance(strip(ctype), FunctionType)
