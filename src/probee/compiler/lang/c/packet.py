"""Packets by offset, the way of cursor_advance() and load_byte(): bits of the packet that the context describes.

A header's fields are counted from the first, highest, bit of its first byte, as protocols draw them.  What is outside the
packet ends the program with 0, as the old packet instructions do.
"""

from __future__ import annotations

from probee.compiler.ir.packet import load_packet
from probee.compiler.ir.type import I64, int_type
from probee.compiler.ir.unit import Value
from probee.compiler.lang.c import convert
from probee.compiler.lang.c.lower import Lowerer
from probee.compiler.lang.c.value import Operand, Place
from probee.errors import Unsupported
from probee.model.ctype import size_of, strip


def load_header(low: Lowerer, place: Place) -> Operand:
    """Return a field of a packet header."""
    first, count = place.bits or (0, size_of(place.type) * 8)
    offset = low.b.add(place.base, place.offset)
    value = load_bits(low, offset, first, count)
    return Operand(place.type, low.b.resize(value, int_type(strip(place.type).size), signed=False))


def store_header(low: Lowerer, place: Place, operand: Operand) -> None:
    """Change a field of a packet header; checksums are the program's business."""
    first, count = place.bits or (0, size_of(place.type) * 8)
    store_bits(low, low.b.add(place.base, place.offset), first, count, convert.wide(low, operand))


def load_bits(low: Lowerer, offset: Value, first: int, count: int) -> Value:
    """Return `count` bits from bit `first` of the byte at `offset`, as an i64."""
    size = _size(first + count)
    word = load_big_endian(low, offset, size)
    shift = size * 8 - first - count
    if shift:
        word = low.b.lshr(word, shift)
    return word if first == 0 and count == size * 8 else low.b.and_(word, (1 << count) - 1)


def load_big_endian(low: Lowerer, offset: Value, size: int) -> Value:
    """Return a number of the packet as an i64."""
    value = load_packet(low.b, low.context, offset, int_type(size))
    return low.b.resize(value, I64, signed=False)


def store_bits(low: Lowerer, offset: Value, first: int, count: int, value: Value) -> None:
    """Replace bits of the packet."""
    b, size = low.b, _size(first + count)
    shift = size * 8 - first - count
    mask = ((1 << count) - 1) << shift
    word = b.and_(b.shl(value, shift), mask)
    if mask != (1 << size * 8) - 1:
        word = b.or_(word, b.and_(load_big_endian(low, offset, size), ~mask & ((1 << size * 8) - 1)))
    narrow = b.resize(word, int_type(size), signed=False)
    slot = b.alloca(8, 8, "packet")
    b.store(slot, b.bswap(narrow) if size > 1 else narrow)
    b.helper("skb_store_bytes", low.context, offset, slot, b.const(size), b.const(0))


def _size(bits: int) -> int:
    for size in (1, 2, 4, 8):
        if bits <= size * 8:
            return size
    raise Unsupported("a field of a packet that spans more than 8 bytes", 0)
