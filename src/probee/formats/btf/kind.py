"""The numbers of BTF's encoding, from include/uapi/linux/btf.h.

A type is three words (name offset, info, size or type) and a tail whose length its kind and its vlen decide.  `info` is
kind_flag (bit 31), kind (bits 24..30) and vlen (bits 0..23): kind had 5 bits and vlen 16 before Linux 7.1, the others
being zero, so that reading the wide form reads both.
"""

from __future__ import annotations

MAGIC = 0xEB9F
VERSION = 1
HEADER_SIZE = 24  # without the layout section's offset and length, which Linux 7.1 added

VOID, INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD = range(8)
TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FUNC_PROTO, VAR, DATASEC = range(8, 16)
FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(16, 20)

TRANSPARENT = frozenset((VOLATILE, CONST, RESTRICT, TYPE_TAG))  # say something about the type they refer to
SIZED = frozenset((INT, STRUCT, UNION, ENUM, FLOAT, ENUM64))  # their third word is a size, not a type

INT_SIGNED, INT_CHAR, INT_BOOL = 1, 2, 4

LINKAGE_STATIC, LINKAGE_GLOBAL, LINKAGE_EXTERN = range(3)

# kind → (words before the elements, words per element); the three words of every type are counted.
TAILS = {
    VOID: (3, 0), INT: (4, 0), PTR: (3, 0), ARRAY: (6, 0), STRUCT: (3, 3), UNION: (3, 3), ENUM: (3, 2), FWD: (3, 0),
    TYPEDEF: (3, 0), VOLATILE: (3, 0), CONST: (3, 0), RESTRICT: (3, 0), FUNC: (3, 0), FUNC_PROTO: (3, 2), VAR: (4, 0),
    DATASEC: (3, 3), FLOAT: (3, 0), DECL_TAG: (4, 0), TYPE_TAG: (3, 0), ENUM64: (3, 3),
}  # fmt: skip

# What find() calls the kinds; an enum is either of two.
BY_NAME: dict[str, tuple[int, ...]] = {
    "int": (INT,), "struct": (STRUCT,), "union": (UNION,), "enum": (ENUM, ENUM64), "typedef": (TYPEDEF,), "fwd": (FWD,),
    "func": (FUNC,), "var": (VAR,), "datasec": (DATASEC,), "float": (FLOAT,), "decl_tag": (DECL_TAG,),
    "type_tag": (TYPE_TAG,),
}  # fmt: skip


def kind_of(info: int) -> int:
    """Return the kind in a type's info word."""
    return info >> 24 & 0x7F


def vlen_of(info: int) -> int:
    """Return the number of elements in a type's info word; a function's linkage is there too."""
    return info & 0xFFFFFF


class Strides(dict[int, int]):
    """info word → length of the type in words, computed once per distinct word: the index build's inner loop."""

    def __init__(self, tails: dict[int, tuple[int, int]] = TAILS) -> None:
        super().__init__()
        self.tails = tails

    def __missing__(self, info: int) -> int:
        fixed, each = self.tails[kind_of(info)]
        stride = self[info] = fixed + each * vlen_of(info)
        return stride
