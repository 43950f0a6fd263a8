"""Integer, character and string constants, as their tokens spell them.  ISO C 6.4.4, 6.4.5."""

from __future__ import annotations

from probee.compiler.lang.c.value import INT, LONG, LONG_LONG, UNSIGNED, UNSIGNED_LONG, UNSIGNED_LONG_LONG
from probee.errors import ParseError
from probee.model.ctype import CType

_ESCAPES = {"n": 10, "t": 9, "r": 13, "0": 0, "a": 7, "b": 8, "f": 12, "v": 11, "e": 27, "\\": 92, "'": 39, '"': 34, "?": 63}


def integer_constant(text: str, kind: str, span: int) -> tuple[int, CType]:
    """Return a constant's number and type: the first that holds it, of those that its suffix and base allow."""
    if kind == "char" or text.endswith("'"):
        data = string_bytes(text, span, quote="'")
        if not data:
            raise ParseError("this character constant is empty", span)
        return (data[-1] ^ 0x80) - 0x80 if len(data) == 1 else int.from_bytes(data, "big"), INT
    digits = text.rstrip("uUlL")
    suffix = text[len(digits) :].lower()
    decimal = not digits.startswith("0") or digits == "0"
    try:
        number = int(digits, 10) if decimal else int(digits, 8) if digits[1:].isdigit() else int(digits, 0)
    except ValueError:
        raise ParseError(f"'{text}' is not a number", span) from None
    for ctype, limit in _candidates(suffix, decimal):
        if number < limit:
            return number, ctype
    return number & ((1 << 64) - 1), UNSIGNED_LONG_LONG


def _candidates(suffix: str, decimal: bool) -> list[tuple[CType, int]]:
    unsigned, longs = "u" in suffix, suffix.count("l")
    rows: list[tuple[CType, int]] = []
    if longs == 0:
        rows += [(UNSIGNED, 1 << 32)] if unsigned else [(INT, 1 << 31)] + ([] if decimal else [(UNSIGNED, 1 << 32)])
    wide = LONG_LONG if longs == 2 else LONG
    if not unsigned:
        rows.append((wide, 1 << 63))
    if unsigned or not decimal:
        rows.append((UNSIGNED_LONG_LONG if longs == 2 else UNSIGNED_LONG, 1 << 64))
    return rows


def string_bytes(text: str, span: int, *, quote: str = '"') -> bytes:
    """Return what a literal stands for; adjacent ones are one token by now, perhaps with their quotes in between."""
    start = text.find(quote)
    body = text[start + 1 : text.rfind(quote)]
    out = bytearray()
    at = 0
    while at < len(body):
        c = body[at]
        at += 1
        if c != "\\" or at >= len(body):
            out += c.encode("utf-8", "surrogateescape")
            continue
        value, at = _escape(body, at, span)
        out.append(value)
    return bytes(out)


def _escape(body: str, at: int, span: int) -> tuple[int, int]:
    """Return the byte of an escape and where it ends; `at` is behind the backslash."""
    c = body[at]
    if c == "x":
        end = at + 1
        while end < len(body) and body[end] in "0123456789abcdefABCDEF":
            end += 1
        if end == at + 1:
            raise ParseError("\\x without digits", span)
        return int(body[at + 1 : end], 16) & 0xFF, end
    if c in "01234567":
        end = at + 1
        while end < min(len(body), at + 3) and body[end] in "01234567":
            end += 1
        return int(body[at:end], 8) & 0xFF, end
    if c not in _ESCAPES:
        raise ParseError(f"unknown escape \\{c}", span)
    return _ESCAPES[c], at + 1
