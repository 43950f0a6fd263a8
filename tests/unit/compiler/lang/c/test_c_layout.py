"""Where members lie: compared with what the C compiler of this machine's ABI does, as ctypes has it."""

from __future__ import annotations

import ctypes

import pytest
from c_text import read
from hypothesis import given, settings
from hypothesis import strategies as st

from probee.compiler.lang.c.layout import DeclaredStruct, alignment_of

_TYPES = {
    "char": ctypes.c_char, "u8": ctypes.c_uint8, "short": ctypes.c_short, "u32": ctypes.c_uint32, "int": ctypes.c_int,
    "u64": ctypes.c_uint64, "long": ctypes.c_long, "void *": ctypes.c_void_p,
}  # fmt: skip
_FIELDS = {"u8": (ctypes.c_uint8, 8), "u16": (ctypes.c_uint16, 16), "u32": (ctypes.c_uint32, 32), "u64": (ctypes.c_uint64, 64)}


def struct(text: str) -> DeclaredStruct:
    found = read(text).scope.tag("struct", "s")
    assert isinstance(found, DeclaredStruct)
    return found


def offsets(found: DeclaredStruct) -> list[int]:
    return [member.bit_offset for member in found.members]


plain = st.tuples(st.sampled_from(sorted(_TYPES)), st.integers(0, 3))
field = st.sampled_from(sorted(_FIELDS)).flatmap(lambda name: st.tuples(st.just(name), st.integers(1, _FIELDS[name][1])))


@given(st.lists(plain, min_size=1, max_size=6), st.booleans())
@settings(max_examples=60, deadline=None)
def test_plain_members_lie_where_the_compiler_puts_them(members: list[tuple[str, int]], packed: bool) -> None:
    texts, fields = [], []
    for number, (name, count) in enumerate(members):
        texts.append(f"{name} m{number}{f'[{count}]' if count else ''};")
        fields.append((f"m{number}", _TYPES[name] * count if count else _TYPES[name]))
    found = struct(f"struct s {{ {' '.join(texts)} }}{' __attribute__((packed))' if packed else ''};")
    packing = {"_pack_": 1, "_layout_": "ms"} if packed else {}
    twin = type("twin", (ctypes.Structure,), {**packing, "_fields_": fields})
    assert offsets(found) == [getattr(twin, name).offset * 8 for name, _ in fields]
    assert (found.size, found.alignment) == (ctypes.sizeof(twin), ctypes.alignment(twin))


@given(st.lists(field, min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_bit_fields_of_one_type_lie_where_the_compiler_puts_them(members: list[tuple[str, int]]) -> None:
    name = members[0][0]
    size = _FIELDS[name][1]
    widths = [min(width, size) for _, width in members]
    found = struct(f"struct s {{ {' '.join(f'{name} m{n} : {w};' for n, w in enumerate(widths))} }};")
    twin = type("twin", (ctypes.Structure,), {"_fields_": [(f"m{n}", _FIELDS[name][0], w) for n, w in enumerate(widths)]})
    expected = [getattr(twin, f"m{n}").offset * 8 + (getattr(twin, f"m{n}").size & 0xFFFF) for n in range(len(widths))]
    assert offsets(found) == expected
    assert found.size == ctypes.sizeof(twin)


def test_unnamed_fields_leave_room_and_width_0_goes_to_the_next_unit() -> None:
    found = struct("struct s { u32 a : 3, : 5, b : 4; u32 : 0; u8 c; };")
    assert [(member.name, member.bit_offset, member.bit_size) for member in found.members] == [
        ("a", 0, 3), ("b", 8, 4), ("c", 32, 0),
    ]  # fmt: skip
    assert found.size == 8


def test_fields_of_a_packed_struct_cross_boundaries() -> None:
    found = struct("struct s { u64 dst : 48; u64 src : 48; u32 type : 16; } __attribute__((packed));")
    assert offsets(found) == [0, 48, 96]
    assert found.size == 14


def test_union_members_share_their_place() -> None:
    unit = read("union u { u8 a; u64 b; u8 c[9]; };")
    found = unit.scope.tag("union", "u")
    assert isinstance(found, DeclaredStruct)
    assert offsets(found) == [0, 0, 0]
    assert (found.size, found.alignment) == (16, 8)


def test_int128_is_aligned_to_16() -> None:
    found = struct("struct s { u8 a; unsigned __int128 b; };")
    assert (offsets(found), found.size) == ([0, 128], 32)


def test_anonymous_members_nest() -> None:
    found = struct("struct s { u32 kind; union { struct { u32 x, y; }; u64 both; }; u8 tail; };")
    path = found.find("y")
    assert sum(member.bit_offset for member in path) == 96
    assert found.size == 24


def test_flexible_array_has_no_size() -> None:
    found = struct("struct s { u32 n; u64 data[]; };")
    assert (offsets(found), found.size) == ([0, 64], 8)


@pytest.mark.parametrize(("tag", "expected"), [("qstr", 8), ("list_head", 8), ("input_id", 2)])
def test_alignment_of_what_btf_describes_follows_from_its_members(tag: str, expected: int) -> None:
    found = read("int x;").scope.tag("struct", tag)
    assert found is not None and alignment_of(found) == expected
