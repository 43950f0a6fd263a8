"""bcc.disassembler: instructions and the layout of tables as text, in bcc's notation.

formats/insn/disassemble.py writes the kernel's notation, which is younger.
"""

from __future__ import annotations

import ctypes as ct
from struct import iter_unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_OPERATORS = ("+=", "-=", "*=", "/=", "|=", "&=", "<<=", ">>=", "= ~", "%=", "^=", "=", "s>>=", "endian")
_BITWISE = (4, 5, 10)  # whose constants are shown in hexadecimal
_JUMPS = {1: "==", 2: ">", 3: ">=", 4: "&", 5: "!=", 6: "s>", 7: "s>=", 10: "<", 11: "<=", 12: "s<", 13: "s<="}
_BITS = {0: 32, 1: 16, 2: 8, 3: 64}
_LDDW = 0x18
_SHOWN_WITH_CONSTANT = 0xDD  # jsle with a register: bcc's listing, which this mirrors, shows the constant there


def disassemble_prog(func_name: bytes, bpfstr: bytes) -> str:
    """Return a program's listing under a heading."""
    return "\n".join([f"Disassemble of BPF program {func_name!r}:", *disassemble_str(bpfstr)])


def disassemble_str(bpfstr: bytes) -> list[str]:
    """Return a line for each instruction slot."""
    slots = [*iter_unpack("=BBhi", bpfstr)]
    lines = []
    for number, slot in enumerate(slots):
        if number and slots[number - 1][0] == _LDDW and slot[0] == 0:
            lines.append(f"{number:4d}:      (64-bit upper word)")
        else:
            following = slots[number + 1] if number + 1 < len(slots) else None
            lines.append(f"{number:4d}: ({slot[0]:02x}) {_text(number, slot, following)}")
    return lines


def _text(number: int, slot: tuple[int, ...], following: tuple[int, ...] | None) -> str:
    code, registers, offset, immediate = slot
    target, source = registers & 15, registers >> 4
    kind, operation = code & 7, code >> 4
    if code == _LDDW:
        return _wide(target, source, immediate, following[3] if following else 0)
    if kind == 0:
        size = _BITS[code >> 3 & 3]
        inside = f"{immediate}" if code >> 5 == 1 else f"r{source} {immediate:+d}"
        return f"r0 = *(u{size}*)skb[{inside}]"
    if kind in (4, 7) and operation < len(_OPERATORS):
        return _arithmetic(code, target, source, immediate)
    if kind == 5:
        return _jump(number, slot)
    size = _BITS[code >> 3 & 3]
    if kind == 1 and code >> 5 == 3:
        return f"r{target} = *(u{size}*)(r{source} {offset:+d})"
    if kind in (2, 3) and code >> 5 == 3:
        return f"*(u{size}*)(r{target} {offset:+d}) = {f'r{source}' if kind == 3 else immediate}"
    return f"unknown <0x{code:x}>"


def _arithmetic(code: int, target: int, source: int, immediate: int) -> str:
    operation = code >> 4
    operator = _OPERATORS[operation]
    if operation == 8:
        return f"r{target} {operator} (u{32 if code & 7 == 4 else 64})r{target}"
    if code & 8:
        return f"r{target} {operator} r{source}"
    constant = f"0x{immediate & 0xFFFFFFFF:x}" if operation in _BITWISE else str(immediate)
    return f"r{target} {operator} {constant}"


def _jump(number: int, slot: tuple[int, ...]) -> str:
    code, registers, offset, immediate = slot
    target, source = registers & 15, registers >> 4
    operation = code >> 4
    where = f"{offset:+d} <{number + offset + 1}>"
    if operation == 0:
        return f"goto {where}"
    if operation == 8:
        return f"call {immediate:+d}" if source == 1 else _call(immediate)
    if operation == 9:
        return "exit"
    if operation not in _JUMPS:
        return f"unknown <0x{code:x}>"
    other = f"r{source}" if code & 8 and code != _SHOWN_WITH_CONSTANT else str(immediate)
    return f"if r{target} {_JUMPS[operation]} {other} goto pc{where}"


def _call(immediate: int) -> str:
    from probee.model.helper import helper_name

    name = helper_name(immediate)
    return f"call bpf_{name}#{immediate}" if name else f"call <unknown helper #{immediate}>"


def _wide(target: int, source: int, low: int, high: int) -> str:
    if source in (1, 2) or not high:
        return f"r{target} = <map at fd #{low}>" if source in (1, 2) else f"r{target} = 0x{low & 0xFFFFFFFF:x}"
    return f"r{target} = 0x{(high & 0xFFFFFFFF) << 32 | low & 0xFFFFFFFF:x}"


# -- tables

_NAMES: dict[Any, str] = {
    ct.c_bool: "_Bool", ct.c_char: "char", ct.c_wchar: "wchar_t", ct.c_ubyte: "unsigned char", ct.c_short: "short",
    ct.c_ushort: "unsigned short", ct.c_int: "int", ct.c_uint: "unsigned int", ct.c_long: "long",
    ct.c_ulong: "unsigned long", ct.c_longlong: "long long", ct.c_ulonglong: "unsigned long long", ct.c_float: "float",
    ct.c_double: "double", ct.c_longdouble: "long double",
    ct.c_int64 * 2: "__int128", ct.c_uint64 * 2: "unsigned __int128",
}  # fmt: skip


def decode_map(map_name: bytes, map_obj: Any, map_type: int, sizeinfo: bool = False) -> str:
    """Return the layout of a table's keys and values."""
    from probee.bcc.table import get_table_type_name

    type = get_table_type_name(map_type)
    lines = [f"Layout of BPF map {map_name!r} (type {type}, FD {map_obj.map_fd}, ID {map_obj.map_id}):"]
    for kind, name in ((map_obj.Key, "key"), (map_obj.Leaf, "value")):
        lines += _member(kind, name, "  ", "", 0, sizes=sizeinfo)
    return "\n".join(lines)


def _member(kind: Any, name: str, indent: str, place: str, offset: int, *, sizes: bool) -> list[str]:
    """Return the lines of one member; a struct's own members are further in."""
    if not issubclass(kind, (ct.Structure, ct.Union)):
        return [f"{indent}{place}{_type_name(kind)} {name};"]
    inner = [line for row in kind._fields_ for line in _row(kind, row, f"{indent}  ", offset, sizes=sizes)]
    return [f"{indent}{place}{_type_name(kind)} {{", *inner, f"{indent}}} {name};"]


def _row(kind: Any, row: Any, indent: str, offset: int, *, sizes: bool) -> list[str]:
    field = getattr(kind, row[0])
    at = offset + field.offset
    if len(row) == 3:
        place = f"[{at},{field.size & 0xFFFF} +{row[2]} bit]" if sizes else ""
        return [f"{indent}{place}{_type_name(row[1])} {row[0]}:{row[2]};"]
    place = f"[{at} +{ct.sizeof(row[1])}] " if sizes else ""
    return _member(row[1], row[0], indent, place, at, sizes=sizes)


def _type_name(kind: Any) -> str:
    if kind in _NAMES:
        return _NAMES[kind]
    if issubclass(kind, ct.Structure):
        return "struct"
    if issubclass(kind, ct.Union):
        return "union"
    if issubclass(kind, ct.Array):
        return f"{_type_name(kind._type_)}[{kind._length_}]"
    return str(kind)
