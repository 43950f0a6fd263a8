"""Clocks and the times that are made from them: nsecs(mode), strftime."""

from __future__ import annotations

from probee.compiler.ir.type import I32
from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.check import arity, expect, literal_text, text_of
from probee.compiler.lang.bpftrace.function_process import text_action
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.lower_context import boot_ns, late
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import Resolver, known_int
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError, Unsupported

CLOCKS = {"monotonic": 0, "boot": 1, "tai": 2, "sw_tai": 3}


def _check_nsecs(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 0, 1)
    if node.args:
        mode = _mode(node)
        if mode not in CLOCKS:
            raise CompileError(f"Invalid timestamp mode: {mode}", node.args[0].span)
        if mode == "tai" and not resolver.script.target.has_feature("ktime_get_tai_ns"):
            message = "nsecs(tai) needs bpf_ktime_get_tai_ns, which this kernel lacks (Linux 6.1)"
            raise Unsupported(message, node.span, hint="Use nsecs(sw_tai).")
    return t.UINT64


def _mode(node: ast.Call) -> str:
    first = node.args[0] if node.args else None
    if first is not None and not isinstance(first, ast.Identifier):
        raise CompileError(f"{node.name}() expects the name of a mode", first.span)
    return first.name if first is not None else "boot"


def _lower_nsecs(low: Lowerer, node: ast.Call, target: Place | None) -> Value:
    mode = _mode(node)
    if mode == "sw_tai":
        return low.b.add(boot_ns(low), late(low, "sw_tai_offset_ns"))
    return low.b.helper({"monotonic": "ktime_get_ns", "boot": "ktime_get_boot_ns", "tai": "ktime_get_tai_ns"}[mode])


def _check_strftime(resolver: Resolver, node: ast.Call) -> Ty:
    arity(node, 2)
    literal_text(resolver, node, 0)
    resolver.expr(node.args[1])
    expect(node, node.args[1], ("int",), "integer")
    known = known_int(node.args[1])
    if known is not None and known < 0:
        raise CompileError("strftime() does not accept negative timestamps", node.span)
    if isinstance(node.args[1], ast.Call) and node.args[1].name == "nsecs" and _mode(node.args[1]) == "monotonic":
        raise CompileError("strftime() can not take a monotonic timestamp", node.span)
    return t.TIMESTAMP


def _lower_strftime(low: Lowerer, node: ast.Call, target: Place | None) -> None:
    assert target is not None
    b, source = low.b, node.args[1]
    mode = _mode(source) if isinstance(source, ast.Call) and source.name == "nsecs" else "boot"
    number = text_action(low, text_of(node.args[0]))
    b.store(target.base, low.number(source), target.offset)
    b.store(target.base, b.const(CLOCKS[mode], I32), target.offset + 8)
    b.store(target.base, b.const(number, I32), target.offset + 12)


TABLE = {
    "nsecs": (_check_nsecs, _lower_nsecs),
    "strftime": (_check_strftime, _lower_strftime),
}
