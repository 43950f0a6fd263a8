"""Conditions of #if: integer expressions of at least 64 bits, where a name that is no macro is 0.

pcpp evaluates them, too; but it knows neither the suffix ULL nor where in the text a mistake is.
"""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.lang.c import token as c
from probee.compiler.lang.c.token import Token
from probee.errors import ParseError

_MASK = (1 << 64) - 1
_PRECEDENCE = {
    "||": 1, "&&": 2, "|": 3, "^": 4, "&": 5, "==": 6, "!=": 6, "<": 7, ">": 7, "<=": 7, ">=": 7, "<<": 8, ">>": 8,
    "+": 9, "-": 9, "*": 10, "/": 10, "%": 10,
}  # fmt: skip


class _Reader:
    """Tokens and where we are in them; a value is (integer, is unsigned)."""

    def __init__(self, tokens: list[Token], span: int, constant: Callable[[str], int]) -> None:
        self.tokens = [token for token in tokens if token.type != c.SPACE]
        self.at = 0
        self.span = span
        self.constant = constant

    def peek(self) -> str:
        return self.tokens[self.at].value if self.at < len(self.tokens) else ""

    def error(self, message: str) -> ParseError:
        place = self.tokens[self.at].lineno if self.at < len(self.tokens) else self.span
        return ParseError(f"{message} in the condition of #if", place or self.span)

    def accept(self, value: str) -> bool:
        if self.peek() != value:
            return False
        self.at += 1
        return True

    def expect(self, value: str) -> None:
        if not self.accept(value):
            raise self.error(f"missing {value!r}")

    def ternary(self) -> tuple[int, bool]:
        condition = self.binary(1)
        if not self.accept("?"):
            return condition
        yes = self.ternary()
        self.expect(":")
        no = self.ternary()
        return yes if condition[0] else no

    def binary(self, least: int) -> tuple[int, bool]:
        left = self.unary()
        while (strength := _PRECEDENCE.get(self.peek(), 0)) >= least:
            operator = self.peek()
            self.at += 1
            left = self.apply(operator, left, self.binary(strength + 1))
        return left

    def apply(self, operator: str, left: tuple[int, bool], right: tuple[int, bool]) -> tuple[int, bool]:
        unsigned = left[1] or right[1]
        a, b = (left[0] & _MASK, right[0] & _MASK) if unsigned else (left[0], right[0])
        if operator in ("/", "%"):
            if b == 0:
                return 0, unsigned  # as a condition that is never evaluated would have it
            quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
            return _wrap(quotient if operator == "/" else a - b * quotient, unsigned)
        if operator in ("<<", ">>"):
            shift = right[0] & 63
            return _wrap(left[0] << shift if operator == "<<" else left[0] >> shift, left[1])
        if operator in _ARITHMETIC:
            return _wrap(_ARITHMETIC[operator](a, b), unsigned)
        return int(_LOGICAL[operator](a, b)), False

    def unary(self) -> tuple[int, bool]:
        for operator in ("!", "~", "-", "+"):
            if self.accept(operator):
                value, unsigned = self.unary()
                if operator == "!":
                    return int(not value), False
                return _wrap({"~": ~value, "-": -value, "+": value}[operator], unsigned)
        if self.accept("("):
            inside = self.ternary()
            self.expect(")")
            return inside
        return self.primary()

    def primary(self) -> tuple[int, bool]:
        if self.at >= len(self.tokens):
            raise self.error("something is missing")
        token = self.tokens[self.at]
        if token.type == c.INTEGER:
            number = _integer(token.value)
            if number is None:
                raise self.error(f"{token.value} is no integer")
            self.at += 1
            return number
        if token.type == c.CHARACTER:
            self.at += 1
            return ord(token.value[-2]), False
        if token.type != c.ID:
            raise self.error(f"unexpected {token.value!r}")
        self.at += 1
        if self.peek() == "(":
            raise self.error(f"{token.value} is no macro, it cannot be called")
        return {"true": 1, "false": 0}.get(token.value, self.constant(token.value)), False


_ARITHMETIC = {
    "+": int.__add__, "-": int.__sub__, "*": int.__mul__, "|": int.__or__, "^": int.__xor__, "&": int.__and__,
}  # fmt: skip
_LOGICAL: dict[str, Callable[[int, int], bool]] = {
    "||": lambda a, b: bool(a or b), "&&": lambda a, b: bool(a and b), "==": int.__eq__, "!=": int.__ne__,
    "<": int.__lt__, ">": int.__gt__, "<=": int.__le__, ">=": int.__ge__,
}  # fmt: skip


def _wrap(value: int, unsigned: bool) -> tuple[int, bool]:
    value &= _MASK
    return (value, True) if unsigned else (value - (value >> 63 << 64), False)


def _integer(text: str) -> tuple[int, bool] | None:
    lower = text.lower()
    digits = lower.rstrip("ul")
    try:
        octal = len(digits) > 1 and digits[0] == "0" and digits.isdecimal()
        return _wrap(int(digits, 8 if octal else 0), "u" in lower[len(digits) :])
    except ValueError:
        return None


def evaluate_condition(tokens: list[Token], span: int, constant: Callable[[str], int]) -> int:
    """Return the value of an expanded condition; `constant` answers for names that are no macros."""
    reader = _Reader(tokens, span, constant)
    value, _ = reader.ternary()
    if reader.at < len(reader.tokens):
        raise reader.error(f"unexpected {reader.peek()!r}")
    return value
