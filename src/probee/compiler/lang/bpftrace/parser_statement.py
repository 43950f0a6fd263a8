"""Statements and blocks.

Every block is read the same way: an unterminated last expression is its value. Bodies that have no use for a value (of
probes, functions, loops, and of an `if` that is a statement) then turn it into a statement, all the way down.
"""

from __future__ import annotations

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace.literal import string
from probee.compiler.lang.bpftrace.parser_expression import continue_expression, expression, postfix
from probee.compiler.lang.bpftrace.parser_primary import condition, map_with_key, primary
from probee.compiler.lang.bpftrace.parser_type import annotation
from probee.compiler.lang.bpftrace.scanner import DIGITS, Scanner
from probee.errors import make_span

_ASSIGNMENTS = ("<<=", ">>=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=")
_COMPOUND_START = frozenset("<>+-*/%&|^")
#: After an `if` or a block at a statement's start, these could begin the next statement as well as continue this one.
_AMBIGUOUS = frozenset("-*&([+")


def block(s: Scanner) -> ast.Block:
    """Take `{ … }`."""
    s.expect("{")
    start = s.at - 1
    s.enter()
    statements: list[ast.Statement | ast.Block] = []
    value: ast.Expr | None = None
    while not s.match("}"):
        if s.at >= s.end:
            raise s.unexpected("expected '}'")
        value = _item(s, statements)
    s.leave()
    result = ast.Block(make_span(start, s.at), statements, value)
    if value is not None and not _has_value(value):
        result.statements.append(_as_statement(value))
        result.value = None
    return result


def body(s: Scanner) -> ast.Block:
    """Take a block that has no value."""
    return _without_value(block(s))


def _has_value(expr: ast.Expr) -> bool:
    """Say whether an `if` or block in value position yields one."""
    if isinstance(expr, ast.Block):
        return expr.value is not None
    if isinstance(expr, ast.IfExpr):
        return expr.then.value is not None or (expr.otherwise is not None and _has_value(expr.otherwise))
    return True


def _without_value(target: ast.Block) -> ast.Block:
    if target.value is not None:
        target.statements.append(_as_statement(target.value))
        target.value = None
    return target


def _as_statement(expr: ast.Expr) -> ast.Statement | ast.Block:
    """Turn an expression into a statement that drops its value."""
    if isinstance(expr, ast.Block):
        return _without_value(expr)
    if isinstance(expr, ast.IfExpr):
        return _as_if(expr)
    return ast.ExprStatement(expr.span, expr)


def _as_if(expr: ast.IfExpr) -> ast.If:
    otherwise: ast.Block | ast.If | None = None
    if isinstance(expr.otherwise, ast.IfExpr):
        otherwise = _as_if(expr.otherwise)
    elif expr.otherwise is not None:
        otherwise = _without_value(expr.otherwise)
    return ast.If(expr.span, expr.condition, _without_value(expr.then), otherwise)


def _item(s: Scanner, statements: list[ast.Statement | ast.Block]) -> ast.Expr | None:
    """Take one statement into the list; or the block's value, which is returned."""
    word = s.peek_word()
    form = _KEYWORDS.get(word)
    if form is not None:
        start = s.at
        s.at += len(word)
        statements.append(form(s, start))
        return None
    c = s.text[s.at]
    if c == "_":
        discard = _discard(s)
        if discard is not None:
            statements.append(discard)
            return None
    start = s.at
    if c == "@" or (c == "$" and s.text[start + 1] not in DIGITS and s.text[start + 1] != "#"):
        found = _assignment_or_expression(s, start)
        if isinstance(found, ast.Statement):
            statements.append(found)
            return None
    elif c == "{" or word == "if":
        found = _compound_expression(s)
    else:
        found = expression(s)
    return _end_expression(s, start, found, statements)


def _end_expression(
    s: Scanner, start: int, found: ast.Expr, statements: list[ast.Statement | ast.Block]
) -> ast.Expr | None:
    """Decide by what follows whether an expression is a statement or the block's value."""
    end = s.at
    s.skip()
    c = s.text[s.at]
    if c == "}":
        return found
    if c == ";":
        s.at += 1
        end = s.at
    elif not isinstance(found, (ast.Block, ast.IfExpr)):
        raise s.unexpected("expected ';'")
    if isinstance(found, (ast.Block, ast.IfExpr)):
        statements.append(_as_statement(found))
    else:
        statements.append(ast.ExprStatement(make_span(start, end), found))
    return None


def _compound_expression(s: Scanner) -> ast.Expr:
    """Take an `if` or a block, and the operators behind it unless the next statement begins there."""
    first = primary(s)
    mark = s.at
    s.skip()
    if s.text[s.at] in _AMBIGUOUS and not _has_value(first):
        s.at = mark
        return first
    s.at = mark
    return continue_expression(s, postfix(s, first))


def _end(s: Scanner) -> None:
    """Take the `;` of a statement; none is needed before `}`."""
    mark = s.at
    s.skip()
    if s.text[s.at] != "}":
        s.expect(";")
    else:
        s.at = mark


def _discard(s: Scanner) -> ast.Discard | None:
    """Take `_ = value;`; None if something else follows the underscore."""
    at = s.layout_end(s.at + 1)
    if s.text[at] != "=" or s.text[at + 1] == "=":
        return None
    start = s.at
    s.at = at + 1
    value = expression(s)
    end = s.at
    _end(s)
    return ast.Discard(make_span(start, end), value)


# --- assignments -------------------------------------------------------------------------------------------------


def _assignment_or_expression(s: Scanner, start: int) -> ast.Statement | ast.Expr:
    """Take what starts with a variable or a map."""
    target: ast.Variable | ast.MapRef | ast.MapAccess
    if s.text[start] == "$":
        target = ast.Variable(0, s.sigil_name())
        target.span = make_span(start, s.at)
    else:
        target = map_with_key(s)
    mark = s.at
    s.skip()
    op = _assignment_operator(s)
    if op:
        s.at += len(op)
        value = expression(s)
        span = make_span(start, s.at)
        _end(s)
        return ast.Assign(span, target, op, value)
    s.at = mark
    operand = postfix(s, target)
    mark = s.at
    s.skip()
    if _assignment_operator(s):
        raise _bad_target(s, operand, start)
    s.at = mark
    return continue_expression(s, operand)


def _assignment_operator(s: Scanner) -> str:
    """Return the assignment operator that stands right here, "" for none."""
    c = s.text[s.at]
    if c == "=":
        return "" if s.text[s.at + 1] == "=" else "="
    if c in _COMPOUND_START:
        for op in _ASSIGNMENTS:
            if s.text.startswith(op, s.at):
                return op
    return ""


def _bad_target(s: Scanner, target: ast.Expr, start: int) -> Exception:
    """Make the error for an assignment to something that cannot be assigned; its span covers the value."""
    s.at += len(_assignment_operator(s))
    expression(s)
    if isinstance(target, (ast.TupleIndex, ast.Field)):
        message = (
            "Tuples and records are immutable once created. Consider creating a new value and assigning it instead."
        )
    else:
        message = "invalid assignment target"
    return s.error(message, start, s.at)


def _let(s: Scanner, start: int) -> ast.Statement:
    s.skip()
    at = s.at
    if s.text[at] != "$":
        raise s.unexpected("expected variable after 'let'")
    name = s.sigil_name()
    variable = ast.Variable(make_span(at, s.at), name)
    declared = value = None
    end = s.at
    if s.match(":"):
        declared = annotation(s)
        end = s.at
    s.skip()
    if s.text[s.at] == "=":
        s.at += 1
        value = expression(s)
        end = s.at
    _end(s)
    return ast.Let(make_span(start, end), variable, declared, value)


# --- keyword forms: the word was taken, `start` is where it began ---------------------------------------------------


def _while(s: Scanner, start: int) -> ast.Statement:
    test = condition(s)
    inner = body(s)
    return ast.While(make_span(start, s.at), test, inner)


def _unroll(s: Scanner, start: int) -> ast.Statement:
    count = condition(s)
    inner = body(s)
    return ast.Unroll(make_span(start, s.at), count, inner)


def _for(s: Scanner, start: int) -> ast.Statement:
    parenthesised = s.match("(")
    s.skip()
    at = s.at
    if s.text[at] != "$":
        raise s.unexpected("expected variable in for loop")
    name = s.sigil_name()
    variable = ast.Variable(make_span(at, s.at), name)
    s.expect(":")
    iterable = _iterable(s)
    if parenthesised:
        s.expect(")")
    if not isinstance(iterable, (ast.Range, ast.MapRef)):
        raise s.unexpected("expected map or range in for loop")
    inner = body(s)
    return ast.For(make_span(start, s.at), variable, iterable, inner)


def _iterable(s: Scanner) -> ast.Expr | ast.Range:
    s.skip()
    start = s.at
    first = primary(s)
    mark = s.at
    if not s.match(".."):
        s.at = mark
        return first
    last = primary(s)
    return ast.Range(make_span(start, s.at), first, last)


def _break(s: Scanner, start: int) -> ast.Statement:
    _end(s)
    return ast.Break(make_span(start, s.at))


def _continue(s: Scanner, start: int) -> ast.Statement:
    _end(s)
    return ast.Continue(make_span(start, s.at))


def _return(s: Scanner, start: int) -> ast.Statement:
    s.skip()
    value = expression(s) if s.text[s.at] not in ";}" else None
    _end(s)
    return ast.Return(make_span(start, s.at), value)


def import_statement(s: Scanner, start: int) -> ast.Import:
    """Take the rest of `import "path";`."""
    s.skip()
    if s.text[s.at] != '"':
        raise s.unexpected("expected string after 'import'")
    path = string(s).value.decode("utf-8", "surrogateescape")
    end = s.at
    if not s.match(";"):
        raise s.unexpected("expected ';' after import")
    return ast.Import(make_span(start, end), path)


_KEYWORDS = {
    "let": _let,
    "while": _while,
    "unroll": _unroll,
    "for": _for,
    "break": _break,
    "continue": _continue,
    "return": _return,
    "import": import_statement,
}
