"""Functions: the table that calls are looked up in, one entry per name with how it types and how it is lowered.

The pairs themselves are in the function_*.py beside it, by subject, and in aggregation.py; library.py has what is a macro.
`check(resolver, call)` types a call and its arguments; `lower(lowerer, call, target)` returns a scalar's value or writes what
lies in memory into `target`.
"""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import (
    aggregation,
    ast,
    builtin,
    function_address,
    function_comptime,
    function_debug,
    function_kernel,
    function_map,
    function_network,
    function_option,
    function_output,
    function_packet,
    function_process,
    function_read,
    function_string,
    function_time,
    function_user,
    subprogram,
)
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import Resolver
from probee.compiler.lang.bpftrace.type import AGGREGATIONS, Ty
from probee.errors import CompileError, UnknownName

Check = Callable[[Resolver, ast.Call], Ty]
Lower = Callable[[Lowerer, ast.Call, "Place | None"], "Value | None"]

class Function:
    """How calls of a name type and are lowered."""

    __slots__ = ("check", "lower")

    def __init__(self, check: Check, lower: Lower) -> None:
        self.check = check
        self.lower = lower


_ROOMS = (
    function_output, function_read, function_string, function_map, function_address, function_network, function_time,
    function_process, function_option, function_comptime, function_debug, function_kernel, function_user,
    function_packet,
)  # fmt: skip
FUNCTIONS: dict[str, Function] = {
    name: Function(check, lower)
    for room in _ROOMS
    for name, (check, lower) in room.TABLE.items()
}
FUNCTIONS.update(
    {
        name: Function(aggregation.check, aggregation.lower)
        for name in AGGREGATIONS
    }
)


def resolve_call(resolver: Resolver, node: ast.Call) -> Ty:
    """Type a call; raises UnknownName with what was perhaps meant."""
    own = resolver.script.functions.get(node.name)
    if own is not None:
        return subprogram.resolve_call(resolver, node, own)
    function = FUNCTIONS.get(node.name)
    if function is not None:
        return function.check(resolver, node)
    known = builtin.find(node.name)
    if known is not None and not node.args:
        name = ast.Identifier(node.span, node.name)
        name.meaning = None
        builtin.check_place(resolver, name)
        type = known.check(resolver, name)
        node.meaning = name.meaning
        return type
    if known is not None and node.args:
        raise CompileError(f"{node.name}() requires no arguments ({len(node.args)} provided)", node.span)
    from probee.probes.candidate import closest

    near = closest(node.name, FUNCTIONS, 1)
    raise UnknownName(f"Unknown function: '{node.name}'", node.span, did_you_mean=near[0] if near else "")


def lower_call(low: Lowerer, node: ast.Expr, target: Place | None) -> Value | None:
    """Lower a call or a bare name."""
    if isinstance(node, ast.Identifier):
        known = builtin.find(node.name)
        if known is not None:
            return known.lower(low, node, target)
        call = ast.Call(node.span, node.name, [])
        call.type, call.meaning = node.type, node.meaning
        return FUNCTIONS[node.name].lower(low, call, target)
    assert isinstance(node, ast.Call)
    if node.name in low.script.functions:
        return subprogram.lower_call(low, node, target)
    if node.name in FUNCTIONS:
        return FUNCTIONS[node.name].lower(low, node, target)
    known = builtin.find(node.name)
    if known is None:
        raise CompileError(f"Unknown function: '{node.name}'", node.span)
    name = ast.Identifier(node.span, node.name)
    name.type, name.meaning = node.type, node.meaning
    return known.lower(low, name, target)
