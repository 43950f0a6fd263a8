"""Conditions of #if."""

from __future__ import annotations

import pytest

from probee.compiler.lang.c.condition import evaluate_condition
from probee.compiler.lang.c.token import lex
from probee.errors import ParseError


def value(text: str) -> int:
    return evaluate_condition(lex(text), 0, lambda name: {"KNOWN": 7}.get(name, 0))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7), ("(1 + 2) * 3", 9), ("10 - 4 - 3", 3), ("1ULL << 40", 1 << 40), ("1 ? 2 : 3", 2),
        ("0 ? 2 : 1 ? 4 : 5", 4),
        ("!0 && ~0", 1), ("-7 / 2", -3), ("-7 % 2", -1), ("0x10 | 010", 24), ("5 > 3", 1), ("-1 > 0", 0),
        ("-1 > 0u", 1),
        ("'A'", 65), ("KNOWN", 7), ("unknown", 0), ("true", 1), ("1 << 2 + 1", 8), ("3 == 3 != 0", 1), ("6 & 3 ^ 1", 3),
    ],
)  # fmt: skip
def test_conditions_have_the_value_that_c_gives_them(text: str, expected: int) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 +", "something is missing"),
        ("(1", "missing '\\)'"),
        ("1 2", "unexpected '2'"),
        ("1.5", "no integer"),
        ("f(1)", "no macro"),
    ],
)
def test_what_is_no_condition_is_refused(text: str, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        value(text)
