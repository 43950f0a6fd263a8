"""Formats: what is a conversion, which arguments fit, and the text of every conversion."""

from __future__ import annotations

import pytest

from probee.model.printf import compile_format, complaint, parse_format
from probee.model.value import Field, Frame, StackValue, ValueType, integer, string

S64, U64, S32, U32 = integer(8, signed=True), integer(8, signed=False), integer(4, signed=True), integer(4, signed=False)
U8, S8 = integer(1, signed=False), integer(1, signed=True)
BOOL, POINTER = ValueType("bool", 1), ValueType("pointer", 8)
COLOUR = ValueType("enum", 4, table={1: "RED", 2: "BLUE"})
BUFFER = ValueType("buffer", 64)


def shown(format: str, *pairs) -> str:
    return compile_format(parse_format(format), [type for type, _ in pairs])(tuple(value for _, value in pairs))


@pytest.mark.parametrize(
    "format, fragments, specifiers",
    [
        ("plain", ("plain",), []),
        ("a%db", ("a", "b"), ["d"]),
        ("%d%s", ("", "", ""), ["d", "s"]),
        ("100%%", ("100%",), []),
        ("%5%", ("%",), []),  # flags and width before %% vanish with it
        ("%y %d", ("%y ", ""), ["d"]),
        ("trailing %", ("trailing %",), []),
        ("%-+ #012.34lld", ("", ""), ["d"]),
        ("%*d %.*s", ("", " ", ""), ["d", "s"]),
        ("%+-d", ("%+-d",), []),  # flags have one order
        ("%0-5d", ("%0-5d",), []),
        ("%. d", ("%. d",), []),
        ("%gr %rh %rx %r %g", ("", " ", " ", " ", " ", ""), ["gr", "rh", "rx", "r", "g"]),
        ("%ly", ("%ly",), []),
    ],
)
def test_a_format_is_split_into_fragments_and_conversions(format, fragments, specifiers):
    parsed = parse_format(format)
    assert parsed.fragments == fragments
    assert [conversion.specifier for conversion in parsed.conversions] == specifiers


@pytest.mark.parametrize(
    "format, pair, text",
    [
        # without a length modifier integers are cut to 32 bits
        ("%d", (S64, 5), "5"),
        ("%d", (S64, -5), "-5"),
        ("%d", (U64, 0xFFFF_FFFF), "-1"),
        ("%d", (S64, 1 << 32), "0"),
        ("%d", (U32, 0x8000_0000), "-2147483648"),
        ("%d", (U32, 7), "7"),
        ("%i", (S32, -7), "-7"),
        ("%u", (S64, -1), "4294967295"),
        ("%u", (U64, 1 << 40), "0"),
        ("%u", (U32, 0xFFFF_FFFF), "4294967295"),
        ("%x", (U64, 0x12345678ABCDEF), "78abcdef"),
        ("%ld", (S64, -(1 << 40)), "-1099511627776"),
        ("%ld", (U64, (1 << 64) - 1), "-1"),
        ("%lu", (S64, -1), "18446744073709551615"),
        ("%lld", (S64, 1 << 40), "1099511627776"),
        ("%llu", (U64, 1 << 63), "9223372036854775808"),
        ("%jx", (U64, 0x12345678ABCDEF), "12345678abcdef"),
        ("%zd", (S64, -(1 << 40)), "-1099511627776"),
        ("%td", (S64, 1 << 40), "1099511627776"),
        ("%hhx", (U64, 0x12345678ABCDEF), "ef"),
        ("%hx", (U64, 0x12345678ABCDEF), "cdef"),
        ("%hhd", (S64, 0x80), "-128"),
        ("%hd", (S64, 0x8000), "-32768"),
        ("%llld", (S64, 1 << 40), "0"),  # no such length: like none
        ("%d", (BOOL, True), "1"),
        ("%d", (COLOUR, 2), "2"),
        ("%d", (POINTER, 0x10), "16"),
        ("%d", (U8, 200), "200"),
        ("%d", (S8, -3), "-3"),
        # bases
        ("%X", (U32, 0xABC), "ABC"),
        ("%o", (U32, 8), "10"),
        ("%#x", (U32, 255), "0xff"),
        ("%#X", (U32, 255), "0XFF"),
        ("%#o", (U32, 8), "010"),
        ("%#x", (U32, 0), "0"),
        ("%x", (S64, -1), "ffffffff"),
        ("%lx", (S64, -1), "ffffffffffffffff"),
        # width and flags: `0` only fills
        ("%5d", (S64, 42), "   42"),
        ("%-5d|", (S64, 42), "42   |"),
        ("%05d", (S64, 42), "00042"),
        ("%05d", (S64, -1), "000-1"),
        ("%-05d", (S64, 42), "42000"),
        ("%05d", (U32, 42), "00042"),
        ("%-05d", (U8, 42), "42000"),
        ("%#06x", (U32, 255), "00" + "0xff"),
        ("%04x", (U8, 2), "0002"),
        ("%+d", (S64, 5), "+5"),
        ("%+d", (S64, -5), "-5"),
        ("%+5d", (S64, 5), "   +5"),
        ("%+u", (S64, 5), "5"),
        ("% d", (S64, 5), "5"),
        ("%*d", (S64, 5), "5"),
        ("%.3d", (S64, 5), "5"),
        ("%2d", (S64, 12345), "12345"),
        # characters and pointers
        ("%c", (S64, 0x41), "A"),
        ("%c", (S64, 0x141), "A"),
        ("%3c", (S64, 0x41), "  A"),
        ("%c", (S64, 0), "\0"),
        ("%p", (POINTER, 0xFFFF_8880_0000_0000), "0xffff888000000000"),
        ("%p", (S64, -1), "0xffffffffffffffff"),
        ("%p", (U64, 0), "0"),
        # text
        ("%s", (string(16), b"bash"), "bash"),
        ("%6s", (string(16), b"bash"), "  bash"),
        ("%-6s|", (string(16), b"bash"), "bash  |"),
        ("%.2s", (string(16), b"bash"), "bash"),
        ("%s", (string(4), b"bash"), "bash.."),  # it fills its buffer, so it was cut
        ("%s", (S64, -5), "-5"),
        ("%s", (U64, (1 << 64) - 1), "18446744073709551615"),
        ("%+s", (S64, 5), "+5"),
        ("%s", (BOOL, True), "true"),
        ("%s", (COLOUR, 1), "RED"),
        ("%s", (COLOUR, 100), "100"),
        ("%-5s|", (COLOUR, 1), "RED  |"),
        ("%s", (POINTER, 0), "0x0"),
        ("%s", (ValueType("tuple", 16, fields=(Field("", 0, S64), Field("", 8, U64))), (1, 2)), "(1, 2)"),
        ("%s", (ValueType("kstack", 8), StackValue((Frame(0x10, "f", 4),), "bpftrace", user=False)), "\n        f+4\n"),
        # buffers
        ("%r", (BUFFER, b"ab\x00\xff"), "ab\\x00\\xff"),
        ("%rx", (BUFFER, b"ab\x00"), "\\x61\\x62\\x00"),
        ("%rh", (BUFFER, b"ab\x00"), "61 62 00"),
        ("%s", (BUFFER, b"a\n"), "a\\x0a"),
        ("%r", (BUFFER, b""), ""),
        # memory allocation flags
        ("%gr", (U64, 0), "0"),
        ("%gr", (U64, 1), "GFP_DMA"),
        ("%gr", (U32, 0xCC0), "GFP_KERNEL"),
        ("%gr", (U32, 0xDC0), "GFP_KERNEL|__GFP_ZERO"),
        ("%gr", (U64, 1 << 40), "0x10000000000"),
        ("%gr", (U64, 0x8), "0x8"),  # movable alone has no name in the kernel's table
        ("%gr", (U32, 0x1 | 1 << 30), "GFP_DMA|0x40000000"),
    ],
)
def test_a_conversion_prints_what_bpftrace_prints(format, pair, text):
    assert shown(format, pair) == text


def test_text_around_conversions_stays_and_percent_signs_too():
    assert shown("%d%% of %s {%%}", (S64, 5), (string(8), b"x")) == "5% of x {%}"


def test_a_format_without_conversions_is_its_text():
    assert shown("100%% %y\n") == "100% %y\n"


def test_bytes_that_are_not_utf8_survive():
    text = shown("<%s>", (string(8), b"\xff\xc3"))
    assert text.encode("utf-8", "surrogateescape") == b"<\xff\xc3>"


def test_two_characters_can_make_up_one_utf8_sequence():
    text = shown("%c%c", (S64, 0xC3), (S64, 0xA9))
    assert text.encode("utf-8", "surrogateescape") == "é".encode()


@pytest.mark.parametrize(
    "format, arguments, message",
    [
        ("%d", [], "not enough arguments for format string (0 supplied, 1 expected)"),
        ("x", [("int", "int64")], "too many arguments for format string (1 supplied, 0 expected)"),
        ("%d", [("string", "string[4]")], "unsupported format specifier for type 'string[4]': d"),
        ("%r", [("int", "uint8")], "unsupported format specifier for type 'uint8': r"),
        ("%f", [("int", "uint8")], "unsupported format specifier: f"),
        ("%n", [("int", "uint8")], "unsupported format specifier: n"),
        ("%s", [("none", "none")], "unable to print none type for specifier: s"),
        ("%s %d %p %r %gr", [("tuple", ""), ("bool", ""), ("pointer", ""), ("buffer", ""), ("int", "")], ""),
    ],
)
def test_arguments_that_do_not_fit_are_named(format, arguments, message):
    assert complaint(parse_format(format), arguments) == message
