"""tseries(): the newest values by interval of time, in a ring of slots per key (layout: runtime/aggregate.py).

The time is that of nsecs(sw_tai); the variable BPFTRACE_DUMMY_TS_MAP names a map to take it from instead, for tests.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.type import I64
from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace.check import literal_int, literal_text
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.lower_context import boot_ns, late
from probee.compiler.lang.bpftrace.lower_map import make_key, read, slot_for
from probee.compiler.lang.bpftrace.resolve import Resolver
from probee.compiler.lang.bpftrace.scope import MapInfo
from probee.errors import CompileError

FUNCTIONS = ("avg", "max", "min", "sum")
MAX_INTERVALS = 1_000_000
SIZE = 24  # value, meta, epoch
_META, _EPOCH = 8, 16


def parameters(resolver: Resolver, node: ast.Call) -> tuple[int | str, ...]:
    """Check the interval, their number and the function; return them."""
    _check_stable(resolver, node)
    interval, count = literal_int(resolver, node, 1), literal_int(resolver, node, 2)
    if interval < 1:
        raise CompileError(f"tseries() interval_ns must be >= 1 ({interval} provided)", node.span)
    if count < 1:
        raise CompileError(f"tseries() num_intervals must be >= 1 ({count} provided)", node.span)
    if count > MAX_INTERVALS:
        raise CompileError(f"tseries() num_intervals must be < {MAX_INTERVALS} ({count} provided)", node.span)
    function = literal_text(resolver, node, 3) if len(node.args) > 3 else ""
    if len(node.args) > 3 and function not in FUNCTIONS:
        message = (
            f'tseries() expects one of the following aggregation functions: {", ".join(FUNCTIONS)} ("{function}" provided)'
        )
        raise CompileError(message, node.span)
    return interval, count, function


def _check_stable(resolver: Resolver, node: ast.Call) -> None:
    state = resolver.script.config.text("unstable_tseries")
    if state == "error":
        message = "tseries feature is not enabled by default. To enable this unstable feature, set this config flag to enable"
        raise CompileError(message, node.span, hint="e.g. unstable_tseries=enable")
    if state == "warn":
        message = (
            "Script is using an unstable feature: tseries. To prevent this warning you must explicitly enable it in the "
            "config e.g. unstable_tseries=enable"
        )
        resolver.script.warn(message, 0)


def aggregate(low: Lowerer, info: MapInfo, target: ast.MapRef | ast.MapAccess, number: Value) -> None:
    """Put a value into its slot: a slot that holds another epoch begins anew."""
    b = low.b
    interval, count, function = int(info.parameters[0]), int(info.parameters[1]), str(info.parameters[2])
    now = _now(low)
    epoch = b.binary(op.UDIV, now, b.const(interval))
    key = make_key(low, info, target, b.binary(op.UREM, epoch, b.const(count)))
    found = slot_for(low, info, key, SIZE, target.span)
    signed = info.value is not None and info.value.signed
    meta = b.const(1) if function == "avg" else now

    def present() -> None:
        where = b.non_null(found)

        def anew() -> None:
            b.store(where, number)
            b.store(where, meta, _META)
            b.store(where, epoch, _EPOCH)

        same = b.compare(op.EQ, b.load(where, I64, _EPOCH), epoch)
        low.diamond(same, lambda: _join(low, function, where, number, now, signed=signed), anew)

    low.diamond(b.check_null(found), present, None)


def _now(low: Lowerer) -> Value:
    name = low.script.environment.get("BPFTRACE_DUMMY_TS_MAP", "")
    info = low.script.maps.get(name.removeprefix("@")) if name else None
    if info is not None and info.value is not None and not info.keyed:
        return read(low, ast.MapRef(low.b.span, info.name))
    return low.b.add(boot_ns(low), late(low, "sw_tai_offset_ns"))


def _join(low: Lowerer, function: str, where: Value, number: Value, now: Value, *, signed: bool) -> None:
    b = low.b
    old = b.load(where, I64)
    if function in ("avg", "sum"):
        b.store(where, b.add(old, number))
        if function == "avg":
            b.store(where, b.add(b.load(where, I64, _META), 1), _META)
    elif function:
        relation = {("min", True): op.SLT, ("min", False): op.ULT, ("max", True): op.SGT, ("max", False): op.UGT}
        low.diamond(b.compare(relation[function, signed], number, old), lambda: b.store(where, number), None)
    else:
        b.store(where, number)
        b.store(where, now, _META)
