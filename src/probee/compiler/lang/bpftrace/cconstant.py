"""Constant expressions of C: enum values, array sizes, bit widths, #if conditions.

They are parsed by the expression parser, whose operators and precedences are C's, and evaluated here with C's division.
What is not a constant integer is an error: sizeof needs layout, which is not known this early.
"""

from __future__ import annotations

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace.cdefinition import CDefinitions
from probee.compiler.lang.bpftrace.parser import parse_expression
from probee.errors import ParseError, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_SHIFT = 63


def evaluate(expr: ast.Expr, lookup: Callable[[str], int | None]) -> int:
    """Return the value; `lookup` gives a name's, None for an unknown one. Raises ParseError at the culprit."""
    if isinstance(expr, ast.IntLiteral):
        return expr.value
    if isinstance(expr, ast.BoolLiteral):
        return int(expr.value)
    if isinstance(expr, ast.Unary):
        value = evaluate(expr.operand, lookup)
        return -value if expr.op == "-" else ~value if expr.op == "~" else int(not value)
    if isinstance(expr, ast.Binary):
        return _binary(expr, evaluate(expr.left, lookup), evaluate(expr.right, lookup))
    if isinstance(expr, ast.Logical):
        left = bool(evaluate(expr.left, lookup))
        if left == (expr.op == "||"):
            return int(left)
        return int(bool(evaluate(expr.right, lookup)))
    if isinstance(expr, ast.Ternary):
        condition = evaluate(expr.condition, lookup)
        if not condition:
            return evaluate(expr.otherwise, lookup)
        return condition if expr.then is None else evaluate(expr.then, lookup)
    if isinstance(expr, ast.Cast):
        return evaluate(expr.operand, lookup)
    if isinstance(expr, ast.Identifier):
        found = lookup(expr.name)
        if found is not None:
            return found
        raise ParseError(f"'{expr.name}' is not a constant known here", expr.span)
    raise ParseError("not a constant integer expression", expr.span)


def _binary(expr: ast.Binary, left: int, right: int) -> int:
    op = expr.op
    if op in ("/", "%"):
        if right == 0:
            raise ParseError("division by zero in a constant expression", expr.span)
        quotient = abs(left) // abs(right)
        quotient = quotient if (left < 0) == (right < 0) else -quotient
        return quotient if op == "/" else left - right * quotient
    if op in ("<<", ">>") and not 0 <= right <= _MAX_SHIFT:
        raise ParseError("shift by more than 63 bits in a constant expression", expr.span)
    return _ARITHMETIC[op](left, right)


_ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
    "<<": lambda a, b: a << b,
    ">>": lambda a, b: a >> b,
    "==": lambda a, b: int(a == b),
    "!=": lambda a, b: int(a != b),
    "<": lambda a, b: int(a < b),
    "<=": lambda a, b: int(a <= b),
    ">": lambda a, b: int(a > b),
    ">=": lambda a, b: int(a >= b),
}


class Names:
    """Looks names up among the enum members and macros defined so far; a macro's text is evaluated on demand."""

    __slots__ = ("_active", "_definitions")

    def __init__(self, definitions: CDefinitions) -> None:
        self._definitions = definitions
        self._active: list[str] = []

    def __call__(self, name: str) -> int | None:
        """Return the value of a name, None if it has none."""
        if name in self._definitions.constants:
            return self._definitions.constants[name]
        macro = self._definitions.macros.get(name)
        if macro is None or name in self._active:
            return None
        self._active.append(name)
        try:
            return evaluate(parse_expression(Source(name, macro.text)), self)
        except ParseError:
            return None
        finally:
            self._active.pop()

    def or_zero(self, name: str) -> int:
        """Return the value of a name in a #if, where an unknown one is 0."""
        return self(name) or 0
