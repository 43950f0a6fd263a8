"""Primaries: literals, names, calls, maps, the keyword forms, and what a parenthesis turns out to be.

A parenthesis is tried as empty tuple, record, cast, group and tuple, in this order. A name in one is a type when an
operand follows, unless it is known to be a value.
"""

from __future__ import annotations

# the two modules need each other, but only when they are called
from probee.compiler.lang.bpftrace import ast, parser_expression
from probee.compiler.lang.bpftrace.ast import Expr
from probee.compiler.lang.bpftrace.literal import integer, string
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

_OPERAND_START = WORD_START | DIGITS | frozenset('$@"(-!~*&')
_INT64_MAX = (1 << 63) - 1


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
        return parser_expression.expression(s)
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
    keys = [parser_expression.expression(s)]
    while s.match(","):
        keys.append(parser_expression.expression(s))
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
        return parser_expression.continue_expression(s, parser_expression.unary(s))
    result = parser_expression.expression(s)
    s.expect(")")
    return parser_expression.continue_expression(s, parser_expression.postfix(s, result))


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
    operand = parser_expression.unary(s)
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


# --- parentheses ----------------------------------------


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
        operand = parser_expression.unary(s)
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
        values.append(parser_expression.expression(s))
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
    first = parser_expression.expression(s)
    if not s.match(","):
        s.expect(")")
        return first
    items = [first]
    while not s.match(")"):
        items.append(parser_expression.expression(s))
        if not s.match(","):
            s.expect(")")
            break
    return ast.Tuple(make_span(start, s.at), items)
