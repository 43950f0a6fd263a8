"""The types of the bpftrace language, and how they lie in memory.

One class, `Ty`, with a `kind`; ints know size and sign, pointers their pointee and space, tuples their fields.  `from_ctype`
turns what BTF, a tracepoint format or the C preamble says into it, `value_type` turns it into what the runtime decodes by.
The promotion rules (which type two ints meet in) live here too; what an operator does is resolve's business.
"""

from __future__ import annotations

from probee.model import ctype as c
from probee.model.value import CHARACTERS, Field, ValueType

AGGREGATIONS = frozenset(("count", "sum", "min", "max", "avg", "stats", "hist", "lhist", "tseries"))
READABLE = frozenset(("count", "sum", "min", "max", "avg"))  # aggregations whose value can be read as an int
SCALARS = frozenset(("int", "bool", "enum", "pointer"))  # one IR value; everything else lives in memory
WORDS = frozenset(("ksym", "username", "macaddr", "kstack", "named"))  # 8 bytes in memory, made from one number


class TyField:
    """A field of a tuple or record."""

    __slots__ = ("name", "offset", "type")

    def __init__(self, name: str, offset: int, type: Ty) -> None:
        self.name = name
        self.offset = offset
        self.type = type


class Ty:
    """A type.  `size` is in bytes; `target` is the pointee (a CType or a Ty); `ctype` the struct of kind struct.

    `space` of a pointer is "kernel", "user", "context", "stack" or "map"; of a struct it is that of the pointers in it.
    `element` and `count` describe arrays; `fields` tuples and records; `table` enums; `mode` stacks, and strings that C
    declares.  `flexible` is an integer that only non-negative literals have made: it takes the sign of what it meets.
    """

    __slots__ = (
        "count", "ctype", "element", "fields", "flexible", "kind", "mode", "name", "signed", "size", "space", "table", "target",
    )  # fmt: skip

    def __init__(
        self,
        kind: str,
        size: int,
        *,
        signed: bool = False,
        target: c.CType | Ty | None = None,
        space: str = "",
        element: Ty | None = None,
        count: int = 0,
        fields: tuple[TyField, ...] = (),
        ctype: c.StructType | None = None,
        table: dict[int, str] | None = None,
        name: str = "",
        mode: str = "",
        flexible: bool = False,
    ) -> None:
        self.kind = kind
        self.size = size
        self.signed = signed
        self.target = target
        self.space = space
        self.element = element
        self.count = count
        self.fields = fields
        self.ctype = ctype
        self.table = table
        self.name = name
        self.mode = mode
        self.flexible = flexible

    @property
    def is_int(self) -> bool:
        return self.kind in ("int", "enum", "bool")

    @property
    def is_scalar(self) -> bool:
        return self.kind in SCALARS

    @property
    def is_aggregation(self) -> bool:
        return self.kind in AGGREGATIONS

    @property
    def align(self) -> int:
        if self.kind in ("string", "none"):
            return 1
        if self.kind == "buffer":
            return 4
        if self.kind in ("tuple", "record"):
            return max((field.type.align for field in self.fields), default=1)
        if self.kind == "array" and self.element is not None:
            return self.element.align
        if self.kind == "struct" and self.ctype is not None:
            return align_of(self.ctype)
        return min(self.size, 8) or 1

    def __str__(self) -> str:
        return spell(self)

    def __repr__(self) -> str:
        return f"Ty({spell(self)})"

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Ty) and self.size == other.size and spell(self) == spell(other))

    def __hash__(self) -> int:
        return hash(spell(self))


def _int(size: int, *, signed: bool) -> Ty:
    return Ty("int", size, signed=signed)


INT8, INT16, INT32, INT64 = (_int(n, signed=True) for n in (1, 2, 4, 8))
UINT8, UINT16, UINT32, UINT64 = (_int(n, signed=False) for n in (1, 2, 4, 8))
BOOL = Ty("bool", 1)
NONE = Ty("none", 0)
KSYM = Ty("ksym", 8)
USYM = Ty("usym", 16)
INET = Ty("inet", 24)
USERNAME = Ty("username", 8)
MACADDR = Ty("macaddr", 8)
TIMESTAMP = Ty("timestamp", 16)
CGROUP_PATH = Ty("cgroup_path", 16)

_SIGNED = {1: INT8, 2: INT16, 4: INT32, 8: INT64}
_UNSIGNED = {1: UINT8, 2: UINT16, 4: UINT32, 8: UINT64}
_FLEXIBLE = {size: Ty("int", size, signed=True, flexible=True) for size in (1, 2, 4, 8)}

NAMED = {
    "bool": BOOL, "int8": INT8, "int16": INT16, "int32": INT32, "int64": INT64, "uint8": UINT8, "uint16": UINT16,
    "uint32": UINT32, "uint64": UINT64, "void": NONE, "username_t": USERNAME, "timestamp": TIMESTAMP,
    "macaddr_t": MACADDR, "cgroup_path_t": CGROUP_PATH, "inet": INET,
}  # fmt: skip

for _name in ("count", "sum", "min", "max", "avg"):
    NAMED[f"{_name}_t"] = Ty(_name, 8, signed=_name != "count")
    NAMED[f"u{_name}_t"] = Ty(_name, 8)
NAMED["stats_t"], NAMED["ustats_t"] = Ty("stats", 16, signed=True), Ty("stats", 16)

# C's own integer names, for targets without BTF and for the preamble; BTF spells some of them differently
C_INTS = {
    "char": (1, True), "signed char": (1, True), "unsigned char": (1, False), "short": (2, True), "short int": (2, True),
    "unsigned short": (2, False), "short unsigned int": (2, False), "int": (4, True), "unsigned": (4, False),
    "unsigned int": (4, False), "long": (8, True), "long int": (8, True), "unsigned long": (8, False),
    "long unsigned int": (8, False), "long long": (8, True), "long long int": (8, True), "unsigned long long": (8, False),
    "long long unsigned int": (8, False), "size_t": (8, False), "ssize_t": (8, True), "pid_t": (4, True),
    "uintptr_t": (8, False), "intptr_t": (8, True), "uint8_t": (1, False), "int8_t": (1, True), "uint16_t": (2, False),
    "int16_t": (2, True), "uint32_t": (4, False), "int32_t": (4, True), "uint64_t": (8, False), "int64_t": (8, True),
    "u8": (1, False), "s8": (1, True), "u16": (2, False), "s16": (2, True), "u32": (4, False), "s32": (4, True),
    "u64": (8, False), "s64": (8, True), "__u8": (1, False), "__s8": (1, True), "__u16": (2, False), "__s16": (2, True),
    "__u32": (4, False), "__s32": (4, True), "__u64": (8, False), "__s64": (8, True), "__be16": (2, False),
    "__be32": (4, False), "__be64": (8, False), "uid_t": (4, False), "gid_t": (4, False), "dev_t": (4, False),
    "umode_t": (2, False), "loff_t": (8, True), "off_t": (8, True), "gfp_t": (4, False), "sector_t": (8, False),
    "_Bool": (1, False),
}  # fmt: skip


def int_of(size: int, *, signed: bool) -> Ty:
    """Return the integer type of `size` bytes."""
    return (_SIGNED if signed else _UNSIGNED)[size]


def string(size: int) -> Ty:
    """Return string[size], NUL included."""
    return Ty("string", size)


def buffer(size: int) -> Ty:
    """Return buffer[size]: a 4-byte length, then at most `size` bytes."""
    return Ty("buffer", size + 4, count=size)


def pointer_to(target: c.CType | Ty, space: str) -> Ty:
    """Return a pointer into a space."""
    return Ty("pointer", 8, target=target, space=space)


def array_of(element: Ty, count: int) -> Ty:
    """Return element[count]."""
    return Ty("array", element.size * count, element=element, count=count)


def tuple_of(types: list[Ty], names: list[str] | None = None) -> Ty:
    """Return a tuple, or a record when names are given, laid out as C lays out a struct."""
    fields, offset, align = [], 0, 1
    for index, type in enumerate(types):
        step = type.align
        align = max(align, step)
        offset = -(-offset // step) * step
        fields.append(TyField(names[index] if names else str(index), offset, type))
        offset += type.size
    return Ty("record" if names else "tuple", -(-offset // align) * align, fields=tuple(fields))


def align_of(ctype: c.CType) -> int:
    """Return the alignment of a C type in bytes; 1 of a packed struct."""
    bare = c.strip(ctype)
    if isinstance(bare, c.ArrayType):
        return align_of(bare.element)
    if isinstance(bare, c.StructType):
        return _align_of_struct(bare)
    return min(max(bare.size, 1), 16 if isinstance(bare, c.FloatType) else 8)


def _align_of_struct(struct: c.StructType) -> int:
    align = 1
    for member in struct.members:
        own = align_of(member.type)
        if not member.bit_size and member.bit_offset % (own * 8):
            return 1
        align = max(align, own)
    return align if struct.size % align == 0 else 1


def struct_of(ctype: c.StructType, space: str = "") -> Ty:
    """Return the value type of a C struct or union; pointers in it point into `space`."""
    return Ty("struct", ctype.size, ctype=ctype, name=f"{ctype.kind} {ctype.name}", space=space)


def enum_of(ctype: c.EnumType, size: int = 0) -> Ty:
    """Return the type of an enum; its members print by name."""
    table = {value: name for name, value in reversed(ctype.values)}
    return Ty("enum", size or ctype.size or 4, signed=ctype.signed, table=table, name=ctype.name)


def from_ctype(ctype: c.CType, space: str) -> Ty:
    """Return the language's type for a C type found in memory of `space`."""
    typedef = ctype
    ctype = c.strip(ctype)
    if isinstance(ctype, c.IntType):
        if ctype.encoding == "bool" or (isinstance(typedef, c.TypedefType) and typedef.name == "bool"):
            return BOOL
        if ctype.size in _SIGNED:
            return int_of(ctype.size, signed=ctype.signed)
        return array_of(UINT64, ctype.size // 8)
    if isinstance(ctype, c.PointerType):
        return pointer_to(ctype.target, "user" if ctype.tag == "user" else space)
    if isinstance(ctype, c.EnumType):
        return enum_of(ctype)
    if isinstance(ctype, c.StructType):
        return struct_of(ctype, space)
    if isinstance(ctype, c.ArrayType):
        element = c.strip(ctype.element)
        if isinstance(element, c.IntType) and element.size == 1 and element.name == "char":
            return Ty("string", ctype.count, mode=CHARACTERS)
        return array_of(from_ctype(ctype.element, space), ctype.count) if not isinstance(element, c.FloatType) else NONE
    return NONE


def pointee(type: Ty) -> Ty:
    """Return what a pointer type points to."""
    if isinstance(type.target, Ty):
        return type.target
    return from_ctype(type.target, type.space) if type.target is not None else NONE


def spell(type: Ty) -> str:
    """Return the name that messages use, as upstream spells types."""
    kind = type.kind
    if kind == "int":
        return f"{'' if type.signed else 'u'}int{type.size * 8}"
    if kind == "pointer":
        name = target_name(type)
        return f"{name} *" if not name.endswith("*") else f"{name}*"
    if kind == "array":
        return f"{type.element}[{type.count}]"
    if kind == "string":
        return f"string[{type.size}]"
    if kind == "buffer":
        return f"buffer[{type.count}]"
    if kind == "tuple":
        return "(" + ",".join(spell(field.type) for field in type.fields) + ")"
    if kind == "record":
        return "record { " + ", ".join(f".{f.name} = {spell(f.type)}" for f in type.fields) + " }"
    if kind == "struct":
        return type.name
    if kind == "enum":
        return f"enum {type.name}"
    if kind in ("kstack", "ustack"):
        return f"{kind}_{type.mode}_{type.count}"
    if kind in ("ksym", "usym"):
        return f"{kind}_t"
    if kind == "named":
        return f"text of {type.name}()"
    if kind in AGGREGATIONS:
        prefix = "" if type.signed or kind not in ("sum", "min", "max", "avg", "stats") else "u"
        return f"{prefix}{kind}_t"
    return {"username": "username_t", "macaddr": "macaddr_t", "none": "void"}.get(kind, kind)


def target_name(type: Ty) -> str:
    """Return how messages name what a pointer points to."""
    return spell(type.target) if isinstance(type.target, Ty) else c_name(type.target)


def c_name(ctype: c.CType | None) -> str:
    """Return how messages name a C type."""
    if ctype is None:
        return "void"
    bare = c.strip(ctype)
    if isinstance(bare, c.StructType):
        return f"{bare.kind} {bare.name}"
    if isinstance(bare, c.IntType):
        return spell(from_ctype(bare, "kernel"))
    return ctype.spelling()


def value_type(type: Ty) -> ValueType:
    """Return what the runtime decodes a stored value of this type by."""
    kind = type.kind
    if kind in ("tuple", "record"):
        fields = tuple(Field(f.name if kind == "record" else "", f.offset, value_type(f.type)) for f in type.fields)
        return ValueType(kind, type.size, fields=fields)
    if kind == "array":
        assert type.element is not None
        return ValueType("array", type.size, element=value_type(type.element), count=type.count)
    if kind == "struct":
        assert type.ctype is not None
        return _struct_value(type.ctype)
    if kind in ("enum", "named"):
        return ValueType("enum", type.size, signed=type.signed, table=type.table, name=type.name, mode=type.mode)
    if kind in ("kstack", "ustack"):
        return ValueType(kind, type.size, mode=type.mode, count=type.count)
    if kind == "cgroup_path":
        return ValueType("cgroup", type.size)
    if kind == "string":
        return ValueType("string", type.size, mode=type.mode)
    if kind in AGGREGATIONS:
        return ValueType(kind, type.size, signed=type.signed)
    return ValueType(kind, type.size, signed=type.signed)


def _struct_value(ctype: c.StructType, depth: int = 0) -> ValueType:
    """Return a record for a C struct's value; anonymous members count as the outer one's."""
    fields: list[Field] = []

    def add(struct: c.StructType, base: int) -> None:
        for member in struct.members:
            bit = base * 8 + member.bit_offset
            inner = c.strip(member.type)
            if not member.name and isinstance(inner, c.StructType):
                add(inner, bit // 8)
            elif member.name:
                if isinstance(inner, c.StructType):
                    type = _struct_value(inner, depth + 1) if depth < 8 else ValueType("none", 0)
                else:
                    type = value_type(from_ctype(member.type, "kernel"))
                if member.bit_size:
                    type.signed = False  # as place.load_bits reads it
                    start = bit // 8 // type.size * type.size if type.size else bit // 8
                    fields.append(Field(member.name, start, type, bit_offset=bit - start * 8, bit_size=member.bit_size))
                else:
                    fields.append(Field(member.name, bit // 8, type))

    add(ctype, 0)
    return ValueType("record", ctype.size, fields=tuple(fields), name=f"{ctype.kind} {ctype.name}")


# -- promotion (reference §4.4)


def literal_type(value: int, *, unsigned: bool = False) -> Ty:
    """Return the smallest signed type that holds an integer literal; uint64 above int64's range or with a `u` suffix."""
    if unsigned:
        return next(int_of(size, signed=False) for size in (1, 2, 4, 8) if value < 1 << (8 * size))
    for size in (1, 2, 4, 8):
        if -(1 << (8 * size - 1)) <= value < 1 << (8 * size - 1):
            return _FLEXIBLE[size] if value >= 0 else int_of(size, signed=True)
    return UINT64


def promote(left: Ty, right: Ty) -> Ty:
    """Return the type that two integer types meet in."""
    if left.kind == "bool" and right.kind == "bool":
        return BOOL
    size = max(left.size, right.size)
    if left.flexible and right.flexible:
        return _FLEXIBLE[size]
    if left.flexible or right.flexible or left.signed == right.signed:
        return int_of(size, signed=meeting_sign(left, right))
    signed, unsigned = (left, right) if left.signed else (right, left)
    if signed.size > unsigned.size:
        return int_of(signed.size, signed=True)
    return int_of(min(8, unsigned.size * 2), signed=True)


def meeting_sign(left: Ty, right: Ty) -> bool:
    """Say whether an operation on two integer types is signed."""
    if left.flexible != right.flexible:
        return (right if left.flexible else left).signed
    return left.signed or right.signed


def identical(one: Ty, other: Ty) -> bool:
    """Say whether two types are equal, flexibility of integers included."""
    if one is other:
        return True
    if one != other or one.flexible != other.flexible:
        return False
    return all(identical(a.type, z.type) for a, z in zip(one.fields, other.fields, strict=True))


def settled(type: Ty) -> Ty:
    """Return an integer type as it is when nothing can bend its sign any more."""
    return int_of(type.size, signed=type.signed) if type.flexible else type


def fits(value: int, type: Ty) -> bool:
    """Say whether an integer value can be stored in an integer type unchanged."""
    bits = type.size * 8
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if type.signed else (0, (1 << bits) - 1)
    return low <= value <= high
