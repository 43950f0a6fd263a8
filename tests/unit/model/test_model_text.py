"""The text and JSON forms of values."""

from __future__ import annotations

import json

import pytest

from probee.model.text import json_form, json_string, stack_text, text_form
from probee.model.value import Field, Frame, StackValue, ValueType, integer, string

S64, U64 = integer(8, signed=True), integer(8, signed=False)
PAIR = ValueType("tuple", 16, fields=(Field("", 0, S64), Field("", 8, string(8))))
NESTED = ValueType("tuple", 24, fields=(Field("", 0, S64), Field("", 8, PAIR)))
POINT = ValueType("record", 16, fields=(Field("x", 0, S64), Field("name", 8, string(8))))
OUTER = ValueType("record", 24, fields=(Field("p", 0, POINT), Field("v", 16, ValueType("array", 8, element=S64, count=1))))
COLOUR = ValueType("enum", 4, table={1: "RED"})

CASES = [
    (S64, -5, "-5", "-5"),
    (ValueType("bool", 1), True, "true", "true"),
    (ValueType("bool", 1), False, "false", "false"),
    (COLOUR, 1, "RED", "1"),
    (COLOUR, 9, "9", "9"),
    (ValueType("pointer", 8), 0x1F, "0x1f", "31"),
    (string(8), b"abc", "abc", '"abc"'),
    (string(3), b"abc", "abc..", '"abc.."'),
    (string(8), b'q"\\', 'q"\\', '"q\\"\\\\"'),
    (ValueType("buffer", 12), b"a\x01\xff", "a\\x01\\xff", "[97,1,-1]"),
    (ValueType("array", 24, element=S64, count=3), [1, 2, 3], "[1,2,3]", "[1,2,3]"),
    (ValueType("array", 0, element=S64), [], "[]", "[]"),
    (PAIR, (1, b"abc"), "(1, abc)", '[1,"abc"]'),
    (NESTED, (1, (2, b"x")), "(1, (2, x))", '[1,[2,"x"]]'),
    (ValueType("tuple", 0), (), "()", "[]"),
    (POINT, {"x": 1, "name": b"n"}, "{ .x = 1, .name = n }", '{"x": 1, "name": "n"}'),
    (ValueType("record", 0), {}, "{}", "{}"),
    (
        OUTER, {"p": {"x": 1, "name": b"n"}, "v": [7]},
        "{ .p = { .x = 1, .name = n }, .v = [7] }", '{"p": {"x": 1, "name": "n"}, "v": [7]}',
    ),
    (ValueType("ksym", 8), "do_exit", "do_exit", '"do_exit"'),
    (ValueType("inet", 24), "127.0.0.1", "127.0.0.1", '"127.0.0.1"'),
    (ValueType("none", 0), None, "null", "null"),
    (
        ValueType("stats", 16), {"count": 3, "average": 2, "total": 6},
        "{ .count = 3, .average = 2, .total = 6 }", '{"count": 3, "average": 2, "total": 6}',
    ),
]  # fmt: skip


@pytest.mark.parametrize("type, value, text, _", CASES)
def test_text_of_a_value(type, value, text, _):
    assert text_form(type)(value) == text


@pytest.mark.parametrize("type, value, _, text", CASES)
def test_json_of_a_value(type, value, _, text):
    assert json_form(type)(value) == text
    json.loads(text)


@pytest.mark.parametrize(
    "number, text",
    [
        (1 << 53, "9007199254740992"),
        ((1 << 53) + 1, '"9007199254740993"'),  # no double holds it
        (1 << 62, "4611686018427387904"),
        ((1 << 64) - 1, '"18446744073709551615"'),
        (-(1 << 63), "-9223372036854775808"),
        (-(1 << 63) + 1, '"-9223372036854775807"'),
    ],
)
def test_numbers_that_a_double_cannot_hold_are_json_strings(number, text):
    assert json_form(S64)(number) == text


def test_the_trailer_of_cut_strings_can_be_chosen():
    assert text_form(string(2), trailer="…")(b"ab") == "ab…"
    assert text_form(PAIR, trailer="…")((1, b"12345678")) == "(1, 12345678…)"


def test_json_strings_are_escaped_and_always_utf8():
    assert json_string('a"\\\n\r\t\x01é') == '"a\\"\\\\\\n\\r\\t\\u0001é"'
    assert json_string(b"\xff".decode("utf-8", "surrogateescape")) == '"�"'


@pytest.mark.parametrize(
    "mode, user, text",
    [
        ("bpftrace", False, "\n        f+16\n        0xbeef\n"),
        ("bpftrace", True, "\n        f+16\n        0xbeef\n"),
        ("perf", False, "\n\tffff0010 f+16\n\tbeef 0xbeef ([unknown])\n"),
        ("perf", True, "\n\tffff0010 f+16 (/lib/x)\n\tbeef 0xbeef ([unknown])\n"),
        ("raw", False, "\nffff0010\nbeef\n"),
    ],
)
def test_stacks_have_a_line_per_frame(mode, user, text):
    frames = (Frame(0xFFFF0010, "f", 16, "/lib/x"), Frame(0xBEEF))
    assert stack_text(StackValue(frames, mode, user=user)) == text


def test_a_stack_that_could_not_be_taken_is_an_empty_line():
    assert stack_text(None) == "\n"


def test_build_ids_are_shown_with_their_file_offset():
    frames = (Frame(0, "ab" * 20, 0x123), Frame(0x40))
    assert stack_text(StackValue(frames, "build_id", user=True)) == f"\n{'ab' * 20} 0x123\n40\n"
