"""Building BTF: names, sharing, clamping, and that the reader reads what the builder wrote."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probee.errors import BtfError
from probee.formats.btf import kind
from probee.formats.btf.build import BtfBuilder, func_info, identifier, line_info
from probee.formats.btf.reader import Btf
from probee.model.ctype import ArrayType, EnumType, FunctionType, IntType, PointerType, StructType, TypedefType

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)


def test_header_is_the_uapi_one() -> None:
    b = BtfBuilder()
    b.integer("int", 4, signed=True)
    assert b.blob() == struct.pack(
        "=HBBIIIII4I", 0xEB9F, 1, 0, 24, 0, 16, 16, 5, 1, kind.INT << 24, 4, 1 << 24 | 32
    ) + b"\0int\0"


def test_equal_types_and_strings_are_stored_once() -> None:
    b = BtfBuilder()
    assert b.integer("int", 4) == b.integer("int", 4)
    assert b.integer("int", 4) != b.integer("int", 4, signed=True)
    assert b.pointer(1) == b.pointer(1)
    assert b.array(1, 3) == b.array(1, 3) != b.array(1, 4)
    assert b.string("same") == b.string("same")
    assert b.string("") == 0


def test_structs_and_functions_are_never_shared() -> None:
    b = BtfBuilder()
    assert b.struct("s", 4, []) != b.struct("s", 4, [])
    proto = b.func_proto(0, [])
    assert b.func("f", proto) != b.func("f", proto)


@pytest.mark.parametrize("name", ["a b", "kprobe:x", "1st", "x" * 128, "é", "a.b"])
def test_name_that_an_old_kernel_refuses_is_refused(name: str) -> None:
    with pytest.raises(BtfError, match="identifier"):
        BtfBuilder().struct(name, 4, [])


@given(st.text())
def test_identifier_of_any_text_is_accepted(text: str) -> None:
    name = identifier(text)
    assert BtfBuilder().struct(name, 4, []) == 1
    assert 0 < len(name) <= 127


def test_string_with_a_zero_byte_is_refused() -> None:
    with pytest.raises(BtfError, match="zero byte"):
        BtfBuilder().string("a\0b")


def test_too_many_elements_are_refused() -> None:
    with pytest.raises(BtfError, match="65535"):
        BtfBuilder().enum("e", [(f"V{n}", n) for n in range(65536)])


def test_func_info_is_in_the_order_of_instructions() -> None:
    assert func_info([(9, 4), (0, 3)]) == struct.pack("=4I", 0, 3, 9, 4)


def test_line_info_packs_line_and_column() -> None:
    assert line_info([(2, 5, 6, 10, 3)]) == struct.pack("=4I", 2, 5, 6, 10 << 10 | 3)


def test_line_info_clamps_what_has_no_room() -> None:
    assert line_info([(0, 1, 1, 1 << 30, 5000)])[12:] == struct.pack("=I", 0xFFFFFFFF)


def test_line_info_keeps_the_first_record_of_an_instruction_and_sorts() -> None:
    rows = [(4, 1, 1, 7, 1), (0, 1, 1, 5, 1), (4, 1, 1, 8, 1)]
    assert [struct.unpack_from("=4I", line_info(rows), at)[0::3] for at in (0, 16)] == [(0, 5 << 10 | 1), (4, 7 << 10 | 1)]
    assert len(line_info(rows)) == 32


@given(st.lists(st.tuples(names, st.sampled_from([1, 2, 4, 8]), st.booleans()), min_size=1, max_size=12), names)
def test_struct_of_integers_survives_the_round_trip(rows: list[tuple[str, int, bool]], name: str) -> None:
    b = BtfBuilder()
    members, at = [], 0
    for number, (member, size, signed) in enumerate(rows):
        members.append((f"{member}_{number}", b.integer(f"i{size}{signed:d}", size, signed=signed), at, 0))
        at += size * 8
    id = b.struct(name, at // 8, members)
    found = Btf(b.blob()).type(id)
    assert isinstance(found, StructType)
    assert (found.name, found.size, found.kind) == (name, at // 8, "struct")
    assert [(m.name, m.bit_offset, m.bit_size) for m in found.members] == [(n, o, 0) for n, _, o, _ in members]
    assert [(m.type.size, m.type.signed) for m in found.members if isinstance(m.type, IntType)] == [r[1:] for r in rows]


@given(st.lists(st.tuples(st.integers(1, 31), st.integers(0, 200)), min_size=1, max_size=8))
def test_bit_fields_survive_the_round_trip(rows: list[tuple[int, int]]) -> None:
    b = BtfBuilder()
    number = b.integer("unsigned int", 4)
    id = b.struct("s", 64, [(f"m{n}", number, offset, bits) for n, (bits, offset) in enumerate(rows)], union=True)
    found = Btf(b.blob()).type(id)
    assert isinstance(found, StructType)
    assert [(m.bit_size, m.bit_offset) for m in found.members] == rows
    assert found.kind == "union"


@given(st.lists(st.tuples(names, st.integers(-(2**31), 2**31 - 1)), min_size=1, max_size=10, unique_by=lambda r: r[0]))
def test_enums_survive_the_round_trip(rows: list[tuple[str, int]]) -> None:
    b = BtfBuilder()
    id = b.enum("e", rows)
    found = Btf(b.blob()).type(id)
    assert isinstance(found, EnumType)
    assert found.values == tuple(rows)


@given(st.lists(names, max_size=6), names, st.booleans())
def test_functions_survive_the_round_trip(parameters: list[str], name: str, variadic: bool) -> None:
    b = BtfBuilder()
    number = b.integer("int", 4, signed=True)
    rows = [(p, b.pointer(b.const(number)) if n % 2 else number) for n, p in enumerate(parameters)]
    id = b.func(name, b.func_proto(number, rows + [("", 0)] * variadic), kind.LINKAGE_STATIC)
    btf = Btf(b.blob())
    found = btf.function(name)
    assert isinstance(found, FunctionType)
    assert btf.id_of("func", name) == id
    assert [p.name for p in found.parameters] == parameters
    assert all(isinstance(p.type, PointerType if n % 2 else IntType) for n, p in enumerate(found.parameters))
    assert found.variadic is variadic


def test_pointers_arrays_and_typedefs_survive_the_round_trip() -> None:
    b = BtfBuilder()
    id = b.typedef("rows_t", b.pointer(b.array(b.array(b.integer("short int", 2, signed=True), 3), 2)))
    found = Btf(b.blob()).type(id)
    assert isinstance(found, TypedefType)
    assert found.target.spelling("r") == "short int (*r)[2][3]"
    assert isinstance(found.target, PointerType)
    assert isinstance(found.target.target, ArrayType)
    assert found.target.target.size == 12


def test_bytes_that_are_no_utf_8_are_stored_as_they_were() -> None:
    builder = BtfBuilder()
    builder.string(b"caf\xe9".decode("utf-8", "surrogateescape"))
    assert b"\0caf\xe9\0" in builder.blob()
