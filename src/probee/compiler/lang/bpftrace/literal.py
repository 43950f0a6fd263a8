"""Integer and string literals: their lexical extent and their value.

An integer's text is taken first (digits, underscores, exponent, suffix) and valued second, since positional parameters
and attach point fields are valued by the same rules without having been lexed: to_uint() is for them, too.
Strings have byte semantics: the value is the UTF-8 of the text with escapes replaced.
"""

from __future__ import annotations

from probee.compiler.lang.bpftrace.ast import IntLiteral, StringLiteral
from probee.compiler.lang.bpftrace.scanner import DIGITS, WORD_START, Scanner
from probee.errors import make_span

UINT64_MAX = (1 << 64) - 1
_HEX = frozenset("0123456789abcdefABCDEF")
_OCTAL = frozenset("01234567")
_ESCAPES = {"n": b"\n", "t": b"\t", "r": b"\r", '"': b'"', "\\": b"\\"}

#: suffix → (largest value before scaling is applied, factor); durations become nanoseconds
_SUFFIXES = {
    "": (UINT64_MAX, 1),
    "u": ((1 << 32) - 1, 1),
    "ul": (UINT64_MAX, 1),
    "ull": (UINT64_MAX, 1),
    "l": ((1 << 63) - 1, 1),
    "ll": ((1 << 63) - 1, 1),
    "ns": (UINT64_MAX, 1),
    "us": (UINT64_MAX, 1_000),
    "ms": (UINT64_MAX, 1_000_000),
    "s": (UINT64_MAX, 1_000_000_000),
    "m": (UINT64_MAX, 60_000_000_000),
    "h": (UINT64_MAX, 3_600_000_000_000),
    "d": (UINT64_MAX, 86_400_000_000_000),
}
_C_SUFFIXES = frozenset(("u", "ul", "ull", "l", "ll"))


def to_uint(text: str) -> int:
    """Return the value of an integer as written: decimal, hex, octal, 0b, NeM, suffixes, durations.

    Raises ValueError whose text is the complaint.
    """
    plain = text.replace("_", "")
    base, digits = _split_base(plain)
    at = 0
    allowed = _HEX if base == 16 else "0123456789"[:base]
    while at < len(digits) and digits[at] in allowed:
        at += 1
    if at == 0:
        raise ValueError(f"invalid integer: {text}")
    value = int(digits[:at], base) if len(digits[:at].lstrip("0")) <= 64 else UINT64_MAX + 1
    _check_range(value, UINT64_MAX, text)
    suffix = digits[at:]
    if suffix[:1] in ("e", "E") and suffix[1:2] in tuple("123456789"):
        value, suffix = _exponent(value, suffix[1:], text)
    known = _SUFFIXES.get(suffix if suffix.lower() not in _C_SUFFIXES else suffix.lower())
    if known is None:
        raise ValueError(f"invalid trailing bytes: {text}")
    limit, factor = known
    _check_range(value, limit // factor, text, limit)
    return value * factor


def _split_base(plain: str) -> tuple[int, str]:
    """Return (base, what follows its prefix)."""
    head = plain[:2].lower()
    if head == "0x":
        return 16, plain[2:]
    if head == "0b":
        return 2, plain[2:]
    if len(head) == 2 and head[0] == "0" and head[1] in _OCTAL:
        return 8, plain[1:]
    return 10, plain


def _exponent(value: int, rest: str, text: str) -> tuple[int, str]:
    """Apply `e<digits>`; return (value, suffix)."""
    if not 1 <= value <= 9:
        raise ValueError(f"coefficient part of scientific literal must be 1-9: {text}")
    at = 0
    while rest[at : at + 1] in DIGITS:
        at += 1
    power = int(rest[:at]) if at < 5 else 99
    value *= 10 ** min(power, 99)
    _check_range(value, UINT64_MAX, text)
    return value, rest[at:]


def _check_range(value: int, limit: int, text: str, shown: int = UINT64_MAX) -> None:
    if value > limit:
        raise ValueError(f"overflow error, maximum value is {shown}: {text}")


def to_int(text: str) -> int:
    """Return the value of an integer that may carry a minus sign; ValueError as to_uint, for 64 bits signed."""
    if text.startswith("-"):
        value = -to_uint(text[1:])
        if value < -(1 << 63):
            raise ValueError(f"overflow error, maximum value is {(1 << 63) - 1}: {text}")
        return value
    value = to_uint(text)
    _check_range(value, (1 << 63) - 1, text, (1 << 63) - 1)
    return value


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
    text = s.text
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
            raise s.unexpected("unterminated string")
        pieces.append(_escape(s))


def _bytes(s: Scanner, start: int, end: int) -> bytes:
    """Return the UTF-8 of a range of the text; bytes that were not UTF-8 when the text was read come back as they were."""
    try:
        return s.text[start:end].encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        bad = start + error.start
        raise s.error("character that has no UTF-8 form", bad, bad + 1) from None


def _escape(s: Scanner) -> bytes:
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
        raise s.unexpected("unterminated string")
    raise s.unexpected(f"invalid escape character '\\{c}'")


def _run(s: Scanner, allowed: frozenset[str], limit: int) -> str:
    """Take up to `limit` characters of a set."""
    start = s.at
    while s.at - start < limit and s.text[s.at] in allowed:
        s.at += 1
    return s.text[start : s.at]

