"""getopt(): the script's own command line options, which come after `--` as --name=value or --name.

Options are constants of the compilation: each use folds to its value.  What was given and never asked for is an error.
"""

from __future__ import annotations

from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.operator import literal
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import Resolver
from probee.compiler.lang.bpftrace.scope import Known, Script
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError, UsageError

_TRUE, _FALSE = ("true", "1", "on", "yes"), ("false", "0", "off", "no")


class Option:
    """An option that the script asks for."""

    __slots__ = ("default", "description")

    def __init__(self, default: int | bool | bytes, description: str) -> None:
        self.default = default
        self.description = description


def _check(resolver: Resolver, node: ast.Call) -> Ty:
    if not 1 <= len(node.args) <= 3:
        message = "The 'getopt' function can take a maximum of three arguments and a minimum of one argument."
        raise CompileError(message, node.span)
    for argument in node.args:
        resolver.expr(argument)
    name = literal(node.args[0])
    if not isinstance(name, bytes):
        raise CompileError("First argument to 'getopt' must be a string literal.", node.args[0].span)
    default = literal(node.args[1]) if len(node.args) > 1 else False
    if default is None:
        message = "Second argument to 'getopt' must be a string literal, integer literal, or a boolean literal."
        raise CompileError(message, node.args[1].span)
    description = literal(node.args[2]) if len(node.args) > 2 else b""
    if not isinstance(description, bytes):
        raise CompileError("Function 'getopt' requires the third parameter to be a string literal.", node.args[2].span)
    text = name.decode("utf-8", "replace")
    _remember(resolver.script, node, text, default, description.decode("utf-8", "replace"))
    value = _value(text, resolver.script.named.get(text), default)
    node.meaning = Known(value, literal=False)
    if isinstance(value, bytes):
        return t.string(resolver.script.config.number("max_strlen"))
    return t.BOOL if isinstance(default, bool) else t.UINT64 if int(default) >= 0 else t.INT64


def _remember(script: Script, node: ast.Call, name: str, default: int | bool | bytes, description: str) -> None:
    known = script.asked.get(name)
    if known is None:
        script.asked[name] = Option(default, description)
        return
    if known.default != default or type(known.default) is not type(default):
        shown = known.default.decode("utf-8", "replace") if isinstance(known.default, bytes) else str(known.default).lower()
        message = (
            f"Command line option '{name}' needs to have the same default value in all places it is used. "
            f"Previous default value: {shown}"
        )
        raise CompileError(message, node.span)
    if description and known.description and known.description != description:
        message = f"Command line option '{name}' must have the same description in all places it's used."
        raise CompileError(message, node.span, hint="You can wrap it in a macro")
    known.description = known.description or description


def _value(name: str, given: str | None, default: int | bool | bytes) -> int | bool | bytes:
    """Return an option's value; `given` is None when it is missing and "" when it came without a value."""

    def wrong(reason: str) -> UsageError:
        return UsageError(f"program command line option --{name} {reason} (value: {given})")

    if given is None:
        return default
    if isinstance(default, bytes):
        return given.encode("utf-8", "surrogateescape")
    if isinstance(default, bool):
        word = given.lower() or "true"
        if word not in _TRUE + _FALSE:
            raise wrong("expects a boolean (e.g. 'true')")
        return word in _TRUE
    from probee.compiler.lang.bpftrace.expression import parameter_number

    number = parameter_number(given)
    if number is None:
        raise wrong("invalid integer")
    low, high = (0, (1 << 64) - 1) if default >= 0 else (-(1 << 63), (1 << 63) - 1)
    if not low <= number <= high:
        raise wrong("value is out of range")
    return number


def check_unknown(script: Script) -> None:
    """Raise UsageError for options that were given and that nothing asks for."""
    unknown = [name for name in script.named if name not in script.asked]
    if not unknown:
        return
    described = any(option.description for option in script.asked.values())
    if described:
        lines = [f"--{name}: {o.description}" if o.description else f"--{name}" for name, o in sorted(script.asked.items())]
        hint = "expected program options:\n" + "\n".join(lines)
    else:
        hint = "expected program options: " + ", ".join(f"--{name}" for name in sorted(script.asked))
    given = ", ".join(f"--{name}" for name in unknown)
    text = f"unexpected program command line options: {given}"
    raise UsageError(f"{text}\nHINT: {hint}" if script.asked else text)


def _lower(low: Lowerer, node: ast.Call, target: Place | None) -> Value | None:
    from probee.compiler.lang.bpftrace.lower_context import known_text

    assert isinstance(node.meaning, Known)
    if isinstance(node.meaning.value, bytes):
        known_text(low, node, target)
        return None
    return low.b.const(int(node.meaning.value))


TABLE = {"getopt": (_check, _lower)}
