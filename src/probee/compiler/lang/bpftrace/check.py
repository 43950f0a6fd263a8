"""Checks that the functions of the language share: how many arguments, literals, kinds; messages are upstream's."""

from __future__ import annotations

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace.resolve import Resolver, known_int
from probee.compiler.lang.bpftrace.scope import Known
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError, TypeMismatch

_WORDS = ("no", "one")


def arity(node: ast.Call, low: int, high: int | None = None) -> None:
    """Raise unless the call has between `low` and `high` arguments (`high` defaults to `low`)."""
    high = low if high is None else high
    given = len(node.args)
    if low <= given <= high:
        return
    if low == high:
        wanted = f"{_WORDS[low] if low < len(_WORDS) else low} argument{'' if low == 1 else 's'}"
        raise CompileError(f"{node.name}() requires {wanted} ({given} provided)", node.span)
    bound = f"requires at least {_count(low)}" if given < low else f"takes up to {_count(high)}"
    raise CompileError(f"{node.name}() {bound} ({given} provided)", node.span)


def _count(number: int) -> str:
    return f"{_WORDS[number] if number < len(_WORDS) else number} argument{'' if number == 1 else 's'}"


def literal_int(resolver: Resolver, node: ast.Call, index: int) -> int:
    """Return a constant integer argument; raises TypeMismatch."""
    argument = node.args[index]
    type = resolver.expr(argument)
    value = known_int(argument)
    if value is None:
        raise TypeMismatch(f"{node.name}() expects a integer literal ({type} provided)", argument.span)
    return value


def literal_text(resolver: Resolver, node: ast.Call, index: int) -> str:
    """Return a string literal argument; raises TypeMismatch."""
    argument = node.args[index]
    type = resolver.expr(argument)
    if isinstance(argument, ast.Positional):
        message = f"{node.name}() expects a string literal ({type} provided)"
        raise TypeMismatch(message, argument.span, hint=f"Use str(${argument.index}) to treat ${argument.index} as a string")
    known = argument.meaning
    if not isinstance(known, Known) or not isinstance(known.value, bytes):
        raise TypeMismatch(f"{node.name}() expects a string literal ({type} provided)", argument.span)
    return known.value.decode("utf-8", "replace")


def expect(node: ast.Call, argument: ast.Expr, kinds: tuple[str, ...], words: str) -> Ty:
    """Raise unless an argument (resolved before) is of one of these kinds; returns its type."""
    type: Ty = argument.type
    if type.kind not in kinds:
        raise TypeMismatch(f"{node.name}() only supports {words} arguments ({type} provided)", argument.span)
    return type


def text_of(node: ast.Expr) -> str:
    """Return a literal string argument that a check has seen."""
    assert isinstance(node.meaning, Known) and isinstance(node.meaning.value, bytes)
    return node.meaning.value.decode("utf-8", "replace")
