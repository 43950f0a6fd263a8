"""Attach points split into parts."""

from __future__ import annotations

import pytest

from probee.compiler.lang.bpftrace.ast import AttachPointText
from probee.compiler.lang.bpftrace.attachpoint import split
from probee.errors import ParseError, make_span

PARTS = {
    "begin": ["begin"],
    "k:f": ["k", "f"],
    "k:f:": ["k", "f", ""],
    "::": ["", "", ""],
    "u:/bin/sh:f+0x10": ["u", "/bin/sh", "f+0x10"],
    'u:"/a:b":f': ["u", "/a:b", "f"],
    'u:/a/"b c"/d:f': ["u", "/a/b c/d", "f"],
    r'u:x:"f(\"a\\b\")"': ["u", "x", 'f("a\\b")'],
    "u:bin@file.c:12:3": ["u", "bin", "@", "file.c", "12", "3"],
    'u:"bin@x"@f.c:1': ["u", "bin@x", "@", "f.c", "1"],
    "name=k:f": ["name=k", "f"],
    'k:"$1"': ["k", "$1"],
    "k:$1": ["k", "first"],
    "k:a$1b": ["k", "afirstb"],
    "u:$2": ["u", "/bin/x", "fn"],
    "k:$3": ["k", ""],
    "k:$4": ["k", "a:b"],
    "k:$5": ["k", "first"],
    "k:$9": ["k", ""],
    "i:s:$1$1": ["i", "s", "firstfirst"],
}
PARAMS = ("first", "/bin/x:fn", "", '"a:b"', "$1")


@pytest.mark.parametrize(("text", "parts"), PARTS.items())
def test_parts(text: str, parts: list[str]) -> None:
    assert split(AttachPointText(0, text), PARAMS) == parts


ERRORS = {
    "k:$0": (
        'invalid trailing character for positional param: 0. Try quoting this entire part if this is intentional e.g. "$0".'
    ),
    "k:$x": (
        'invalid trailing character for positional param: x. Try quoting this entire part if this is intentional e.g. "$x".'
    ),
    "k:$": "positional parameter is not valid: invalid integer: ",
    "k:$99999999999999999999": (
        "positional parameter is not valid: overflow error, maximum value is 18446744073709551615: 99999999999999999999"
    ),
    'k:"f': 'missing end quote in attach point: k:"f',
    "k:$6": "positional parameters in an attach point refer to each other",
}


@pytest.mark.parametrize(("text", "message"), ERRORS.items())
def test_what_is_refused(text: str, message: str) -> None:
    span = make_span(5, 9)
    with pytest.raises(ParseError) as caught:
        split(AttachPointText(span, text), (*PARAMS, "$6"))
    assert (caught.value.message, caught.value.span) == (message, span)
