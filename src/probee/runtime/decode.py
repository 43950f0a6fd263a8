"""From bytes to values by ValueType: record fields, map keys, map values.

A layout is compiled once into one struct format plus a converter for each field that is not a plain number; the decoded
forms are those of the table in model/value.py.  What needs the running machine (symbols, users, times) is asked of a Resolver.
"""

from __future__ import annotations

from struct import Struct

from probee.model.value import Field, ValueType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from probee.runtime.resolve import Resolver

    Converter = Callable[[Any], Any]
    Decode = Callable[[bytes, int], tuple[Any, ...]]

_UNSIGNED = {1: "B", 2: "H", 4: "I", 8: "Q"}
_SIGNED = {1: "b", 2: "h", 4: "i", 8: "q"}
_NUMBERS = ("int", "enum", "pointer", "count", "sum", "min", "max", "avg")
AF_INET, AF_INET6 = 2, 10


class Layout:
    """Fields at fixed offsets: `unpack(data, offset)` gives raw items, `converters[i]` makes item i a value (None: it is one).

    `size` is where the last field ends.
    """

    __slots__ = ("converters", "size", "unpack")

    def __init__(self, fields: Sequence[tuple[int, ValueType]], resolver: Resolver) -> None:
        codes, end, overlap = ["<"], 0, False
        for offset, type in fields:
            overlap = overlap or offset < end
            codes.append(f"{max(offset - end, 0)}x{raw_code(type)}")
            end = max(end, offset + type.size)
        self.size = end
        self.converters = [converter(type, resolver) for _, type in fields]
        self.unpack: Decode = _scattered(fields) if overlap else Struct("".join(codes)).unpack_from

    def decoder(self) -> Decode:
        """Return a function from (data, offset) to the tuple of values."""
        unpack = self.unpack
        needed = [(index, convert) for index, convert in enumerate(self.converters) if convert is not None]
        if not needed:
            return unpack
        if len(needed) == len(self.converters) == 1:
            only = needed[0][1]
            return lambda data, offset: (only(unpack(data, offset)[0]),)

        def decode(data: bytes, offset: int) -> tuple[Any, ...]:
            items = list(unpack(data, offset))
            for index, convert in needed:
                items[index] = convert(items[index])
            return tuple(items)

        return decode


def _scattered(fields: Sequence[tuple[int, ValueType]]) -> Decode:
    """Fields that overlap (unions, bit fields) are unpacked one by one."""
    parts = [(offset, Struct("<" + raw_code(type)).unpack_from) for offset, type in fields]
    return lambda data, offset: tuple([unpack(data, offset + at)[0] for at, unpack in parts])


def record_decoder(
    fields: Sequence[tuple[int, ValueType]], size: int, resolver: Resolver
) -> Callable[[bytes, int, int], tuple[Any, ...]]:
    """Return a function from (data, offset, length) of a record to its fields; one of varying size (0) is padded first."""
    layout = Layout(fields, resolver)
    decode, needed = layout.decoder(), layout.size
    if size >= needed:
        return lambda data, offset, length: decode(data, offset)
    return lambda data, offset, length: decode(data[offset : offset + length].ljust(needed, b"\0"), 0)


def value_decoder(type: ValueType, resolver: Resolver) -> Callable[[bytes], Any]:
    """Return a function from the bytes of one value (padding may follow) to the value."""
    decode = Layout([(0, type)], resolver).decoder()
    return lambda data: decode(data, 0)[0]


def raw_code(type: ValueType) -> str:
    """Return the struct code that takes the field out of its surroundings."""
    if type.kind in _NUMBERS and type.size in _UNSIGNED:
        return (_SIGNED if type.signed else _UNSIGNED)[type.size]
    if type.kind == "bool" and type.size in _UNSIGNED:
        return _UNSIGNED[type.size]
    if type.kind in ("ksym", "username") and type.size == 8:
        return "Q"
    return f"{type.size}s"


def converter(type: ValueType, resolver: Resolver) -> Converter | None:
    """Return what makes a raw item of the type a value, None when it is one already."""
    kind = type.kind
    if kind in _NUMBERS:
        signed = type.signed
        return None if type.size in _UNSIGNED else lambda raw: int.from_bytes(raw, "little", signed=signed)
    if kind == "string":
        return lambda raw: raw.partition(b"\0")[0]
    simple = _PURE.get(kind)
    if simple is not None:
        return simple
    if kind in ("tuple", "record"):
        return _composite(type, resolver)
    if kind == "array":
        return _array(type, resolver)
    return _resolved(type, resolver)


def _buffer(raw: bytes) -> bytes:
    return raw[4 : 4 + int.from_bytes(raw[:4], "little")]


def _inet(raw: bytes) -> str:
    from _socket import inet_ntop

    family = int.from_bytes(raw[:8], "little")
    return inet_ntop(AF_INET, raw[8:12]) if family == AF_INET else inet_ntop(AF_INET6, raw[8:24])


def _stats(raw: bytes) -> dict[str, int]:
    total, count = int.from_bytes(raw[:8], "little", signed=True), int.from_bytes(raw[8:16], "little")
    return {"count": count, "average": quotient(total, count), "total": total}


def quotient(total: int, count: int) -> int:
    """Divide as C does, toward zero; 0 when there is nothing to divide by."""
    if not count:
        return 0
    return total // count if total >= 0 else -(-total // count)


_PURE: dict[str, Converter] = {
    "bool": lambda raw: raw != 0 if isinstance(raw, int) else any(raw),
    "buffer": _buffer,
    "macaddr": lambda raw: raw[:6].hex(":").upper(),
    "inet": _inet,
    "none": lambda raw: None,
    "stats": _stats,
}


def _composite(type: ValueType, resolver: Resolver) -> Converter:
    decode = Layout([(field.offset, field.type) for field in type.fields], resolver).decoder()
    if type.kind == "tuple":
        return lambda raw: decode(raw, 0)
    names = [field.name for field in type.fields]
    bit_fields = [(field.name, _bit_field(field)) for field in type.fields if field.bit_size]
    if not bit_fields:
        return lambda raw: dict(zip(names, decode(raw, 0), strict=False))

    def record(raw: bytes) -> dict[str, Any]:
        values = dict(zip(names, decode(raw, 0), strict=False))
        for name, cut in bit_fields:
            values[name] = cut(values[name])
        return values

    return record


def _bit_field(field: Field) -> Converter:
    shift, mask = field.bit_offset, (1 << field.bit_size) - 1
    sign = 1 << field.bit_size - 1 if field.type.signed else 0
    return lambda value: ((value >> shift & mask) ^ sign) - sign


def _array(type: ValueType, resolver: Resolver) -> Converter:
    element, count = type.element, type.count
    if element is None:
        return list
    decode = Layout([(index * element.size, element) for index in range(count)], resolver).decoder()
    return lambda raw: list(decode(raw, 0))


def _resolved(type: ValueType, resolver: Resolver) -> Converter:
    """Kinds that only the running machine can make readable."""
    kind = type.kind
    if kind == "ksym":
        ksym: Converter = resolver.ksym
        return ksym
    if kind == "username":
        username: Converter = resolver.username
        return username
    pair = Struct("<QII").unpack
    if kind == "usym":
        return lambda raw: resolver.usym(*pair(raw)[:2])
    if kind == "timestamp":
        return lambda raw: resolver.timestamp(*pair(raw))
    if kind == "cgroup":
        return lambda raw: resolver.cgroup_path(*Struct("<QQ").unpack(raw))
    if kind == "kstack":
        return lambda raw: resolver.kstack(type, int.from_bytes(raw[:8], "little", signed=True))
    if kind == "ustack":
        return lambda raw: resolver.ustack(type, *Struct("<qII").unpack(raw)[:2])
    return lambda raw: raw
