"""Functions on the program that is probed: uaddr, usdt_arg, elf_is_exe, elf_info.

Where a program that may lie anywhere was put in this process is found out from where the probe is hit: its address, less the
one that the linker gave the same place.  A probe that calls one of these has a program of its own for each place.
"""

from __future__ import annotations

from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.check import arity, literal_int, literal_text, text_of
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.lower_context import context_of, layout, register_value
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import Resolver
from probee.compiler.lang.bpftrace.scope import Instance, Known
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError, Unsupported
from probee.model.target import Binary

USER = ("uprobe", "uretprobe", "usdt")


def _check_provider(resolver: Resolver, node: ast.Call, providers: tuple[str, ...]) -> None:
    provider = resolver.instance.provider
    if provider not in providers:
        kind = "function" if provider == "function" else resolver.instance.point.provider.probetype
        raise CompileError(f"{node.name} can not be used for this probetype: {kind}", node.span)


def _binary(instance: Instance, node: ast.Call) -> Binary:
    binary = instance.matches[0].binary
    if binary is None:
        raise Unsupported(f"{node.name}() needs to know the probed program, which this probe does not say", node.span)
    return binary


# -- uaddr


def _check_uaddr(resolver: Resolver, node: ast.Call) -> Ty:
    """A pointer to an integer of the symbol's size: of its type nothing is known."""
    _check_provider(resolver, node, USER)
    arity(node, 1)
    name = literal_text(resolver, node, 0)
    binary = _binary(resolver.instance, node)
    found = binary.symbol(name)
    if found is None:
        raise CompileError(f"Could not resolve symbol: {binary.path}:{name}", node.span)
    size = found[1] if found[1] in (1, 2, 4) else 8
    return t.pointer_to(t.int_of(size, signed=False), "user")


def _lower_uaddr(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    b, binary = low.b, _binary(low.instance, node)
    found = binary.symbol(text_of(node.args[0]))
    assert found is not None
    if binary.is_fixed:
        return b.pointer(b.const(found[0]), "user")
    here, linked = _place_hit(low, node, binary)
    return b.pointer(b.add(here, found[0] - linked), "user")


def _place_hit(low: Lowerer, node: ast.Call, binary: Binary) -> tuple[Value, int]:
    """Return an address in the process, and the one that the linker gave the same place."""
    linked = _linked_address(low.instance, binary)
    if linked is None:
        message = f"uaddr() cannot tell where {binary.path} was loaded: this probe's address in it is not known"
        raise Unsupported(message, node.span)
    if low.instance.provider != "uretprobe":
        return register_value(low, node, layout(low).program_counter), linked
    if not low.feature("uprobe_multi"):  # of the same release as bpf_get_func_ip for uprobes
        message = "uaddr() in a uretprobe of a program that may be loaded anywhere needs bpf_get_func_ip for uprobes"
        raise Unsupported(message, node.span, hint="It came with Linux 6.6; a uprobe at the function's entry needs no such.")
    return low.b.helper("get_func_ip", context_of(low, node)), linked


def _linked_address(instance: Instance, binary: Binary) -> int | None:
    """Return the address of the probe's place as the linker counts."""
    point = instance.matches[0]
    if instance.provider == "usdt":
        return binary.address(instance.places[0][1].offset)
    if point.address is not None:
        return point.address
    address = binary.function_address(point.function)
    return address + point.offset if address is not None else None


# -- what else there is to know of it


def _check_argument(resolver: Resolver, node: ast.Call) -> Ty:
    """usdt_arg(n) is argN."""
    _check_provider(resolver, node, ("usdt",))
    arity(node, 1)
    number = literal_int(resolver, node, 0)
    if number < 0:
        raise CompileError("usdt_arg() expects the number of an argument, from 0 on", node.args[0].span)
    node.meaning = ast.Identifier(node.span, f"arg{number}")
    return resolver.expr(node.meaning)


def _lower_argument(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    assert isinstance(node.meaning, ast.Identifier)
    return low.value(node.meaning)


def _check_fixed(resolver: Resolver, node: ast.Call) -> Ty:
    _check_provider(resolver, node, USER)
    arity(node, 0)
    node.meaning = Known(_binary(resolver.instance, node).is_fixed)
    return t.BOOL


def _check_inode(resolver: Resolver, node: ast.Call) -> Ty:
    """elf_info() is the number of the file's inode."""
    _check_provider(resolver, node, USER)
    arity(node, 0)
    node.meaning = Known(_binary(resolver.instance, node).inode)
    return t.UINT64


def _lower_known(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    assert isinstance(node.meaning, Known) and isinstance(node.meaning.value, int)
    return low.b.const(int(node.meaning.value))


TABLE = {
    "uaddr": (_check_uaddr, _lower_uaddr),
    "usdt_arg": (_check_argument, _lower_argument),
    "elf_is_exe": (_check_fixed, _lower_known),
    "elf_info": (_check_inode, _lower_known),
}
