"""bpf_usdt_readarg(n, ctx, &variable): the n-th argument of the USDT probe that a function is enabled for.

A probe may have several places in a file, each with arguments of its own.  Places whose arguments are specified alike share a
program; `low.usdt` is one of those that the program being lowered serves.
"""

from __future__ import annotations

from pycparser import c_ast

from probee.compiler.ir.type import I64, int_type
from probee.compiler.ir.unit import Value
from probee.compiler.lang.c import memory
from probee.compiler.lang.c.call import BUILTINS, constant, n_arguments
from probee.compiler.lang.c.constant import span_of
from probee.compiler.lang.c.helper import argument, call
from probee.compiler.lang.c.lower import Lowerer
from probee.compiler.lang.c.value import LONG, UNSIGNED_LONG, Operand, is_pointer, is_scalar
from probee.errors import CompileError, FormatError, TypeMismatch, Unsupported
from probee.model.usdt import CONSTANT, MEMORY, UsdtArgument
from probee.probes.register import RegisterLayout


def read_argument(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> Operand:
    """bpf_usdt_readarg(n, ctx, &variable)"""
    n_arguments(node, arguments, "bpf_usdt_readarg", 3)
    value = _value(low, node, arguments[0])
    pointer = low.operand(arguments[2])
    if not is_pointer(pointer.type):
        raise TypeMismatch("the third argument is the address of a variable", span_of(arguments[2]))
    place = memory.behind(low, pointer, span_of(arguments[2]))
    if not is_scalar(place.type):
        raise TypeMismatch(f"an argument does not become '{place.type.spelling()}'", span_of(arguments[2]))
    memory.store_into(low, place.type, place, value, span_of(node))
    return Operand(LONG, low.b.const(0))


def read_string(low: Lowerer, node: c_ast.FuncCall, arguments: list[c_ast.Node]) -> Operand:
    """bpf_usdt_readarg_p(n, ctx, buffer, size): what the argument points to"""
    n_arguments(node, arguments, "bpf_usdt_readarg_p", 4)
    value = _value(low, node, arguments[0])
    buffer = argument(low, arguments[2])
    size = argument(low, arguments[3])
    return call(low, "probe_read_user", buffer, size, value.value)


def _value(low: Lowerer, node: c_ast.FuncCall, number: c_ast.Node) -> Operand:
    """Return an argument as 64 bits, extended from what the probe passes."""
    found = _argument(low, node, constant(low, number, "the argument's number"))
    b = low.b
    if found.kind == CONSTANT:
        return _extended(low, b.const(found.value), found)
    value = _register(low, found.register) if found.register else b.const(0)
    if found.kind == MEMORY:
        if found.index:
            value = b.add(value, b.mul(_register(low, found.index), found.scale))
        address = b.pointer(b.add(value, found.value), "user")
        return _extended(low, b.resize(b.load(address, int_type(found.size)), I64, signed=found.signed), found)
    return _extended(low, b.lshr(value, found.shift) if found.shift else value, found)


def _argument(low: Lowerer, node: c_ast.FuncCall, number: int) -> UsdtArgument:
    place = low.usdt
    if place is None:
        hint = "Enable the probe for it: USDT(path=…).enable_probe(probe, function), and BPF(…, usdt_contexts=[usdt])."
        raise CompileError("this function is not enabled for any USDT probe", span_of(node), hint=hint)
    try:
        arguments = place.arguments()
    except FormatError as error:
        raise Unsupported(str(error), span_of(node)) from None
    if not 1 <= number <= len(arguments):
        message = f"{place.provider}:{place.name} has {len(arguments)} arguments ({place.specification})"
        raise CompileError(message, span_of(node))
    found = arguments[number - 1]
    if found.is_float and found.kind != MEMORY:
        raise Unsupported(f"argument {number} is in a floating-point register ({found.text})", span_of(node))
    return found


def _register(low: Lowerer, name: str) -> Value:
    return low.b.load_context(low.context, I64, RegisterLayout(low.target.arch).offset(name))


def _extended(low: Lowerer, value: Value, found: UsdtArgument) -> Operand:
    if found.size < 8:
        bits = 64 - 8 * found.size
        shifted = low.b.shl(value, bits)
        value = low.b.ashr(shifted, bits) if found.signed else low.b.lshr(shifted, bits)
    return Operand(LONG if found.signed else UNSIGNED_LONG, value)


BUILTINS["bpf_usdt_readarg"] = read_argument
BUILTINS["bpf_usdt_readarg_p"] = read_string
