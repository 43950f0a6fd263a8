"""From bytes to values."""

from __future__ import annotations

from struct import pack

import pytest
from runtime_names import Names

from probee.model.value import Field, ValueType, integer, string
from probee.runtime.decode import Layout, quotient, value_decoder

S8, U16, S32, S64, U64 = (integer(n, signed=s) for n, s in ((1, True), (2, False), (4, True), (8, True), (8, False)))
POINT = ValueType("record", 8, fields=(Field("x", 0, S32), Field("y", 4, S32)))
FLAGS = ValueType(
    "record", 4,
    fields=(Field("low", 0, integer(4, signed=False), bit_offset=0, bit_size=3),
            Field("sign", 0, integer(4, signed=True), bit_offset=3, bit_size=4),
            Field("high", 0, integer(4, signed=False), bit_offset=31, bit_size=1)),
)  # fmt: skip


@pytest.mark.parametrize(
    "type, raw, value",
    [
        (S8, b"\xff", -1),
        (U16, b"\xff\xff", 65535),
        (S32, pack("<i", -7), -7),
        (U64, pack("<Q", 2**64 - 1), 2**64 - 1),
        (integer(16, signed=False), pack("<QQ", 1, 2), 2 << 64 | 1),
        (ValueType("bool", 1), b"\x01", True),
        (ValueType("bool", 1), b"\x00", False),
        (ValueType("enum", 4, table={1: "A"}), pack("<I", 1), 1),
        (ValueType("pointer", 8), pack("<Q", 1 << 63), 1 << 63),
        (string(8), b"abc\0xyz\0", b"abc"),
        (string(4), b"abcd", b"abcd"),
        (string(4), b"\0abc", b""),
        (ValueType("buffer", 12), pack("<I", 3) + b"ab\0defgh", b"ab\0"),
        (ValueType("array", 6, element=U16, count=3), pack("<3H", 1, 2, 3), [1, 2, 3]),
        (ValueType("array", 16, element=POINT, count=2), pack("<4i", 1, 2, 3, 4), [{"x": 1, "y": 2}, {"x": 3, "y": 4}]),
        (ValueType("array", 8, element=ValueType("array", 4, element=U16, count=2), count=2), pack("<4H", 5, 6, 7, 8),
         [[5, 6], [7, 8]]),
        (ValueType("tuple", 16, fields=(Field("", 0, S64), Field("", 8, string(8)))), pack("<q8s", -1, b"hi"), (-1, b"hi")),
        (ValueType("tuple", 0), b"", ()),
        (POINT, pack("<ii", 1, -2), {"x": 1, "y": -2}),
        (FLAGS, pack("<I", 1 << 31 | 0b1111 << 3 | 0b101), {"low": 5, "sign": -1, "high": 1}),
        (ValueType("inet", 24), pack("<Q16s", 2, bytes((127, 0, 0, 1))), "127.0.0.1"),
        (ValueType("inet", 24), pack("<Q16s", 10, bytes(15) + b"\1"), "::1"),
        (ValueType("macaddr", 8), bytes((0xDE, 0xAD, 0, 1, 2, 0xFF, 0, 0)), "DE:AD:00:01:02:FF"),
        (ValueType("none", 0), b"", None),
        (ValueType("stats", 16), pack("<qQ", -7, 2), {"count": 2, "average": -3, "total": -7}),
        (ValueType("ksym", 8), pack("<Q", 0x1000), "ksym(0x1000)"),
        (ValueType("usym", 16), pack("<QII", 0x1000, 42, 0), "usym(0x1000, 42)"),
        (ValueType("username", 8), pack("<Q", 0), "user 0"),
        (ValueType("timestamp", 16), pack("<QII", 5, 1, 3), "time 5 1 3"),
        (ValueType("cgroup", 16), pack("<QQ", 9, 2), "cgroup 9 2"),
        (ValueType("kstack", 8), pack("<q", -14), "kstack -14"),
        (ValueType("ustack", 16), pack("<qII", 3, 77, 0), "ustack 3 77"),
    ],
)  # fmt: skip
def test_a_value_of_each_kind(type, raw, value):
    assert value_decoder(type, Names())(raw + b"\xee" * 3) == value


def test_fields_are_taken_from_their_offsets_and_padding_is_passed_over():
    decode = Layout([(8, S32), (16, string(4)), (24, U64)], Names()).decoder()
    assert decode(b"?" * 5 + pack("<Qi4x4s4xQ", 1, -3, b"ab", 9), 5) == (-3, b"ab", 9)


def test_fields_that_overlap_are_read_one_by_one():
    decode = Layout([(0, U64), (0, U16), (4, integer(4, signed=False))], Names()).decoder()
    assert decode(pack("<Q", 0x1_0000_0002), 0) == (0x1_0000_0002, 2, 1)


def test_a_record_without_fields_is_an_empty_tuple():
    assert Layout([], Names()).decoder()(b"12345678", 0) == ()


@pytest.mark.parametrize("total, count, result", [(7, 2, 3), (-7, 2, -3), (7, 0, 0), (-6, 3, -2), (0, 5, 0)])
def test_division_goes_toward_zero(total, count, result):
    assert quotient(total, count) == result
