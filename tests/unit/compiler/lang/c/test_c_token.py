"""Tokens of C: what is one, where it is, and what is none."""

from __future__ import annotations

import pytest

from probee.compiler.lang.c.token import lex, lex_lines, to_words
from probee.errors import ParseError


def words(text: str) -> list[tuple[str, str]]:
    return [(word.type, word.value) for word in to_words(lex(text), lambda offset: text.count("\n", 0, offset) + 1)]


def test_every_token_knows_its_offset_and_length() -> None:
    text = "int  counter /* of what */ = 0x10UL;"
    found = to_words(lex(text), None)
    assert [text[w.lineno : w.lineno + w.column] for w in found] == ["int", "counter", "=", "0x10UL", ";"]


def test_longest_operators_win() -> None:
    assert [value for _, value in words("a<<=b>>c->d...++")] == ["a", "<<=", "b", ">>", "c", "->", "d", "...", "++"]


def test_comments_and_continued_lines_are_blanks() -> None:
    assert words("a // b\\\nstill b\n/* c\n */ d\\\n") == [("ID", "a"), ("ID", "d")]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("10", "INT_CONST_DEC"), ("0", "INT_CONST_DEC"), ("017", "INT_CONST_OCT"), ("0xFFull", "INT_CONST_HEX"),
        ("0b101", "INT_CONST_BIN"), ("1.5e3", "FLOAT_CONST"), ("1000000.0", "FLOAT_CONST"), ("'a'", "CHAR_CONST"),
        ("'\\n'", "CHAR_CONST"), ("'\\x41'", "CHAR_CONST"), ("'ab'", "INT_CONST_CHAR"), ('"x\\"y"', "STRING_LITERAL"),
    ],
)  # fmt: skip
def test_constants_are_of_the_kind_their_spelling_has(text: str, kind: str) -> None:
    assert words(text) == [(kind, text)]


@pytest.mark.parametrize("text", ["089", "12abc", "0x", "1uu", "0b12", "1.2.3"])
def test_what_looks_like_a_number_and_is_none_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        words(text)


def test_spellings_of_gnu_are_those_of_c() -> None:
    assert words("__inline__ __volatile__ __typeof__ __extension__ x") == [
        ("INLINE", "inline"), ("VOLATILE", "volatile"), ("TYPEOF", "typeof"), ("ID", "x"),
    ]  # fmt: skip


def test_uint128_is_two_words() -> None:
    assert words("__uint128_t") == [("UNSIGNED", "unsigned"), ("__INT128", "__int128")]


def test_line_is_that_of_the_token() -> None:
    assert words("\n\n__LINE__") == [("INT_CONST_DEC", "3")]


@pytest.mark.parametrize(("text", "message"), [('"abc', "no closing"), ("'a", "no closing"), ("a @ b", "'@'"), ("# x", "'#'")])
def test_strays_are_named(text: str, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        words(text)


def test_comment_that_never_ends_is_refused_where_it_begins() -> None:
    with pytest.raises(ParseError, match="never closed") as caught:
        lex("int x; /* what")
    assert caught.value.span >> 24 == 7


def test_directives_are_lines_of_their_own() -> None:
    lines = list(lex_lines("a\nb\n#define X \\\n 1\nc # d\n", 0, keep_blanks=False))
    assert ["".join(token.value for token in line) for line in lines] == ["ab", "#define X 1\n", "c#d"]


def test_offsets_count_from_where_the_text_begins() -> None:
    assert [token.lineno >> 24 for token in lex("ab c", 100) if token.lineno] == [100, 103]
