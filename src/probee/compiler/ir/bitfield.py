"""Bit fields for front ends: members that begin at a bit, as loads, shifts and masks of the bytes around them.

Bits are counted from the lowest of the first byte, as C and BTF do on little-endian machines.  A store reads and
writes the bytes around, so that neighbours keep their values; kernel and user memory and the context are only read.
"""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.ir.build import MASKS, Builder
from probee.compiler.ir.type import I64, Type, int_type
from probee.compiler.ir.unit import Value

Load = Callable[[Value, Type, int], Value]
_WHOLE = 64


def load_bits(b: Builder, base: Value, bit: int, width: int, *, signed: bool, load: Load | None = None) -> Value:
    """Return a field of `width` (1 to 64) bits at `bit` from `base` as an i64.

    `load` is b.load_context or b.load_trusted for such pointers.
    """
    load = load or b.load
    total: Value | None = None
    for offset, size, low in _units(bit, width):
        part = b.zext(load(base, int_type(size), offset), I64)
        part = b.lshr(part, -low) if low < 0 else b.shl(part, low)
        total = part if total is None else b.or_(total, part)
    assert total is not None
    if width == _WHOLE:
        return total
    up = b.shl(total, _WHOLE - width)
    return b.ashr(up, _WHOLE - width) if signed else b.and_(total, (1 << width) - 1)


def store_bits(b: Builder, base: Value, bit: int, width: int, value: Value) -> None:
    """Set a field of memory that plain instructions reach to the low bits of an i64."""
    for offset, size, low in _units(bit, width):
        type = int_type(size)
        mask = ((1 << width) - 1 << -low if low < 0 else (1 << width) - 1 >> low) & MASKS[type.bits]
        part = b.shl(value, -low) if low < 0 else b.lshr(value, low)
        kept = b.and_(b.load(base, type, offset), ~mask & MASKS[type.bits])
        b.store(base, b.or_(kept, b.and_(b.trunc(part, type), mask)), offset)


def _units(bit: int, width: int) -> list[tuple[int, int, int]]:
    """Return (byte offset, size, the field's bit that the unit's lowest bit is) of the aligned loads that cover the field.

    One where an aligned unit holds all of it, else two: a packed field may lie across.
    """
    for size in (1, 2, 4, 8):
        offset = bit // 8 // size * size
        if bit + width <= (offset + size) * 8:
            return [(offset, size, offset * 8 - bit)]
    first = bit // 8
    rest = -(-(bit + width) // 8) - first
    found = []
    for size in (8, 4, 2, 1):
        if rest >= size:
            found.append((first, size, first * 8 - bit))
            first, rest = first + size, rest - size
    return found
