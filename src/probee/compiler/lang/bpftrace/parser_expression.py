"""Expressions: operators by precedence, postfix forms, primaries, and what a parenthesis means.

Binary operators are reduced on explicit stacks, so a chain of any length takes one Python frame; nesting is counted by
Scanner.enter(). Parenthesised groups keep the inner expression's span, and a binary expression's span runs from its left
operand's start to where its right operand's text ends, so the columns of diagnostics are upstream's.
"""

from __future__ import annotations

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace.ast import Expr
from probee.compiler.lang.bpftrace.literal import integer, integer_text, string, to_uint
from probee.compiler.lang.bpftrace.parser_type import (
    TYPE_NAMES,
    annotation,
    is_builtin,
    is_value,
    try_type,
    type_of,
    type_or_expression,
)
from probee.compiler.lang.bpftrace.scanner import DIGITS, WORD_START, Scanner
from probee.errors import make_span

PRECEDENCE = {
    "||": 1, "&&": 2, "|": 3, "^": 4, "&": 5, "==": 6, "!=": 6, "<": 7, "<=": 7, ">": 7, ">=": 7,
    "<<": 8, ">>": 8, "+": 9, "-": 9, "*": 10, "/": 10, "%": 10,
}  # fmt: skip
_OPERATOR_START = frozenset("|&^=!<>+-*/%")
_COMPOUND = frozenset(("+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "++", "--"))
_POSTFIX_START = frozenset(".-[+")
_OPERAND_START = WORD_START | DIGITS | frozenset('$@"(-!~*&')
_INT64_MAX = (1 << 63) - 1


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
    return postfix(s, primary(s))


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


# --- primaries -----------------------------------------------------------------------------------------------


def primary(s: Scanner) -> Expr:
    """Take a literal, a name, a call, a parenthesis, or one of the keyword forms."""
    s.skip()
    c = s.text[s.at]
    if c in WORD_START:
        return _word(s)
    if c == "$":
        return _dollar(s)
    if c == "@":
        return map_with_key(s)
    if c in DIGITS:
        return integer(s)
    if c == '"':
        return string(s)
    if c == "(":
        return _parenthesis(s)
    if c == "{":
        from probee.compiler.lang.bpftrace.parser_statement import block  # which imports this module

        return block(s)
    raise s.unexpected("expected expression")


def _word(s: Scanner) -> Expr:
    """Take a keyword form, a call or a bare name."""
    start = s.at
    word = s.peek_word()
    s.at += len(word)
    form = _KEYWORDS.get(word)
    if form is not None:
        return form(s, start)
    end = s.at
    s.skip()
    if s.text[s.at] == "(":
        return _call(s, word, start)
    s.at = end
    return ast.Identifier(make_span(start, end), word)


def _call(s: Scanner, name: str, start: int) -> Expr:
    s.at += 1
    args: list[Expr] = []
    if not s.match(")"):
        args.append(_argument(s))
        while s.match(","):
            args.append(_argument(s))
        s.expect(")")
    return ast.Call(make_span(start, s.at), name, args)


def _argument(s: Scanner) -> Expr:
    s.skip()
    if s.peek_word() != "typeof":
        return expression(s)
    start = s.at
    target = type_of(s)
    return ast.TypeArgument(make_span(start, s.at), target)


def _dollar(s: Scanner) -> Expr:
    """Take `$name`, `$1` or `$#`."""
    start = s.at
    following = s.text[start + 1]
    if following == "#":
        s.at += 2
        return ast.PositionalCount(make_span(start, s.at))
    if following not in DIGITS:
        name = s.sigil_name()
        return ast.Variable(make_span(start, s.at), name)
    s.at += 1
    while s.text[s.at] in DIGITS:
        s.at += 1
    digits = s.text[start + 1 : s.at]
    index = int(digits) if len(digits.lstrip("0")) <= 19 else _INT64_MAX + 1
    if not 1 <= index <= _INT64_MAX:
        raise s.error(f"param ${digits} is out of integer range [1, {_INT64_MAX}]", start, s.at)
    return ast.Positional(make_span(start, s.at), index)


def map_with_key(s: Scanner) -> ast.MapRef | ast.MapAccess:
    """Take `@name` or `@name[key, …]`."""
    start = s.at
    map_ref = ast.MapRef(0, s.sigil_name())
    end = s.at
    map_ref.span = make_span(start, end)
    if not s.match("["):
        s.at = end
        return map_ref
    keys = [expression(s)]
    while s.match(","):
        keys.append(expression(s))
    s.expect("]")
    span = make_span(start, s.at)
    return ast.MapAccess(span, map_ref, keys[0] if len(keys) == 1 else ast.Tuple(span, keys))


# --- keyword forms: the word was taken, `start` is where it began ------------------------------------------------


def condition(s: Scanner) -> Expr:
    """Take the condition of if, while and unroll.

    A parenthesis holds an expression here, never a record, tuple or cast. bpftrace ends the condition behind it; operators
    that follow are accepted here, since nothing but `{` could have followed.
    """
    if not s.match("("):
        return continue_expression(s, unary(s))
    result = expression(s)
    s.expect(")")
    return continue_expression(s, postfix(s, result))


def _if(s: Scanner, start: int) -> Expr:
    from probee.compiler.lang.bpftrace.parser_statement import block  # which imports this module

    test = condition(s)
    then = block(s)
    mark = s.at
    otherwise: ast.Block | ast.IfExpr | None = None
    if s.match_word("else"):
        s.skip()
        otherwise = _else(s, block(s) if s.text[s.at] == "{" else None)
    else:
        s.at = mark
    return ast.IfExpr(make_span(start, s.at), test, then, otherwise)


def _else(s: Scanner, otherwise: ast.Block | None) -> ast.Block | ast.IfExpr:
    if otherwise is not None:
        return otherwise
    start = s.at
    if not s.match_word("if"):
        raise s.unexpected("expected '{' or 'if' after 'else'")
    s.enter()
    chained = _if(s, start)
    s.leave()
    assert isinstance(chained, ast.IfExpr)
    return chained


def _sizeof(s: Scanner, start: int) -> Expr:
    s.expect("(")
    operand = type_or_expression(s)
    s.expect(")")
    return ast.SizeOf(make_span(start, s.at), operand)


def _typeinfo(s: Scanner, start: int) -> Expr:
    s.expect("(")
    operand = type_or_expression(s)
    s.expect(")")
    return ast.TypeInfo(make_span(start, s.at), operand)


def _offsetof(s: Scanner, start: int) -> Expr:
    s.expect("(")
    subject = type_or_expression(s)
    s.expect(",")
    path = [s.expect_word("expected identifier")]
    while s.match("."):
        path.append(s.expect_word("expected identifier"))
    s.expect(")")
    return ast.OffsetOf(make_span(start, s.at), subject, path)


def _comptime(s: Scanner, start: int) -> Expr:
    s.enter()
    operand = unary(s)
    s.leave()
    return ast.Comptime(make_span(start, s.at), operand)


def _true(s: Scanner, start: int) -> Expr:
    return ast.BoolLiteral(make_span(start, s.at), True)


def _false(s: Scanner, start: int) -> Expr:
    return ast.BoolLiteral(make_span(start, s.at), False)


_KEYWORDS = {
    "if": _if,
    "sizeof": _sizeof,
    "offsetof": _offsetof,
    "typeinfo": _typeinfo,
    "comptime": _comptime,
    "true": _true,
    "false": _false,
}


# --- parentheses: empty tuple, record, cast, group or tuple, in this order ----------------------------------------


def _parenthesis(s: Scanner) -> Expr:
    start = s.at
    s.at += 1
    if s.match(")"):
        return ast.Tuple(make_span(start, s.at), [])
    if _record_follows(s):
        return _record(s, start)
    target = _cast_target(s)
    if target is not None:
        span = make_span(start, s.at)
        s.enter()
        operand = unary(s)
        s.leave()
        return ast.Cast(span, target, operand)
    return _group_or_tuple(s, start)


def _record_follows(s: Scanner) -> bool:
    """Say whether `name =` follows, with a name that may be a field's."""
    word = s.peek_word()
    if not word or is_builtin(word):
        return False
    at = s.layout_end(s.at + len(word))
    return s.text[at] == "=" and s.text[at + 1] != "="


def _record(s: Scanner, start: int) -> Expr:
    names: list[str] = []
    values: list[Expr] = []
    while True:
        s.skip()
        begin = s.at
        name = s.expect_word("expected identifier")
        s.expect("=")
        values.append(expression(s))
        if name in names:
            raise s.error(f"Named argument list already contains name: {name}", begin, s.at)
        names.append(name)
        if not s.match(","):
            break
    s.expect(")")
    return ast.Record(make_span(start, s.at), names, values)


def _cast_target(s: Scanner) -> ast.TypeName | None:
    """Take `type)` and layout if an operand can follow; else take nothing."""
    mark = s.at
    target = annotation(s) if s.peek_word() == "typeof" else try_type(s)
    if target is not None and s.match(")"):
        s.skip()
        if _operand_follows(s, target):
            return target
    s.at = mark
    return None


def _operand_follows(s: Scanner, target: ast.TypeName) -> bool:
    """Decide between cast and group for what follows the closing parenthesis."""
    c = s.text[s.at]
    if c not in _OPERAND_START:
        return False
    two = s.text[s.at : s.at + 2]
    if two in ("&&", "!="):
        return False
    bare = target.name if isinstance(target, ast.NamedType) and not target.tag else ""
    ambiguous = c in "-*&(" and bare and bare not in TYPE_NAMES
    return not (ambiguous and is_value(s, bare))


def _group_or_tuple(s: Scanner, start: int) -> Expr:
    first = expression(s)
    if not s.match(","):
        s.expect(")")
        return first
    items = [first]
    while not s.match(")"):
        items.append(expression(s))
        if not s.match(","):
            s.expect(")")
            break
    return ast.Tuple(make_span(start, s.at), items)
