"""debugf(): text to the kernel's trace pipe, formatted by the kernel; for debugging only, which it says at every compile."""

from __future__ import annotations

from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.check import literal_text, text_of
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import Resolver
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError, TypeMismatch
from probee.model.printf import parse_format

MAX_ARGUMENTS = 3  # what registers are left for the format's arguments, see bpf-helpers(7)
_KINDS = {"s": ("string",), **dict.fromkeys(("d", "i", "u", "x", "p"), ("int", "enum", "bool", "pointer"))}


def _check(resolver: Resolver, node: ast.Call) -> Ty:
    if not node.args:
        raise CompileError("debugf() requires at least one argument (0 provided)", node.span)
    message = (
        "The debugf() builtin is not recommended for production use. "
        "For more information see bpf_trace_printk in bpf-helpers(7)."
    )
    resolver.script.warn(message, node.span)
    conversions = parse_format(literal_text(resolver, node, 0)).conversions
    arguments = node.args[1:]
    if len(arguments) > MAX_ARGUMENTS:
        raise CompileError(f"cannot use more than {MAX_ARGUMENTS} conversion specifiers", node.span)
    if len(arguments) != len(conversions):
        which = "not enough" if len(arguments) < len(conversions) else "too many"
        text = f"{which} arguments for format string ({len(arguments)} supplied, {len(conversions)} expected)"
        raise TypeMismatch(text, node.span)
    for conversion, argument in zip(conversions, arguments, strict=True):
        kind = resolver.expr(argument).kind
        if conversion.specifier not in _KINDS:
            raise TypeMismatch(f"Invalid format specifier for `debugf`: {conversion.specifier}", node.span)
        if kind not in _KINDS[conversion.specifier]:
            raise TypeMismatch(f"Type does not match format specifier: {conversion.specifier}", argument.span)
    return t.NONE


def _lower(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    from probee.compiler.lang.bpftrace.lower_write import write_bytes

    b = low.b
    text = text_of(node.args[0]).encode() + b"\0"
    form = place.alloca(b, t.string(len(text)), "format")
    write_bytes(low, form, text)
    arguments: list[Value] = []
    for argument in node.args[1:]:
        string = argument.type.kind == "string"
        arguments.append(place.address(b, low.place(argument)) if string else low.number(argument))
    b.helper("trace_printk", place.address(b, form), b.const(len(text)), *arguments)


TABLE = {"debugf": (_check, _lower)}
