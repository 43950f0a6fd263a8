"""Addresses and registers: ksym, usym, kaddr, percpu_kaddr, reg, kptr, uptr, kstack(…), ustack(…)."""

from __future__ import annotations

from probee.compiler.ir import type as ir
from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.check import arity, expect, literal_int, literal_text, text_of
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.lower_context import REGISTERS, late, process_number, register_value
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import Resolver
from probee.compiler.lang.bpftrace.stack import STACK_DEPTH, capture_stack, stack_type
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError, TypeMismatch, Unsupported
from probee.model import ctype as c

MAX_STACK = 1024
STACK_MODES = ("bpftrace", "perf", "raw", "build_id")


def _check_symbol(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1)
    type = resolver.expr(node.args[0])
    if not (type.is_int or type.kind == "pointer"):
        raise TypeMismatch(f"{node.name}() expects an integer or pointer argument", node.span)
    return t.KSYM if node.name == "ksym" else t.USYM


def _lower_ksym(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    assert target is not None
    place.store(low.b, target.at(0, t.UINT64), low.number(node.args[0]))


def _lower_usym(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    """The address, and the process that it means something in."""
    assert target is not None
    store_usym(low, target, low.number(node.args[0]))


def store_usym(low: Lowerer, target: Place, address: Value) -> None:
    """Put an address of the current process where it is wanted."""
    from probee.compiler.lang.bpftrace.lower_record import note_process

    place.store(low.b, target.at(0, t.UINT64), address)
    place.store(low.b, target.at(8, t.UINT64), process_number(low, "pid", "curr_ns"))
    note_process(low)


def _check_kaddr(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1)
    name = literal_text(resolver, node, 0)
    if not resolver.script.target.has_symbol(name):
        raise CompileError(f"Failed to resolve kernel symbol: {name}", node.span)
    return t.UINT64


def _lower_kaddr(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    return late(low, "kaddr", text_of(node.args[0]), node.span)


def _check_percpu(resolver: Resolver, node: ast.Call) -> Ty:
    """percpu_kaddr(name [, cpu])."""
    arity(node, 1, 2)
    name = literal_text(resolver, node, 0)
    target = resolver.script.target
    if not target.has_btf or target.variable(name) is None:
        raise CompileError(f'Could not resolve variable "{name}" from BTF', node.span)
    if len(node.args) > 1:
        resolver.expr(node.args[1])
        expect(node, node.args[1], ("int",), "integer")
    if not target.has_feature("per_cpu_ptr"):
        raise Unsupported("percpu_kaddr() needs bpf_per_cpu_ptr, which this kernel lacks (Linux 5.10)", node.span)
    return t.UINT64


def _lower_percpu(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    """The address goes through memory that is only bytes to the kernel: as a number it may take part in any arithmetic."""
    b = low.b
    variable = b.ksym(text_of(node.args[0]))
    pointer, number = place.alloca(b, t.UINT64), place.alloca(b, t.UINT64)
    if len(node.args) == 1:
        place.store(b, pointer, b.helper("this_cpu_ptr", variable, type=ir.pointer("trusted")))
    else:
        cpu = low.number(node.args[1])
        found = b.helper("per_cpu_ptr", variable, cpu, type=ir.pointer("trusted", nullable=True))
        place.store(b, pointer, b.const(0))
        low.diamond(b.check_null(found), lambda: place.store(b, pointer, b.non_null(found)), None)
    b.helper("probe_read_kernel", place.address(b, number), b.const(8), place.address(b, pointer))
    return place.load(b, number)


def _check_reg(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1)
    name = literal_text(resolver, node, 0)
    if resolver.instance.provider not in REGISTERS:
        raise CompileError(f"The reg function can not be used with '{resolver.instance.provider}' probes", node.span)
    from probee.probes.register import registers

    registers(resolver.script.target.arch).offset(name, node.span)
    return t.UINT64


def _lower_reg(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    from probee.probes.register import registers

    return register_value(low, node, registers(low.script.target.arch).offset(text_of(node.args[0])))


def _check_stack(resolver: Resolver, node: ast.Call) -> Ty:
    """kstack([mode,] [limit])."""
    if len(node.args) > 2:
        raise CompileError("Invalid number of arguments", node.span)
    mode, depth, rest = "", STACK_DEPTH, list(node.args)
    if rest and isinstance(rest[0], ast.Identifier):
        mode = rest.pop(0).name  # type: ignore[attr-defined]  # an Identifier
        if mode not in STACK_MODES:
            message = f"Error parsing stack mode: Invalid value for {node.name}: valid values are {', '.join(STACK_MODES)}."
            raise CompileError(message, node.args[0].span)
    elif len(rest) == 2:
        raise CompileError("Expected stack mode as first argument", node.span)
    if rest:
        depth = literal_int(resolver, node, len(node.args) - 1)
        if depth < 0:
            raise CompileError(f"{node.name}: invalid limit value", node.span)
        if depth > MAX_STACK:
            raise CompileError(f"{node.name}([int limit]): limit shouldn't exceed {MAX_STACK}, {depth} given", node.span)
    return stack_type(resolver, node, mode, depth)


def _check_space(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 1)
    type = resolver.expr(node.args[0])
    expect(node, node.args[0], ("int", "pointer"), "integer or pointer")
    space = "user" if node.name == "uptr" else "kernel"
    return t.pointer_to(type.target if type.target is not None else c.VOID, space)


def _lower_space(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    return low.b.pointer(low.number(node.args[0]), node.type.space)


TABLE = {
    "ksym": (_check_symbol, _lower_ksym),
    "usym": (_check_symbol, _lower_usym),
    "kaddr": (_check_kaddr, _lower_kaddr),
    "percpu_kaddr": (_check_percpu, _lower_percpu),
    "reg": (_check_reg, _lower_reg),
    "kstack": (_check_stack, capture_stack),
    "ustack": (_check_stack, capture_stack),
    "kptr": (_check_space, _lower_space),
    "uptr": (_check_space, _lower_space),
}
