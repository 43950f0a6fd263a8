"""What C's memset and memcmp with a constant size are in IR, for front ends; memcpy is `copy`, memset(0) is `zero`.

Pieces are as large as the offsets' alignment allows, at most 8 bytes.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.build import Builder
from probee.compiler.ir.type import BOOL, I32, I64, int_type
from probee.compiler.ir.unit import Value


def fill(b: Builder, base: Value, byte: int, size: int, offset: int = 0) -> None:
    """Set `size` bytes of memory that plain instructions reach to one value."""
    byte &= 0xFF
    if not byte:
        b.zero(base, size, offset)
        return
    for at, piece in _pieces(offset, size):
        b.store(base, b.const(int.from_bytes(bytes([byte]) * piece, "little"), int_type(piece)), at)


def is_equal(b: Builder, left: Value, right: Value, size: int) -> Value:
    """Return a bool: the `size` bytes are the same.  Nothing branches; all of them are read."""
    different: Value | None = None
    for at, piece in _pieces(0, size):
        type = int_type(piece)
        part = b.resize(b.xor(b.load(left, type, at), b.load(right, type, at)), I64, signed=False)
        different = part if different is None else b.or_(different, part)
    return b.const(1, BOOL) if different is None else b.compare(op.EQ, different, 0)


def compare_bytes(b: Builder, left: Value, right: Value, size: int) -> Value:
    """Return an i32 below, equal to or above 0, as memcmp does; stops at the first 8 bytes that differ."""
    result = b.alloca(4, 4, "memcmp")
    b.store(result, b.const(0, I32))
    out = b.new_block()
    for at, piece in _pieces(0, size):
        type = int_type(piece)
        one, other = b.load(left, type, at), b.load(right, type, at)
        differ, following = b.new_block(), b.new_block()
        b.branch(b.compare(op.NE, one, other), differ, following)
        b.at(differ)
        if piece > 1:  # the byte at the lowest address counts most
            one, other = b.bswap(one), b.bswap(other)
        less = b.zext(b.compare(op.ULT, one, other), I32)
        b.store(result, b.sub(b.const(1, I32), b.shl(less, 1)))
        b.jump(out)
        b.at(following)
    b.jump(out)
    b.at(out)
    return b.load(result, I32)


def _pieces(offset: int, size: int) -> list[tuple[int, int]]:
    """Return (offset, size) of aligned pieces that cover a range."""
    found = []
    end = offset + size
    while offset < end:
        piece = 8
        while offset % piece or offset + piece > end:
            piece >>= 1
        found.append((offset, piece))
        offset += piece
    return found
