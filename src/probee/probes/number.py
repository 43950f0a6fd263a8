"""Numbers inside attach points: `99`, `0x10`, `1_000`, `1e6`, `10ms`.

The rules are those of bpftrace's number arguments (attach points, positional parameters); durations become nanoseconds.
The errors are ValueErrors whose texts are bpftrace's, because users of both see them.  Literals in program text follow
other rules: those are the lexer's.
"""

from __future__ import annotations

U64_MAX = (1 << 64) - 1

# suffix → (largest value, multiplier)
_SUFFIXES = {
    "": (U64_MAX, 1),
    "u": ((1 << 32) - 1, 1),
    "ul": (U64_MAX, 1),
    "ull": (U64_MAX, 1),
    "l": ((1 << 63) - 1, 1),
    "ll": ((1 << 63) - 1, 1),
    "ns": (U64_MAX, 1),
    "us": (U64_MAX, 1_000),
    "ms": (U64_MAX, 1_000_000),
    "s": (U64_MAX, 1_000_000_000),
    "m": (U64_MAX, 60_000_000_000),
    "h": (U64_MAX, 3_600_000_000_000),
    "d": (U64_MAX, 86_400_000_000_000),
}
_DIGITS = {2: "01", 8: "01234567", 10: "0123456789", 16: "0123456789abcdefABCDEF"}


def parse_unsigned(text: str) -> int:
    """Return the value of an unsigned number, durations in nanoseconds; raises ValueError with bpftrace's text."""
    rest = text.replace("_", "")
    base, rest = _split_base(rest)
    digits = _leading(rest, base)
    if not digits:
        raise ValueError(f"invalid integer: {text}")
    value = int(digits, base)
    rest = rest[len(digits) :]
    if value > U64_MAX:
        raise ValueError(f"overflow error, maximum value is {U64_MAX}: {text}")
    if rest[:1] in ("e", "E") and rest[1:2] in tuple("123456789"):
        value, rest = _exponent(value, rest[1:], text)
    if rest not in _SUFFIXES:
        raise ValueError(f"invalid trailing bytes: {text}")
    largest, multiplier = _SUFFIXES[rest]
    if value > largest // multiplier:
        raise ValueError(f"overflow error, maximum value is {largest}: {text}")
    return value * multiplier


def parse_signed(text: str) -> int:
    """Like `parse_unsigned`, with an optional minus sign."""
    return -parse_unsigned(text[1:]) if text.startswith("-") else parse_unsigned(text)


def _split_base(text: str) -> tuple[int, str]:
    start = text[:2].lower()
    if start == "0x":
        return 16, text[2:]
    if start == "0b":
        return 2, text[2:]
    if len(start) == 2 and start[0] == "0" and start[1] in _DIGITS[10]:
        return 8, text
    return 10, text


def _leading(text: str, base: int) -> str:
    allowed = _DIGITS[base]
    end = 0
    while end < len(text) and text[end] in allowed:
        end += 1
    return text[:end]


def _exponent(value: int, rest: str, text: str) -> tuple[int, str]:
    if not 1 <= value <= 9:
        raise ValueError(f"coefficient part of scientific literal must be 1-9: {text}")
    digits = _leading(rest, 10)
    value = value * 10 ** min(int(digits), 30)
    if value > U64_MAX:
        raise ValueError(f"overflow error, maximum value is {U64_MAX}: {text}")
    return value, rest[len(digits) :]
