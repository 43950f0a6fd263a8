"""Ways for tests to get at trees: parse pieces of programs, and write a tree down as an S-expression."""

from __future__ import annotations

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace.parser import parse
from probee.errors import ParseError, Source, span_range


def program(text: str) -> ast.Program:
    return parse(Source("stdin", text))


def body(statements: str) -> ast.Block:
    """The body of a probe with these statements."""
    return program(f"begin {{ {statements} }}").probes[0].body


def expr(text: str) -> ast.Expr:
    statement = body(f"_ = {text};").statements[0]
    assert isinstance(statement, ast.Discard)
    return statement.value


def failure(text: str) -> tuple[str, int, int]:
    """The message and the range of the error that a program's text gives."""
    try:
        program(text)
    except ParseError as error:
        return (error.message, *span_range(error.span))
    raise AssertionError(f"parsed: {text}")


_OPERATORS = (ast.Unary, ast.Binary, ast.Logical)


def tree(value: object) -> str:
    """A tree without its spans; leaves as in the source, operators by their sign."""
    if value is None:
        return "-"
    if isinstance(value, list):
        return f"[{' '.join(tree(item) for item in value)}]"
    if not isinstance(value, ast.Node):
        return str(value)
    if isinstance(value, ast.IntLiteral):
        return value.text
    if isinstance(value, ast.Identifier):
        return value.name
    if isinstance(value, ast.Variable):
        return f"${value.name}"
    if isinstance(value, ast.MapRef):
        return f"@{value.name}"
    if isinstance(value, ast.NamedType):
        return f"{value.tag} {value.name}".strip()
    fields = [tree(getattr(value, name)) for name in type(value).__slots__]
    if isinstance(value, _OPERATORS):
        return f"({' '.join(fields)})"
    return f"({' '.join([type(value).__name__, *fields])})"
