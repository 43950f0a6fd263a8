"""USDT probes: which of their places share a program, and their arguments as values.

A probe may have several places in a file (it was inlined, or written twice), each with arguments of its own: those that are
specified alike share a program, and all do if the program asks for none.
"""

from __future__ import annotations

from probee.compiler.ir.type import I8, I16, I32, I64
from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.lower_context import layout, register_value
from probee.compiler.lang.bpftrace.scope import Instance
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError, FormatError, Unsupported
from probee.model.usdt import CONSTANT, MEMORY, UsdtArgument, UsdtPlace
from probee.probes.probe import Probe

_TYPES = {1: I8, 2: I16, 4: I32, 8: I64}
Places = list[tuple[Probe, UsdtPlace]]


def group_places(matches: list[Probe], *, by_match: bool, by_arguments: bool) -> list[Places]:
    """Return the places of probes, those together that one program can serve."""
    groups: dict[tuple[str, str], Places] = {}
    for match in matches:
        for place in places_of(match):
            key = match.name if by_match else "", place.specification if by_arguments else ""
            groups.setdefault(key, []).append((match, place))
    return list(groups.values())


def places_of(match: Probe) -> list[UsdtPlace]:
    """Return the places of one concrete probe."""
    assert match.binary is not None
    return [place for place in match.binary.usdt_probes() if (place.provider, place.name) == (match.namespace, match.event)]


def link_parameters(instance: Instance, match: Probe) -> dict[str, int | str | list[str] | list[int]]:
    """Return where a program is attached for one of its probes."""
    places = [place for probe, place in instance.places if probe is match]
    offsets, semaphores = [place.offset for place in places], [place.semaphore for place in places]
    return {"path": match.file, "offsets": offsets, "semaphores": semaphores}


def argument_type(instance: Instance, node: ast.Identifier) -> Ty:
    """Return the type of argN: 64 bits, extended from what the probe passes."""
    return t.INT64 if _argument(instance, node).signed else t.UINT64


def _argument(instance: Instance, node: ast.Identifier) -> UsdtArgument:
    _, place = instance.places[0]
    number = int(node.name[3:])
    try:
        arguments: tuple[UsdtArgument, ...] = place.arguments()
    except FormatError as error:
        raise Unsupported(str(error), node.span) from None
    if number >= len(arguments):
        some = f"arg0 to arg{len(arguments) - 1}" if len(arguments) > 1 else "arg0" if arguments else "none"
        message = f"usdt probe {place.provider}:{place.name} has no {node.name}"
        raise CompileError(message, node.span, hint=f"Its arguments: {some} ({place.specification})" if arguments else "")
    argument = arguments[number]
    if argument.is_float and argument.kind != MEMORY:
        raise Unsupported(f"{node.name} is in a floating-point register ({argument.text}), which eBPF cannot read", node.span)
    return argument


def argument_value(low: Lowerer, node: ast.Identifier) -> Value:
    """Read argN by its specification."""
    b, argument = low.b, _argument(low.instance, node)
    if argument.kind == CONSTANT:
        return b.const(argument.value if argument.signed else argument.value & (1 << 8 * argument.size) - 1)
    value = register_value(low, node, layout(low).offset(argument.register, node.span)) if argument.register else b.const(0)
    if argument.kind == MEMORY:
        return _from_memory(low, node, argument, value)
    if argument.shift:
        value = b.lshr(value, argument.shift)
    return _extended(low, value, argument)


def _from_memory(low: Lowerer, node: ast.Identifier, argument: UsdtArgument, base: Value) -> Value:
    b = low.b
    address = base
    if argument.index:
        index = register_value(low, node, layout(low).offset(argument.index, node.span))
        address = b.add(address, b.mul(index, argument.scale) if argument.scale != 1 else index)
    pointer = b.pointer(b.add(address, argument.value) if argument.value else address, "user")
    value = b.load(pointer, _TYPES[argument.size], 0)
    if argument.size == 8:
        return value
    return b.sext(value, I64) if argument.signed else b.zext(value, I64)


def _extended(low: Lowerer, value: Value, argument: UsdtArgument) -> Value:
    """Extend the low bytes of a register."""
    if argument.size == 8:
        return value
    bits = 64 - 8 * argument.size
    shifted = low.b.shl(value, bits)
    return low.b.ashr(shifted, bits) if argument.signed else low.b.lshr(shifted, bits)
