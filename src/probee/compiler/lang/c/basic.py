"""Types that are there without any header: the integer types of C, and the typedefs that every kernel program uses.

BTF's typedefs come first; these are for targets without BTF, and for names that no kernel structure uses.
"""

from __future__ import annotations

from probee.model.ctype import VOID, CType, FloatType, IntType, PointerType, TypedefType
from probee.model.target import Target

BOOL = IntType("_Bool", 1, signed=False, encoding="bool")
CHAR = IntType("char", 1, signed=True, encoding="char")
SIGNED_CHAR = IntType("signed char", 1, signed=True, encoding="char")
UNSIGNED_CHAR = IntType("unsigned char", 1, signed=False, encoding="char")
SHORT = IntType("short", 2, signed=True)
UNSIGNED_SHORT = IntType("unsigned short", 2, signed=False)
INT = IntType("int", 4, signed=True)
UNSIGNED_INT = IntType("unsigned int", 4, signed=False)
LONG = IntType("long", 8, signed=True)
UNSIGNED_LONG = IntType("unsigned long", 8, signed=False)
LONG_LONG = IntType("long long", 8, signed=True)
UNSIGNED_LONG_LONG = IntType("unsigned long long", 8, signed=False)
INT128 = IntType("__int128", 16, signed=True)
UNSIGNED_INT128 = IntType("unsigned __int128", 16, signed=False)
FLOAT = FloatType("float", 4)
DOUBLE = FloatType("double", 8)
LONG_DOUBLE = FloatType("long double", 16)

# (words other than signedness and "int", sorted; signedness) → type
_SPELLED: dict[tuple[tuple[str, ...], str], CType] = {
    ((), ""): INT, ((), "signed"): INT, ((), "unsigned"): UNSIGNED_INT,
    (("char",), ""): CHAR, (("char",), "signed"): SIGNED_CHAR, (("char",), "unsigned"): UNSIGNED_CHAR,
    (("short",), ""): SHORT, (("short",), "signed"): SHORT, (("short",), "unsigned"): UNSIGNED_SHORT,
    (("long",), ""): LONG, (("long",), "signed"): LONG, (("long",), "unsigned"): UNSIGNED_LONG,
    (("long", "long"), ""): LONG_LONG, (("long", "long"), "signed"): LONG_LONG,
    (("long", "long"), "unsigned"): UNSIGNED_LONG_LONG,
    (("__int128",), ""): INT128, (("__int128",), "signed"): INT128, (("__int128",), "unsigned"): UNSIGNED_INT128,
    (("_Bool",), ""): BOOL, (("bool",), ""): BOOL, (("void",), ""): VOID,
    (("float",), ""): FLOAT, (("double",), ""): DOUBLE, (("double", "long"), ""): LONG_DOUBLE,
}  # fmt: skip


def spelled(names: list[str]) -> CType | None:
    """Return the built-in type that words like `unsigned long int` spell; None when they spell none."""
    if not names:
        return None
    sign = "unsigned" if "unsigned" in names else "signed" if "signed" in names else ""
    rest = tuple(sorted(name for name in names if name not in ("signed", "unsigned", "int")))
    if names.count("int") > 1 or names.count("unsigned") + names.count("signed") > 1:
        return None
    if "int" in names and rest not in ((), ("short",), ("long",), ("long", "long")):
        return None
    return _SPELLED.get((rest, sign))


_TYPEDEFS: dict[str, CType | str] = {
    "__u8": UNSIGNED_CHAR, "__s8": SIGNED_CHAR, "__u16": UNSIGNED_SHORT, "__s16": SHORT, "__u32": UNSIGNED_INT, "__s32": INT,
    "__u64": UNSIGNED_LONG_LONG, "__s64": LONG_LONG,
    "u8": "__u8", "s8": "__s8", "u16": "__u16", "s16": "__s16", "u32": "__u32", "s32": "__s32", "u64": "__u64", "s64": "__s64",
    "uint8_t": "__u8", "int8_t": "__s8", "uint16_t": "__u16", "int16_t": "__s16", "uint32_t": "__u32", "int32_t": "__s32",
    "uint64_t": "__u64", "int64_t": "__s64", "u_int8_t": "__u8", "u_int16_t": "__u16", "u_int32_t": "__u32",
    "u_int64_t": "__u64", "__be16": "__u16", "__be32": "__u32", "__be64": "__u64", "__le16": "__u16", "__le32": "__u32",
    "__le64": "__u64", "__sum16": "__u16", "__wsum": "__u32", "uint": UNSIGNED_INT, "ushort": UNSIGNED_SHORT,
    "ulong": UNSIGNED_LONG, "u_char": UNSIGNED_CHAR, "u_short": UNSIGNED_SHORT, "u_int": UNSIGNED_INT, "u_long": UNSIGNED_LONG,
    "unchar": UNSIGNED_CHAR, "size_t": UNSIGNED_LONG, "ssize_t": LONG, "uintptr_t": UNSIGNED_LONG, "intptr_t": LONG,
    "ptrdiff_t": LONG, "off_t": LONG, "loff_t": LONG_LONG, "pid_t": INT, "uid_t": UNSIGNED_INT, "gid_t": UNSIGNED_INT,
    "mode_t": UNSIGNED_INT, "umode_t": UNSIGNED_SHORT, "dev_t": UNSIGNED_INT, "ino_t": UNSIGNED_LONG, "time_t": LONG,
    "time64_t": LONG_LONG, "clock_t": LONG, "key_t": INT, "sector_t": UNSIGNED_LONG_LONG, "blkcnt_t": UNSIGNED_LONG_LONG,
    "gfp_t": UNSIGNED_INT, "fmode_t": UNSIGNED_INT, "phys_addr_t": UNSIGNED_LONG_LONG, "resource_size_t": UNSIGNED_LONG_LONG,
    "ktime_t": LONG_LONG, "sa_family_t": UNSIGNED_SHORT, "socklen_t": UNSIGNED_INT, "in_addr_t": UNSIGNED_INT,
    "in_port_t": UNSIGNED_SHORT, "suseconds_t": LONG, "useconds_t": UNSIGNED_INT, "clockid_t": INT, "timer_t": INT,
    "cycles_t": UNSIGNED_LONG_LONG, "pgoff_t": UNSIGNED_LONG, "wchar_t": INT, "va_list": PointerType(VOID),
}  # fmt: skip


def typedef(name: str, target: Target) -> CType | None:
    """Return a typedef that programs expect to be there; None when there is none of that name."""
    found = _TYPEDEFS.get(name)
    if found is None:
        return None
    if isinstance(found, str):
        inner = target.type_named("typedef", found) or typedef(found, target)
        assert inner is not None
        return TypedefType(name, inner)
    return TypedefType(name, found)


def is_typedef(name: str) -> bool:
    """Return whether a name is a typedef wherever a program runs."""
    return name in _TYPEDEFS


def names() -> list[str]:
    """Return the typedefs that are always there."""
    return sorted(_TYPEDEFS)
