"""Keys, leaves and events from BTF: bcc's names and ctypes, at the compiler's offsets."""

from __future__ import annotations

import ctypes as ct
from typing import Any

import pytest

from probee.bcc.error import BccError
from probee.bcc.structure import Structures, integer_class
from probee.formats.btf.build import BtfBuilder


class Types:
    """BTF that grows, and the classes of one of its types."""

    def __init__(self) -> None:
        self.btf = BtfBuilder()
        self.u8 = self.btf.integer("unsigned char", 1)
        self.u16 = self.btf.integer("unsigned short", 2)
        self.u32 = self.btf.integer("unsigned int", 4)
        self.u64 = self.btf.integer("unsigned long long", 8)
        self.int = self.btf.integer("int", 4, signed=True)
        self.char = self.btf.integer("char", 1, signed=True)
        self.u128 = self.btf.integer("unsigned __int128", 16)

    def key(self, id: int) -> Any:
        return Structures(self.btf.blob(), {"key t": id}).find("key", "t")

    def event(self, id: int) -> Any:
        return Structures(self.btf.blob(), {"event t": id}).find("event", "t")


@pytest.fixture
def types() -> Types:
    return Types()


def names(kind: Any) -> list[str]:
    return [row[0] for row in kind._fields_]


def test_numbers_are_the_classes_that_programs_compare_with(types: Types) -> None:
    assert types.key(types.u32) is ct.c_uint
    assert types.key(types.u64) is ct.c_ulonglong
    assert types.key(types.int) is ct.c_int
    assert types.key(types.char) is ct.c_char
    assert types.key(types.u8) is ct.c_ubyte
    assert types.key(types.u128) is ct.c_uint64 * 2


def test_typedefs_are_what_they_stand_for(types: Types) -> None:
    assert types.key(types.btf.typedef("u32", types.u32)) is ct.c_uint


def test_a_bool_is_a_bool(types: Types) -> None:
    assert types.key(types.btf.integer("_Bool", 1, boolean=True)) is ct.c_bool


def test_a_hole_in_a_key_is_a_member_with_the_number_of_the_one_behind_it(types: Types) -> None:
    key = types.key(types.btf.struct("key_t", 16, [("pid", types.u32, 0, 0), ("when", types.u64, 64, 0)]))
    assert names(key) == ["pid", "__pad_1", "when"]
    assert (ct.sizeof(key), key.when.offset, key.__name__) == (16, 8, "key_t")


def test_a_hole_at_the_end_is_a_member_too(types: Types) -> None:
    key = types.key(types.btf.struct("key_t", 16, [("when", types.u64, 0, 0), ("pid", types.u32, 64, 0)]))
    assert names(key) == ["when", "pid", "__pad_end"]


def test_an_event_has_the_members_that_c_has(types: Types) -> None:
    event = types.event(types.btf.struct("event", 16, [("pid", types.u32, 0, 0), ("when", types.u64, 64, 0)]))
    assert names(event) == ["pid", "when"]
    assert event.when.offset == 8


def test_a_packed_event_is_packed(types: Types) -> None:
    event = types.event(types.btf.struct("event", 12, [("pid", types.u32, 0, 0), ("when", types.u64, 32, 0)]))
    assert (ct.sizeof(event), event.when.offset) == (12, 4)


def test_text_comes_out_as_bytes_up_to_its_end(types: Types) -> None:
    event = types.event(types.btf.struct("event", 16, [("comm", types.btf.array(types.char, 16), 0, 0)]))
    assert event.from_buffer_copy(b"bash" + bytes(12)).comm == b"bash"


def test_an_address_of_16_bytes_is_two_numbers(types: Types) -> None:
    event = types.event(types.btf.struct("event", 16, [("saddr", types.u128, 0, 0)]))
    assert list(event.from_buffer_copy(bytes(range(16))).saddr) == [0x0706050403020100, 0x0F0E0D0C0B0A0908]


def test_members_of_anonymous_ones_are_the_outer_ones(types: Types) -> None:
    inner = types.btf.struct("", 8, [("a", types.u64, 0, 0), ("b", types.u32, 0, 0)], union=True)
    other = types.btf.struct("", 4, [("c", types.u32, 0, 0)])
    event = types.event(types.btf.struct("event", 16, [("", inner, 0, 0), ("", other, 64, 0), ("d", types.u32, 96, 0)]))
    assert names(event) == ["__anon0", "__anon1", "d"]
    found = event.from_buffer_copy(bytes(range(16)))
    assert (found.b, found.c, found.d) == (0x03020100, 0x0B0A0908, 0x0F0E0D0C)


def test_bit_fields_are_where_the_compiler_put_them(types: Types) -> None:
    rows = [("version", types.u32, 0, 4), ("length", types.u32, 4, 12), ("rest", types.u32, 32, 0)]
    key = types.key(types.btf.struct("key_t", 8, rows))
    found = key.from_buffer_copy(bytes([0x21, 0x43, 0, 0, 9, 0, 0, 0]))
    assert (found.version, found.length, found.rest) == (1, 0x432, 9)
    assert names(key) == ["version", "length", "rest"]


def test_bit_fields_that_ctypes_puts_elsewhere_are_an_error(types: Types) -> None:
    rows = [("first", types.u32, 0, 4), ("second", types.u32, 9, 4)]
    with pytest.raises(BccError, match="struct key_t"):
        types.key(types.btf.struct("key_t", 4, rows))


def test_pointers_are_numbers_in_tables_and_pointers_in_events(types: Types) -> None:
    pointer = types.btf.pointer(types.btf.struct("file", 8, [("x", types.u64, 0, 0)]))
    assert types.key(pointer) is ct.c_ulonglong
    assert types.event(pointer) is ct.c_void_p
    assert types.event(types.btf.pointer(types.char)) is ct.c_char_p


def test_enums_are_numbers(types: Types) -> None:
    enum = types.btf.enum("state", [("A", 0), ("B", 1)])
    assert types.key(enum) is ct.c_uint
    assert types.event(enum) is ct.c_int


def test_structs_in_structs_and_arrays_of_them(types: Types) -> None:
    point = types.btf.struct("point", 8, [("x", types.u32, 0, 0), ("y", types.u32, 32, 0)])
    event = types.event(types.btf.struct("event", 24, [("one", point, 0, 0), ("more", types.btf.array(point, 2), 64, 0)]))
    found = event.from_buffer_copy(b"".join(number.to_bytes(4, "little") for number in range(6)))
    assert (found.one.y, found.more[1].x) == (1, 4)


def test_what_nobody_knows_is_none() -> None:
    assert Structures(b"", {}).find("key", "t") is None


def test_a_size_without_a_type_is_a_number_or_bytes() -> None:
    assert integer_class(8) is ct.c_ulonglong
    assert ct.sizeof(integer_class(12)) == 12
