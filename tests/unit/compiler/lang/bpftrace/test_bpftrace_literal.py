"""Literals: integers in all forms, their suffixes and limits; strings and their escapes."""

from __future__ import annotations

import pytest
from bpftrace_tree import expr, failure

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace.literal import to_uint

INTEGERS = {
    "0": 0,
    "7": 7,
    "1_000_000": 1_000_000,
    "0x1F": 31,
    "0Xff": 255,
    "0xdead_beef": 0xDEADBEEF,
    "017": 15,
    "00": 0,
    "1e6": 1_000_000,
    "9E3": 9000,
    "1e1_0": 10**10,
    "1u": 1,
    "1UL": 1,
    "2ull": 2,
    "3l": 3,
    "3LL": 3,
    "0x10u": 16,
    "5ns": 5,
    "5us": 5_000,
    "5ms": 5_000_000,
    "5s": 5_000_000_000,
    "2m": 120_000_000_000,
    "1h": 3_600_000_000_000,
    "1d": 86_400_000_000_000,
    "1e3ms": 10**9,
    "18446744073709551615": (1 << 64) - 1,
    "0xffffffffffffffff": (1 << 64) - 1,
    "9223372036854775807l": (1 << 63) - 1,
}


@pytest.mark.parametrize(("text", "value"), INTEGERS.items())
def test_integer_forms(text: str, value: int) -> None:
    literal = expr(text)
    assert isinstance(literal, ast.IntLiteral)
    assert (literal.value, literal.text) == (value, text)


@pytest.mark.parametrize(
    ("text", "unsigned"),
    [("1", False), ("1u", True), ("1U", True), ("1ul", True), ("1ull", True), ("1ll", False), ("1us", False)],
)
def test_only_a_u_suffix_makes_a_literal_unsigned(text: str, unsigned: bool) -> None:
    literal = expr(text)
    assert isinstance(literal, ast.IntLiteral)
    assert literal.unsigned is unsigned


BAD_INTEGERS = [
    ("1_", "trailing underscore in integer literal", 1, 2),
    ("0x1_", "trailing underscore in integer literal", 3, 4),
    ("1e1_", "trailing underscore in integer literal", 3, 4),
    ("10e3", "coefficient part of scientific literal must be 1-9: 10e3", 0, 4),
    ("0e3", "coefficient part of scientific literal must be 1-9: 0e3", 0, 3),
    ("1e0", "invalid trailing bytes: 1e0", 0, 3),
    ("08", "invalid trailing bytes: 08", 0, 2),
    ("0x", "invalid integer: 0x", 0, 2),
    ("1x", "invalid integer suffix 'x'", 1, 2),
    ("0b101", "invalid integer suffix 'b101'", 1, 5),
    ("1lul", "invalid integer suffix 'ul'", 2, 4),
    ("1days", "invalid integer suffix 'ays'", 2, 5),
    ("18446744073709551616", "overflow error, maximum value is 18446744073709551615: 18446744073709551616", 0, 20),
    ("5e19", "overflow error, maximum value is 18446744073709551615: 5e19", 0, 4),
    ("400000000000d", "overflow error, maximum value is 18446744073709551615: 400000000000d", 0, 13),
    ("4294967296u", "overflow error, maximum value is 4294967295: 4294967296u", 0, 11),
    ("9223372036854775808l", "overflow error, maximum value is 9223372036854775807: 9223372036854775808l", 0, 20),
]


@pytest.mark.parametrize(("text", "message", "start", "end"), BAD_INTEGERS)
def test_integers_that_are_refused(text: str, message: str, start: int, end: int) -> None:
    before = "begin { _ = "
    assert failure(f"{before}{text}; }}") == (f"syntax: {message}", len(before) + start, len(before) + end)


def test_a_million_digits_overflow_quickly() -> None:
    assert failure("begin { _ = " + "1" * 1_000_000 + "; }")[0].startswith("syntax: overflow error")


def test_a_huge_exponent_overflows_without_computing_the_power() -> None:
    with pytest.raises(ValueError, match="overflow error"):
        to_uint("1e99999999999")


STRINGS = {
    r'""': b"",
    r'"plain // no comment /* either */"': b"plain // no comment /* either */",
    r'"\n\t\r\"\\"': b'\n\t\r"\\',
    r'"\0"': b"\0",
    r'"\7z"': b"\x07z",
    r'"\101\60"': b"A0",
    r'"\3777"': b"\xff7",
    r'"\x41\xAf\x1"': b"A\xaf\x01",
    '"µ"': "µ".encode(),
    '"\udcff"': b"\xff",
}


@pytest.mark.parametrize(("text", "value"), STRINGS.items())
def test_string_values_are_bytes(text: str, value: bytes) -> None:
    literal = expr(text)
    assert isinstance(literal, ast.StringLiteral)
    assert literal.value == value


BAD_STRINGS = [
    (r'"\400"', r"octal escape sequence out of range '\400'", 1, 5),
    (r'"\q"', r"invalid escape character '\q'", 2, 3),
    (r'"\xg"', "invalid hex escape sequence", 3, 4),
    ('"\ud800"', "character that has no UTF-8 form", 1, 2),
]


@pytest.mark.parametrize(("text", "message", "start", "end"), BAD_STRINGS)
def test_strings_that_are_refused(text: str, message: str, start: int, end: int) -> None:
    before = "begin { _ = "
    assert failure(f"{before}{text}; }}") == (f"syntax: {message}", len(before) + start, len(before) + end)


def test_an_unterminated_string_is_reported_from_its_opening_quote() -> None:
    assert failure('begin { "abc') == ("syntax: unterminated string", 8, 12)
    assert failure('begin { "abc\\') == ("syntax: unterminated string", 8, 13)
    assert failure('begin { "abc\nxyz" }') == ("syntax: unterminated string", 8, 12)
