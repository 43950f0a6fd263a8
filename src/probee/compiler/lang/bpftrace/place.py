"""Places: typed memory that lowering reads and writes.  What is not a scalar lives in one.

Strings longer than LONG bytes are only defined up to their NUL; everything shorter, and every other type, is defined to its
last byte, so that it can be copied whole and serve in a map's key.  `copy` knows the difference.
"""

from __future__ import annotations

from probee.compiler.ir.build import Builder
from probee.compiler.ir.type import I8, I64, int_type
from probee.compiler.ir.unit import FieldAccess, Value
from probee.compiler.lang.bpftrace.type import Ty
from probee.model import ctype as c

LONG = 64
CUT = 1024  # strings of at least so many bytes end with a NUL even when they were cut


class Place:
    """`offset` bytes from `base`; `root` and `path` say which kernel field it is, for relocations."""

    __slots__ = ("base", "offset", "path", "root", "type")

    def __init__(self, base: Value, offset: int, type: Ty, root: str = "", path: str = "") -> None:
        self.base = base
        self.offset = offset
        self.type = type
        self.root = root
        self.path = path

    @property
    def space(self) -> str:
        return self.base.type.space

    def at(self, offset: int, type: Ty) -> Place:
        """Return a part of this place."""
        return Place(self.base, self.offset + offset, type)

    def member(self, path: tuple[c.Member, ...], type: Ty) -> Place:
        """Return a member of the struct that lies here."""
        names = ".".join(member.name for member in path if member.name)
        struct = self.type.ctype
        root = self.root or (f"{struct.kind} {struct.name}" if struct is not None and struct.name else "")
        names = f"{self.path}.{names}" if self.root and self.path else names
        return Place(self.base, self.offset + sum(m.bit_offset for m in path) // 8, type, root, names)

    @property
    def field(self) -> FieldAccess | None:
        return FieldAccess(self.root, self.path) if self.root and self.space in ("kernel", "trusted") else None


def alloca(b: Builder, type: Ty, name: str = "") -> Place:
    """Return new memory in the frame for a value of this type."""
    return Place(b.alloca(-(-max(type.size, 1) // 8) * 8, 8, name), 0, type)


def address(b: Builder, place: Place) -> Value:
    """Return the pointer to a place."""
    return b.offset(place.base, place.offset)


def load(b: Builder, place: Place) -> Value:
    """Return the scalar at a place: an i64 extended by its sign, or a pointer."""
    type = place.type
    size = type.size if type.kind != "pointer" else 8
    raw = _load(b, place, size)
    if type.kind == "pointer":
        return b.pointer(raw, type.space if type.space in ("kernel", "user") else "kernel")
    return b.resize(raw, I64, signed=type.signed)


def _load(b: Builder, place: Place, size: int) -> Value:
    if place.space == "context":
        return b.load_context(place.base, int_type(size), place.offset)
    return b.load(place.base, int_type(size), place.offset, field=place.field)


def load_bits(b: Builder, place: Place, member: c.Member, bit: int) -> Value:
    """Return a bit field: `bit` is where it starts, counted from the start of the place's base struct.

    It is extended by zeros whatever its type, as in bpftrace.
    """
    size, start = 8, bit // 8
    for candidate in (1, 2, 4, 8):
        first = bit // (candidate * 8) * candidate
        if bit + member.bit_size <= (first + candidate) * 8:
            size, start = candidate, first
            break
    shift = bit - start * 8
    raw = b.zext(_load(b, Place(place.base, place.offset + start, place.type, place.root, place.path), size), I64)
    return b.lshr(b.shl(raw, 64 - shift - member.bit_size), 64 - member.bit_size)


def store(b: Builder, place: Place, value: Value) -> None:
    """Store a scalar, truncated to the place's size."""
    if value.type.is_pointer:
        value = b.address(value)
    b.store(place.base, b.resize(value, int_type(place.type.size), signed=False), place.offset)


def zero(b: Builder, place: Place, start: int = 0) -> None:
    """Fill a place with zero bytes, from byte `start` on."""
    b.zero(place.base, place.type.size - start, place.offset + start)


def has_gaps(type: Ty) -> bool:
    """True when a tuple has padding, or anything in it that writers leave partly undefined."""
    end = 0
    for field in type.fields:
        if field.offset != end or field.type.kind in ("string", "buffer", "inet") or has_gaps(field.type):
            return True
        end = field.offset + field.type.size
    return bool(type.fields) and end != type.size


def is_long(type: Ty) -> bool:
    """True for what is only defined up to a NUL, and for what contains such."""
    if type.kind == "string":
        return type.size > LONG
    return type.kind == "buffer" or any(is_long(field.type) for field in type.fields)


def copy(b: Builder, to: Place, source: Place, *, padded: bool) -> None:
    """Copy a value, converting to the type of `to` where sizes differ; `padded` asks for every byte to be defined."""
    source = readable(b, source)
    if to.type.kind in ("tuple", "record") and (is_long(to.type) or to.type != source.type):
        _copy_fields(b, to, source, padded=padded)
    elif to.type.is_scalar:
        store(b, to, load(b, source))
    elif to.type.kind == "string":
        copy_string(b, to, source, padded=padded)
    else:
        size = min(to.type.size, source.type.size)
        if size < to.type.size:
            zero(b, to, size)
        b.copy(to.base, source.base, size, to_offset=to.offset, from_offset=source.offset)


def readable(b: Builder, source: Place) -> Place:
    """Return a place that can be copied from: the program's context is kernel memory."""
    if source.space != "context" or source.type.is_scalar:
        return source
    return Place(b.pointer(b.add(b.address(source.base), source.offset), "kernel"), 0, source.type)


def _copy_fields(b: Builder, to: Place, source: Place, *, padded: bool) -> None:
    if padded and has_gaps(to.type):
        zero(b, to)
    for index, field in enumerate(to.type.fields):
        if to.type.kind == "record":
            other = next(f for f in source.type.fields if f.name == field.name)
        else:
            other = source.type.fields[index]
        copy(b, to.at(field.offset, field.type), source.at(other.offset, other.type), padded=False)


def copy_string(b: Builder, to: Place, source: Place, *, padded: bool) -> None:
    """Copy a string: whole when it is short and lies in memory of ours, up to its NUL otherwise."""
    size = min(to.type.size, source.type.size)
    ours = source.space not in ("kernel", "user")
    if source.type.size <= LONG and ours:
        b.copy(to.base, source.base, size, to_offset=to.offset, from_offset=source.offset)
        if size < to.type.size and (padded or to.type.size <= LONG):
            zero(b, to, size)
        if size == to.type.size and size < source.type.size:
            b.store(to.base, b.const(0, I8), to.offset + size - 1)
        return
    if padded or to.type.size <= LONG:
        zero(b, to)
    result = read_string(b, to, size, address(b, source), source.space)
    if 0 < source.type.size < CUT and to.type.size >= source.type.size:
        _copy_last(b, to, source, result)


def _copy_last(b: Builder, to: Place, source: Place, result: Value) -> None:
    """A string that fills its memory without a NUL, by its declaration or because it was cut: keep it so."""
    size = source.type.size
    full, end = b.new_block(), b.new_block()
    b.branch(b.compare("eq", result, size), full, end)
    b.at(full)
    b.store(to.base, b.load(source.base, I8, source.offset + size - 1), to.offset + size - 1)
    if to.type.size > size:
        b.store(to.base, b.const(0, I8), to.offset + size)
    b.jump(end)
    b.at(end)


def read_string(b: Builder, to: Place, size: int | Value, pointer: Value, space: str) -> Value:
    """Read a NUL-terminated string of at most `size` bytes (NUL included); returns the helper's result."""
    helper = "probe_read_user_str" if space == "user" else "probe_read_kernel_str"
    amount = b.const(size) if isinstance(size, int) else size
    return b.helper(helper, address(b, to), amount, pointer)
