"""bpf_trace_printk(): BCC takes a format of its own here, without the size, and warns about what the kernel does not print."""

from __future__ import annotations

import re

from pycparser import c_ast

from probee.compiler.ir.unit import Value
from probee.compiler.lang.c.call import BUILTINS
from probee.compiler.lang.c.constant import span_of
from probee.compiler.lang.c.expression import store_bytes
from probee.compiler.lang.c.helper import argument, call
from probee.compiler.lang.c.literal import string_bytes
from probee.compiler.lang.c.lower import Lowerer
from probee.compiler.lang.c.value import CHAR, Operand
from probee.errors import CompileError, TypeMismatch
from probee.model.ctype import ArrayType

_ALLOWED = "only %d %u %x %ld %lu %lx %lld %llu %llx %p %s conversion specifiers allowed"
_SEVERAL = "cannot use several %s conversion specifiers"
MAX_ARGUMENTS = 3


def trace_printk(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> Operand:
    """Put the format on the stack and print."""
    if not arguments:
        raise TypeMismatch("bpf_trace_printk() takes a format", span_of(node))
    head = arguments[0]
    if not (isinstance(head, c_ast.Constant) and head.type.endswith("string")):
        return _plain(low, node, arguments)
    if len(arguments) - 1 > MAX_ARGUMENTS:
        hint = "Submit a struct through BPF_PERF_OUTPUT or BPF_RINGBUF_OUTPUT instead."
        raise CompileError("bpf_trace_printk() prints three values at most", span_of(node), hint=hint)
    data = string_bytes(head.value, span_of(head)) + b"\0"
    _warn(low, data.decode("utf-8", "replace"), len(arguments) - 1, span_of(head))
    variable = low.variable(ArrayType(CHAR, len(data)), "format")
    store_bytes(low, variable.slot, data)
    values: list[Value] = [argument(low, each) for each in arguments[1:]]
    return call(low, "trace_printk", variable.slot, low.b.const(len(data)), *values)


def _plain(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> Operand:
    """bpf_trace_printk(format, size, …), as the kernel has it."""
    if not 2 <= len(arguments) <= MAX_ARGUMENTS + 2:
        message = "bpf_trace_printk() takes a literal, or a format and its size, and up to three values"
        raise TypeMismatch(message, span_of(node))
    return call(low, "trace_printk", *(argument(low, each) for each in arguments))


def _warn(low: Lowerer, text: str, n_values: int, span: int) -> None:
    conversions = [match.group(0) for match in re.finditer(r"%(%|[-+ #0-9.*]*l{0,2}[a-zA-Z])", text)]
    wrong = [each for each in conversions if not re.fullmatch(r"%%|%l{0,2}[duxi]|%[ps]", each)]
    if wrong:
        low.warn(_ALLOWED, span)
    if conversions.count("%s") > 1:
        low.warn(_SEVERAL, span)
    wanted = sum(each != "%%" for each in conversions)
    if wanted != n_values:
        values = f"{wanted} value{'s' * (wanted != 1)}"
        low.warn(f"this format prints {values}, and {n_values or 'none'} follow{'s' * (n_values < 2)}", span)


BUILTINS["bpf_trace_printk"] = trace_printk
