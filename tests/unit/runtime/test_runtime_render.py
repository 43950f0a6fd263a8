"""Compiled printf: whatever the format and the types, it gives the text that compile_format gives, alone and in runs."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime_names import Names

from probee.model.printf import compile_format, parse_format
from probee.model.spec import Action
from probee.model.value import ValueType, integer, string
from probee.runtime.decode import record_decoder
from probee.runtime.render import printf_functions

INTEGERS = [integer(size, signed=signed) for size in (1, 2, 4, 8) for signed in (True, False)]
TYPES = [
    *INTEGERS, ValueType("bool", 1), ValueType("pointer", 8), ValueType("enum", 4, table={0: "ZERO", 1: "ONE"}), string(8),
    ValueType("ksym", 8), ValueType("macaddr", 8),
]  # fmt: skip
NUMBERS = ("int", "bool", "pointer", "enum")


@st.composite
def arguments(draw):
    type = draw(st.sampled_from(TYPES))
    specifier = draw(st.sampled_from("diuxXocps" if type.kind in NUMBERS else "s"))
    flags = "".join([flag for flag in "-+ #0" if draw(st.booleans())])
    width = draw(st.sampled_from(["", "1", "5", "12", "*"]))
    length = draw(st.sampled_from(["", "hh", "h", "l", "ll", "j"]))
    return type, f"%{flags}{width}{length}{specifier}"


@settings(deadline=None, max_examples=400)
@given(st.lists(arguments(), min_size=1, max_size=4), st.data())
def test_compiled_text_is_the_text_of_the_values(parts, data):
    fields, at = [], 8
    for type, _ in parts:
        at = (at + type.size - 1) // type.size * type.size
        fields.append((at, type))
        at += type.size
    action = Action("printf", " | ".join([conversion for _, conversion in parts]) + " 100%%\n", fields=tuple(fields), size=at)
    bodies = [data.draw(st.binary(min_size=at - 8, max_size=at - 8)) for _ in range(3)]
    check(action, [pack("<Q", 0) + body for body in bodies])


def check(action: Action, records: list[bytes]) -> list[str]:
    decode = record_decoder(action.fields, action.size, Names())
    render = compile_format(parse_format(action.text), [type for _, type in action.fields])
    wanted = [render(decode(record, 0, len(record))) for record in records]
    one, many = printf_functions(action, Names(), "..")
    buffer, places = b"", []
    for record in records:
        places.append(len(buffer) + 8)
        buffer += pack("<II", len(record), 0) + record.ljust((len(record) + 7) & -8, b"\0")
    alone = [one(buffer, at, len(record)) for at, record in zip(places, records, strict=True)]
    assert [event.text for event in alone] == wanted
    if many is not None:
        together = many(buffer, 8, len(records))
        assert [event.text for event in together] == wanted
        assert [event.arguments for event in together] == [decode(record, 0, len(record)) for record in records]
    return wanted


def test_a_format_without_arguments_is_its_text():
    one, many = printf_functions(Action("printf", "50%% done\n", size=8), Names(), "..")
    assert (one(bytes(8), 0, 8).text, one(bytes(8), 0, 8).arguments, many) == ("50% done\n", (), None)


def test_a_record_of_varying_size_may_be_shorter_than_its_fields():
    action = Action("printf", "%r\n", fields=((8, ValueType("buffer", 20)),), size=0)
    one, _ = printf_functions(action, Names(), "..")
    record = pack("<QI", 0, 2) + b"ab"
    assert one(record + b"more", 0, len(record)).text == "ab\n"


@pytest.mark.parametrize("trailer, text", [("..", "12345678.."), ("", "12345678")])
def test_strings_that_fill_their_buffer_get_the_trailer(trailer, text):
    one, _ = printf_functions(Action("printf", "%s", fields=((8, string(8)),), size=16), Names(), trailer)
    assert one(bytes(8) + b"12345678", 0, 16).text == text
