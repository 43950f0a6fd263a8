"""Keys and leaves as text: bcc's notation, written and read."""

from __future__ import annotations

import ctypes as ct
from typing import Any

import pytest

from probee.bcc.notation import read_text, write_text


class Pair(ct.Structure):
    _fields_ = (("a", ct.c_uint32), ("b", ct.c_int32))


class Choice(ct.Union):
    _fields_ = (("small", ct.c_uint8), ("large", ct.c_uint64))


class Event(ct.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (
        ("kind", ct.c_char), ("__pad_1", ct.c_char * 3), ("low", ct.c_uint64, 36), ("high", ct.c_uint64, 28),
        ("name", ct.c_char * 8), ("path", ct.c_ubyte * 4), ("pairs", Pair * 2), ("choice", Choice), ("is", ct.c_bool),
        ("__pad_end", ct.c_char * 7),
    )  # fmt: skip


def event() -> Event:
    made = Event(kind=b"x", low=4, high=1, name=b"bash", path=(ct.c_ubyte * 4)(47, 97))
    made.pairs[1] = Pair(7, -1)
    made.choice.small = 9
    setattr(made, "is", True)
    return made


TEXT = b'{ 0x78 0x4 0x1 "bash" "/a" [ { 0x0 0x0 } { 0x7 0xffffffff } ] { 0x9 } 0x1 }'


def test_numbers_are_hexadecimal_and_as_wide_as_they_are() -> None:
    assert write_text(ct.c_int, ct.c_int(-1)) == b"0xffffffff"
    assert write_text(ct.c_int, 2) == b"0x2"
    assert write_text(ct.c_ulonglong, 0) == b"0x0"
    assert write_text(ct.c_char, ct.c_char(b"\xff")) == b"0xff"


def test_structs_arrays_and_strings_are_written_without_holes() -> None:
    assert write_text(Event, event()) == TEXT


class Addresses(ct.Structure):
    _fields_ = (
        ("kind", ct.c_uint32), ("name", ct.c_char_p), ("task", ct.c_void_p), ("next", ct.POINTER(Pair)),
        ("all", ct.c_char_p * 2),
    )  # fmt: skip


@pytest.mark.parametrize("kind", [ct.c_char_p, ct.c_wchar_p, ct.c_void_p, ct.POINTER(Pair)])
def test_pointers_are_numbers_and_never_followed(kind: Any) -> None:
    here_is_nothing = (1 << 64) - 4096  # as an address of the kernel's
    assert write_text(kind, kind.from_buffer_copy(ct.c_uint64(here_is_nothing))) == b"0xfffffffffffff000"
    assert write_text(kind, kind()) == b"0x0"
    array = (kind * 2).from_buffer_copy((ct.c_uint64 * 2)(here_is_nothing, 0))
    assert write_text(kind * 2, array) == b"[ 0xfffffffffffff000 0x0 ]"


def test_a_struct_s_pointers_are_numbers() -> None:
    words = (ct.c_uint64 * 6)(1, (1 << 64) - 4096, 0, (1 << 64) - 8, 16, 0)
    text = b"{ 0x1 0xfffffffffffff000 0x0 0xfffffffffffffff8 [ 0x10 0x0 ] }"
    assert write_text(Addresses, Addresses.from_buffer_copy(words)) == text


def test_what_was_written_is_read_again() -> None:
    found = read_text(Event, TEXT)
    assert bytes(found) == bytes(event())
    assert (found.name, found.pairs[1].b, found.low, found.high) == (b"bash", -1, 4, 1)


def test_numbers_are_read_in_any_base_and_blanks_do_not_matter() -> None:
    assert read_text(ct.c_uint, b"0x10").value == 16
    pair = read_text(Pair, b"{1 -2}")
    assert (pair.a, pair.b) == (1, -2)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (ct.c_int, b"seven"), (ct.c_int, b""), (Pair, b"{ 1 "), (Pair, b"{ 1 2 3 }"), (Pair, b"1 2"), (Pair, b"{ 1 2 } 3"),
        (ct.c_char * 2, b'"abc"'), (ct.c_uint * 2, b"[ 1 ]"),
    ],
)  # fmt: skip
def test_what_means_no_value_is_an_error(kind: Any, text: bytes) -> None:
    with pytest.raises(ValueError):
        read_text(kind, text)
