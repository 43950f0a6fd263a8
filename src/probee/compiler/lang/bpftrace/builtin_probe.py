"""Builtin values that depend on the probe: args, arg0 …, sarg0 …, retval, ctx, func, probe, usermode."""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.ir.type import I64
from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast, place, slot
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.instance import TRAMPOLINES, traced_function
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.lower_context import REGISTERS, context_of, known_text, late, layout, register_value
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import Resolver
from probee.compiler.lang.bpftrace.scope import Instance, Known, Script
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError, Unsupported
from probee.model import ctype as c


def _probe_name(resolver: Resolver, node: ast.Identifier) -> Ty:
    text = resolver.instance.point.name.encode()
    node.meaning = Known(text)
    return t.string(len(text) + 1)


def _probe_type(resolver: Resolver, node: ast.Identifier) -> Ty:
    text = resolver.instance.point.provider.probetype.encode()
    node.meaning = Known(text)
    return t.string(len(text) + 1)


def _need(name: str, providers: tuple[str, ...], words: str) -> Callable[[Resolver, ast.Identifier], Ty]:
    def check(resolver: Resolver, node: ast.Identifier) -> Ty:
        if resolver.instance.provider not in providers:
            raise CompileError(f"The {node.name} builtin can only be used with {words} probes", node.span)
        return t.UINT64

    return check


def _argument(resolver: Resolver, node: ast.Identifier) -> Ty:
    providers = ("kprobe", "uprobe", "usdt", "rawtracepoint")
    if resolver.instance.provider not in providers:
        raise CompileError(f"The {node.name} builtin can only be used with 'kprobes', 'uprobes' and 'usdt' probes", node.span)
    if resolver.instance.provider == "usdt":
        from probee.compiler.lang.bpftrace.usdt import argument_type

        return argument_type(resolver.instance, node)
    if resolver.instance.provider != "rawtracepoint":
        from probee.probes.register import registers

        registers(resolver.script.target.arch).argument(int(node.name[3:]), node.span)
    return t.UINT64


def _argument_value(low: Lowerer, node: ast.Expr, target: Place | None) -> Value:
    assert isinstance(node, ast.Identifier)
    number = int(node.name[3:])
    if low.instance.provider == "usdt":
        from probee.compiler.lang.bpftrace.usdt import argument_value

        return argument_value(low, node)
    if low.instance.provider == "rawtracepoint":
        return register_value(low, node, 8 * number)
    return register_value(low, node, layout(low).argument(number, node.span))


def _stack_argument(low: Lowerer, node: ast.Expr, target: Place | None) -> Value:
    assert isinstance(node, ast.Identifier)
    registers = layout(low)
    stack = low.b.pointer(register_value(low, node, registers.stack_pointer), low.instance.space)
    return low.b.load(stack, I64, registers.stack_argument_offset(int(node.name[4:])))


def _retval_type(resolver: Resolver, node: ast.Identifier) -> Ty:
    instance = resolver.instance
    if instance.provider == "fexit":
        return slot.type_of(_result(resolver.script, instance, node))
    if instance.provider not in ("kretprobe", "uretprobe"):
        raise CompileError("The retval builtin can only be used with 'kretprobe', 'uretprobe' and 'fexit' probes", node.span)
    return t.UINT64


def _result(script: Script, instance: Instance, node: ast.Expr) -> slot.SlotMember:
    """Return what and where the result of fexit's function is."""
    function = traced_function(script, instance.point)
    if function is None:
        raise CompileError("The retval builtin cannot be used for 'fentry/fexit:bpf' probes", node.span)
    member = slot.result_member(function.type)
    if member is None:
        raise CompileError(f"The function {function.name} returns nothing", node.span)
    return member


def _retval(low: Lowerer, node: ast.Expr, target: Place | None) -> Value:
    if low.instance.provider == "fexit":
        member = _result(low.script, low.instance, node)
        return slot.value(low, Place(context_of(low, node), member.offset, node.type), member)
    return register_value(low, node, layout(low).return_value)


def _args_type(resolver: Resolver, node: ast.Identifier) -> Ty:
    struct = resolver.instance.args
    if struct is None and resolver.instance.provider == "uprobe":
        from probee.compiler.lang.bpftrace.passed import arguments_of

        struct = resolver.instance.args = arguments_of(resolver.script, resolver.instance, node.span)
    if struct is None and resolver.instance.provider in TRAMPOLINES:
        raise CompileError("The args builtin cannot be used for 'fentry/fexit:bpf' probes", node.span)
    if struct is None:
        message = f"The args builtin can not be used with '{resolver.instance.provider}' probes"
        raise CompileError(message, node.span)
    return t.struct_of(struct, "context")


def _context_type(resolver: Resolver, node: ast.Identifier) -> Ty:
    provider = resolver.instance.provider
    if provider == "tracepoint":
        raise CompileError("Use args instead of ctx in tracepoint", node.span)
    if provider == "iter":
        walked = resolver.script.target.type_named("struct", f"bpf_iter__{resolver.instance.point.function}")
        return t.pointer_to(slot.iterator_struct(walked) if isinstance(walked, c.StructType) else c.VOID, "context")
    if provider not in REGISTERS:
        raise CompileError(f"The ctx builtin can not be used with '{provider}' probes", node.span)
    name = "bpf_perf_event_data" if provider in ("profile", "interval", "software", "hardware", "watchpoint") else "pt_regs"
    found = resolver.script.target.type_named("struct", name) if resolver.script.target.has_btf else None
    return t.pointer_to(found if found is not None else c.VOID, "context")


def _context(low: Lowerer, node: ast.Expr, target: Place | None) -> Value:
    return context_of(low, node)


def _function_type(resolver: Resolver, node: ast.Identifier) -> Ty:
    provider = resolver.instance.provider
    if provider in ("uprobe", "uretprobe"):
        return t.USYM
    if provider not in ("kprobe", "kretprobe", *TRAMPOLINES):
        raise CompileError(f"The func builtin can not be used with '{provider}' probes", node.span)
    return t.KSYM


def _function(low: Lowerer, node: ast.Expr, target: Place | None) -> None:
    assert target is not None
    if low.instance.provider in ("uprobe", "uretprobe"):
        from probee.compiler.lang.bpftrace.function_address import store_usym

        store_usym(low, target, _function_address(low, node))
        return
    place.store(low.b, target.at(0, t.UINT64), _function_address(low, node))


def _function_address(low: Lowerer, node: ast.Expr) -> Value:
    point = low.instance.point
    if low.instance.provider in ("kprobe", "uprobe"):
        return register_value(low, node, layout(low).program_counter)
    if low.feature("get_func_ip"):
        return low.b.helper("get_func_ip", context_of(low, node))
    if point.is_pattern or not point.function or point.path:
        message = f"func in a {low.instance.provider} with a wildcard needs bpf_get_func_ip, not in this kernel (Linux 5.15)"
        raise Unsupported(message, node.span)
    return late(low, "kaddr", point.function, node.span)


def _user_mode_type(resolver: Resolver, node: ast.Identifier) -> Ty:
    arch, provider = resolver.script.target.arch, resolver.instance.provider
    if arch != "x86_64":
        raise CompileError(f"'usermode' builtin is only supported on x86_64, not on {arch}", node.span)
    if provider in ("begin", "end", "self", "test", "bench"):  # run by our own process
        node.meaning = Known(1, literal=False)
    elif provider in TRAMPOLINES:  # the kernel's functions are called by the kernel
        node.meaning = Known(0, literal=False)
    elif provider not in REGISTERS:
        raise CompileError(f"The usermode builtin can not be used with '{provider}' probes", node.span)
    return t.UINT8


def _user_mode(low: Lowerer, node: ast.Expr, target: Place | None) -> Value:
    """The code segment's privilege level is 3."""
    level = low.b.and_(register_value(low, node, layout(low).offset("cs")), 3)
    return low.b.zext(low.b.compare("eq", level, 3), I64)


PROBE_BUILTINS = {
    "probe": (_probe_name, known_text),
    "probetype": (_probe_type, known_text),
    "func": (_function_type, _function),
    "args": (_args_type, _context),
    "ctx": (_context_type, _context),
    "retval": (_retval_type, _retval),
    "argN": (_argument, _argument_value),
    "sargN": (_need("sarg", ("kprobe", "uprobe"), "'kprobe' and 'uprobe'"), _stack_argument),
    "usermode": (_user_mode_type, _user_mode),
}
