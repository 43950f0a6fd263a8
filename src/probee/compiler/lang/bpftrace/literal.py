"""Integer and string literals: their lexical extent and their value.

An integer's text is taken first (digits, underscores, exponent, suffix) and valued second, by the rules that hold for
numbers in attach points and positional parameters (probes/number.py).
Strings have byte semantics: the value is the UTF-8 of the text with escapes replaced.
"""

from __future__ import annotations

from probee.compiler.lang.bpftrace.ast import IntLiteral, StringLiteral
from probee.compiler.lang.bpftrace.scanner import DIGITS, WORD_START, Scanner
from probee.errors import make_span
from probee.probes.number import U64_MAX, parse_unsigned

_HEX = frozenset("0123456789abcdefABCDEF")
_OCTAL = frozenset("01234567")
_ESCAPES = {"n": b"\n", "t": b"\t", "r": b"\r", '"': b'"', "\\": b"\\"}


def to_uint(text: str) -> int:
    """Return the value of an integer as written: decimal, hex, octal, NeM, C suffixes in any case, durations in ns.

    Raises ValueError whose text is the complaint.
    """
    if len(text) > 1000:  # also keeps Python's own limit on digits out of sight
        raise ValueError(f"overflow error, maximum value is {U64_MAX}: {text[:40]}…")
    digits = text.rstrip("uUlL")
    return parse_unsigned(digits + text[len(digits) :].lower())


def integer_text(s: Scanner) -> str:
    """Take an integer's characters after layout; "" if no digit is there."""
    s.skip()
    start = s.at
    text = s.text
    if text[start] == "0" and text[start + 1] in "xX":
        s.at += 2
        _digits(s, _HEX)
        _c_suffix(s)
    else:
        _digits(s, DIGITS)
        if s.at == start:
            return ""
        if text[s.at] in "eE":
            s.at += 1
            _digits(s, DIGITS)
        _suffix(s)
    if text[s.at] in WORD_START:
        bad = s.at
        s.at = s.word_end(bad)
        raise s.error(f"invalid integer suffix '{text[bad : s.at]}'", bad, s.at)
    return text[start : s.at]


def _digits(s: Scanner, allowed: frozenset[str]) -> None:
    """Move over digits and underscores."""
    start = s.at
    text = s.text
    while text[s.at] in allowed or text[s.at] == "_":
        s.at += 1
    if s.at > start and text[s.at - 1] == "_":
        raise s.error("trailing underscore in integer literal", s.at - 1, s.at)


def _suffix(s: Scanner) -> None:
    """Move over a duration or C suffix; what follows it is the caller's concern."""
    two = s.text[s.at : s.at + 2]
    if two in ("ns", "us", "ms"):
        s.at += 2
    elif two[0] in "smhd":
        s.at += 1
    else:
        _c_suffix(s)


def _c_suffix(s: Scanner) -> None:
    """Move over `u`, `l`, `ll`, `ul` or `ull` in any case."""
    if s.text[s.at] in "uU":
        s.at += 1
    for _ in range(2):
        if s.text[s.at] in "lL":
            s.at += 1


def integer(s: Scanner) -> IntLiteral:
    """Take an integer literal."""
    start = s.at
    text = integer_text(s)
    try:
        value = to_uint(text)
    except ValueError as error:
        raise s.error(str(error), start, s.at) from None
    unsigned = not text.endswith("s") and "u" in text[-3:].lower()
    return IntLiteral(make_span(start, s.at), value, unsigned, text)


def string(s: Scanner) -> StringLiteral:
    """Take a string literal; the position is at its opening quote."""
    start = s.at
    value = _string_value(s)
    return StringLiteral(make_span(start, s.at), value)


def _string_value(s: Scanner) -> bytes:
    text, opening = s.text, s.at
    s.at += 1
    pieces: list[bytes] = []
    while True:
        start = s.at
        at = start
        while text[at] not in '"\\\n\0':
            at += 1
        if at > start:
            pieces.append(_bytes(s, start, at))
        s.at = at
        c = text[at]
        if c == '"':
            s.at += 1
            return b"".join(pieces)
        if c != "\\":
            raise s.error("unterminated string", opening, at)
        pieces.append(_escape(s, opening))


def _bytes(s: Scanner, start: int, end: int) -> bytes:
    """Return the UTF-8 of a range of the text; bytes that were not UTF-8 when the text was read come back as they were."""
    try:
        return s.text[start:end].encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        bad = start + error.start
        raise s.error("character that has no UTF-8 form", bad, bad + 1) from None


def _escape(s: Scanner, opening: int) -> bytes:
    """Take one escape sequence; the position is at its backslash."""
    start = s.at
    s.at += 1
    c = s.text[s.at]
    if c in _ESCAPES:
        s.at += 1
        return _ESCAPES[c]
    if c in _OCTAL:
        digits = _run(s, _OCTAL, 3)
        if int(digits, 8) > 0xFF:
            raise s.error(f"octal escape sequence out of range '\\{digits}'", start, s.at)
        return bytes((int(digits, 8),))
    if c in "xX":
        s.at += 1
        digits = _run(s, _HEX, 2)
        if not digits:
            raise s.unexpected("invalid hex escape sequence")
        return bytes((int(digits, 16),))
    if s.at >= s.end:
        raise s.error("unterminated string", opening, s.end)
    raise s.unexpected(f"invalid escape character '\\{c}'")


def _run(s: Scanner, allowed: frozenset[str], limit: int) -> str:
    """Take up to `limit` characters of a set."""
    start = s.at
    while s.at - start < limit and s.text[s.at] in allowed:
        s.at += 1
    return s.text[start : s.at]

