"""Expressions: operators by precedence, prefixes and postfix forms; what they apply to is parser_primary's.

Binary operators are reduced on explicit stacks, so a chain of any length takes one Python frame; nesting is counted by
Scanner.enter(). Parenthesised groups keep the inner expression's span, and a binary expression's span runs from its left
operand's start to where its right operand's text ends, so the columns of diagnostics are upstream's.
"""

from __future__ import annotations

# the two modules need each other, but only when they are called
from probee.compiler.lang.bpftrace import ast, parser_primary
from probee.compiler.lang.bpftrace.ast import Expr
from probee.compiler.lang.bpftrace.literal import integer_text, to_uint
from probee.compiler.lang.bpftrace.scanner import DIGITS, Scanner
from probee.errors import make_span

PRECEDENCE = {
    "||": 1, "&&": 2, "|": 3, "^": 4, "&": 5, "==": 6, "!=": 6, "<": 7, "<=": 7, ">": 7, ">=": 7,
    "<<": 8, ">>": 8, "+": 9, "-": 9, "*": 10, "/": 10, "%": 10,
}  # fmt: skip
_OPERATOR_START = frozenset("|&^=!<>+-*/%")
_COMPOUND = frozenset(("+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "++", "--"))
_POSTFIX_START = frozenset(".-[+")


def expression(s: Scanner) -> Expr:
    """Take an expression."""
    s.enter()
    result = continue_expression(s, unary(s))
    s.leave()
    return result


def continue_expression(s: Scanner, left: Expr) -> Expr:
    """Take the operators that follow an operand that was taken already."""
    condition = _binary(s, left)
    mark = s.at
    s.skip()
    if s.text[s.at] != "?":
        s.at = mark
        return condition
    s.at += 1
    start = condition.span >> 24
    then = None
    if not s.match(":"):
        then = expression(s)
        s.expect(":")
    otherwise = expression(s)
    return ast.Ternary(make_span(start, s.at), condition, then, otherwise)


def _operator(s: Scanner) -> str:
    """Return the binary operator that stands right here, "" for none."""
    text = s.text
    at = s.at
    if text[at] not in _OPERATOR_START:
        return ""
    two = text[at : at + 2]
    if two in PRECEDENCE:
        return "" if two[0] == two[1] and two[0] in "<>" and text[at + 2] == "=" else two
    if two in _COMPOUND:
        return ""
    one = two[0]
    if one == "/" and text[s.layout_end(at + 1)] == "{":
        return ""  # closes a predicate
    return one if one in PRECEDENCE else ""


def _binary(s: Scanner, left: Expr) -> Expr:
    """Take `left op right op …` by precedence; all operators are left-associative."""
    operands = [left]
    ends = [s.at]
    pending: list[str] = []
    while True:
        mark = s.at
        s.skip()
        op = _operator(s)
        if not op:
            s.at = mark
            break
        s.at += len(op)
        while pending and PRECEDENCE[pending[-1]] >= PRECEDENCE[op]:
            _reduce(operands, ends, pending)
        pending.append(op)
        operands.append(unary(s))
        ends.append(s.at)
    while pending:
        _reduce(operands, ends, pending)
    return operands[0]


def _reduce(operands: list[Expr], ends: list[int], pending: list[str]) -> None:
    """Replace the two topmost operands by their combination."""
    op = pending.pop()
    right = operands.pop()
    ends[-2:] = [ends[-1]]
    left = operands[-1]
    span = make_span(left.span >> 24, ends[-1])
    make = ast.Logical if op in ("&&", "||") else ast.Binary
    operands[-1] = make(span, op, left, right)


def unary(s: Scanner) -> Expr:
    """Take an operand with its prefix operators and postfix forms."""
    s.skip()
    c = s.text[s.at]
    if c in "-!~*&+":
        found = _prefix(s, c)
        if found is not None:
            return found
    return postfix(s, parser_primary.primary(s))


def _prefix(s: Scanner, c: str) -> Expr | None:
    """Take a prefix operator and its operand; None if `c` does not start one."""
    start = s.at
    following = s.text[start + 1]
    if following == c and c in "+-":
        return _increment(s, c + c)
    if c == "+" or (c == "!" and following == "="):
        return None
    s.at += 1
    if c == "&":
        return _address_of(s, start)
    s.enter()
    operand = unary(s)
    s.leave()
    span = make_span(start, s.at)
    return ast.Deref(span, operand) if c == "*" else ast.Unary(span, c, operand)


def _increment(s: Scanner, op: str) -> Expr:
    start = s.at
    s.at += 2
    s.enter()
    target = unary(s)
    s.leave()
    if not isinstance(target, (ast.Variable, ast.MapRef, ast.MapAccess)):
        begin = target.span >> 24
        raise s.error("increment/decrement requires a variable or map", begin, begin + (target.span & 0xFFFFFF))
    return ast.IncDec(make_span(start, s.at), op, True, target)


def _address_of(s: Scanner, start: int) -> Expr:
    s.skip()
    at = s.at
    c = s.text[at]
    if c not in "$@":
        raise s.unexpected("address-of operator (&) can only be used on a map or variable")
    name = s.sigil_name()
    span = make_span(at, s.at)
    operand = ast.Variable(span, name) if c == "$" else ast.MapRef(span, name)
    return ast.AddressOf(make_span(start, s.at), operand)


def postfix(s: Scanner, operand: Expr) -> Expr:
    """Take `.field`, `->field`, `.0`, `[index]`, `++` and `--` behind an operand."""
    while True:
        mark = s.at
        s.skip()
        c = s.text[s.at]
        found = _postfix_form(s, operand, c) if c in _POSTFIX_START else None
        if found is None:
            s.at = mark
            return operand
        operand = found


def _postfix_form(s: Scanner, operand: Expr, c: str) -> Expr | None:
    """Take one postfix form that starts with `c`; None (nothing taken) if it is none after all."""
    start = operand.span >> 24
    following = s.text[s.at + 1]
    if c == "[":
        s.at += 1
        index = expression(s)
        s.expect("]")
        return ast.Index(make_span(start, s.at), operand, index)
    if c == "-" and following == ">":
        s.at += 2
        name = s.expect_word("expected field name after '->'")
        return ast.Field(make_span(start, s.at), operand, name, True)
    if c == ".":
        if following == ".":
            return None  # a range
        s.at += 1
        return _member(s, operand, start)
    if c == following:
        return _post_increment(s, operand, c + c)
    return None


def _member(s: Scanner, operand: Expr, start: int) -> Expr:
    """Take what follows a dot."""
    s.skip()
    if s.text[s.at] not in DIGITS:
        name = s.expect_word("expected field name after '.'")
        return ast.Field(make_span(start, s.at), operand, name, False)
    begin = s.at
    text = integer_text(s)
    try:
        index = to_uint(text)
    except ValueError as error:
        raise s.error(str(error), begin, s.at) from None
    return ast.TupleIndex(make_span(start, s.at), operand, index)


def _post_increment(s: Scanner, operand: Expr, op: str) -> Expr | None:
    if isinstance(operand, (ast.Block, ast.IfExpr)):
        return None  # `if … {} ++$x;` is two statements
    if not isinstance(operand, (ast.Variable, ast.MapRef, ast.MapAccess)):
        raise s.error("increment/decrement requires a variable or map", s.at, s.at + 2)
    s.at += 2
    return ast.IncDec(make_span(operand.span >> 24, s.at), op, False, operand)
