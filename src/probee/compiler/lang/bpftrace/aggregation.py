"""Aggregations: count sum avg min max stats hist lhist, kept per CPU in the kernel (layout: runtime/aggregate.py)."""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.type import I64, pointer
from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.check import arity, literal_int
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.lower_map import kernel_name, make_key, slot_for
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import Resolver
from probee.compiler.lang.bpftrace.scope import MapInfo
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError, TypeMismatch, Unsupported
from probee.model.spec import LateConstant

MAX_LHIST_BUCKETS = 1000


def check(resolver: Resolver, node: ast.Call) -> Ty:
    """Type any aggregation call; its parameters are left in node.meaning."""
    if node.meaning == "statement":
        raise CompileError(f"{node.name}() must be assigned directly to a map", node.span)
    if node.name == "count":
        arity(node, 0)
        node.meaning = ()
        return Ty("count", 8, signed=True)
    arity(node, *{"hist": (1, 2), "lhist": (4, 4), "tseries": (3, 4)}.get(node.name, (1, 1)))
    type = resolver.expr(node.args[0])
    if type.kind in t.READABLE:
        type = t.int_of(8, signed=type.signed)
    if not (type.is_int or type.kind == "pointer"):
        raise TypeMismatch(f"{node.name}() only supports integer arguments ({type} provided)", node.args[0].span)
    node.meaning = _parameters(resolver, node)
    return Ty(node.name, 16 if node.name == "stats" else 8, signed=type.signed or type.kind == "bool", flexible=type.flexible)


def _parameters(resolver: Resolver, node: ast.Call) -> tuple[int | str, ...]:
    if node.name == "hist":
        bits = literal_int(resolver, node, 1) if len(node.args) > 1 else 0
        if not 0 <= bits <= 5:
            raise CompileError(f"hist: bits {bits} must be 0..5", node.span)
        return (bits,)
    if node.name == "tseries":
        from probee.compiler.lang.bpftrace import tseries

        return tseries.parameters(resolver, node)
    if node.name != "lhist":
        return ()
    low, high, step = (literal_int(resolver, node, index) for index in (1, 2, 3))
    if step < 1:
        raise CompileError(f"lhist() step must be >= 1 ({step} provided)", node.span)
    if low < 0:
        raise CompileError("lhist: invalid min value (must be non-negative literal)", node.span)
    if low >= high:
        raise CompileError(f"lhist() min must be less than max (provided min {low} and max {high})", node.span)
    if (high - low) // step > MAX_LHIST_BUCKETS:
        message = f"lhist() too many buckets, must be <= {MAX_LHIST_BUCKETS} (would need {(high - low) // step})"
        raise CompileError(message, node.span)
    if high - low < step:
        raise CompileError(
            f"lhist() step is too large for the given range (provided step {step} for range {high - low})", node.span
        )
    return (low, high, step)


def bucket_count(info: MapInfo) -> int:
    """Return how many buckets, or slots, a key can have."""
    assert info.value is not None
    numbers = [parameter for parameter in info.parameters if isinstance(parameter, int)]
    if info.value.kind == "hist":
        return (65 << numbers[0]) + 1
    return numbers[1] if info.value.kind == "tseries" else (numbers[1] - numbers[0]) // numbers[2] + 2


def lower(low: Lowerer, node: ast.Call, target: Place | None) -> Value | None:
    """An aggregation anywhere but on the right of a map's `=`."""
    raise CompileError(f"{node.name}() must be assigned directly to a map", node.span)


def aggregate(low: Lowerer, info: MapInfo, target: ast.MapRef | ast.MapAccess, call: ast.Expr) -> None:
    """`@m[k] = count()` and its kin: update this CPU's part."""
    while isinstance(call, (ast.Argument, ast.Expansion, ast.Block)):
        if isinstance(call, ast.Block):
            call = low.statements_of(call)
        else:
            call = call.value if isinstance(call, ast.Argument) else call.body
    if not isinstance(call, ast.Call):
        raise CompileError(f"an aggregation must be assigned directly to @{info.name}", call.span)
    b, kind = low.b, call.name
    number = b.const(1) if kind == "count" else low.number(call.args[0])
    if kind == "tseries":
        from probee.compiler.lang.bpftrace import tseries

        tseries.aggregate(low, info, target, number)
        return
    bucket = None
    if kind in ("hist", "lhist"):
        # 64 bits are taken as signed, whatever their type: a function's -ENOENT is in retval, an unsigned number
        negative = (info.value is not None and info.value.signed) or call.args[0].type.size == 8
        to_bucket = _log2_bucket if kind == "hist" else _linear_bucket
        bucket = to_bucket(low, number, info, signed=negative)
        number = b.const(1)
    key = make_key(low, info, target, bucket)
    size = 16 if kind in ("min", "max", "avg", "stats") else 8
    found = slot_for(low, info, key, size, target.span)
    signed = info.value is not None and info.value.signed
    low.diamond(b.check_null(found), lambda: _add(low, kind, b.non_null(found), number, signed=signed), None)


def _add(low: Lowerer, kind: str, where: Value, number: Value, *, signed: bool) -> None:
    b = low.b
    if kind in ("min", "max"):
        _extreme(low, kind, where, number, signed=signed)
        return
    b.atomic("add", where, number)
    if kind in ("avg", "stats"):
        b.atomic("add", where, b.const(1), 8)


def _extreme(low: Lowerer, kind: str, where: Value, number: Value, *, signed: bool) -> None:
    """Value, then 1 once it is set."""
    b = low.b
    write, compare, end = b.new_block(), b.new_block(), b.new_block()
    b.branch(b.compare(op.EQ, b.load(where, I64, 8), 0), write, compare)
    b.at(compare)
    relation = {("min", True): op.SLT, ("min", False): op.ULT, ("max", True): op.SGT, ("max", False): op.UGT}[kind, signed]
    b.branch(b.compare(relation, number, b.load(where, I64)), write, end)
    b.at(write)
    b.store(where, number)
    b.store(where, b.const(1), 8)
    b.jump(end)
    b.at(end)


def _log2_bucket(low: Lowerer, number: Value, info: MapInfo, *, signed: bool) -> Value:
    """hist's bucket: 0 below zero, n + 1 below 2**k, else by the top bit and the k bits after it."""
    b = low.b
    bits = int(info.parameters[0])
    result = place.alloca(b, t.UINT64, "bucket")
    place.store(b, result, b.const(0))
    end = b.new_block()
    if signed:
        positive = b.new_block()
        b.branch(b.compare(op.SLT, number, 0), end, positive)
        b.at(positive)
    large, small = b.new_block(), b.new_block()
    b.branch(b.compare(op.ULT, number, 1 << bits), small, large)
    b.at(small)
    place.store(b, result, b.add(number, 1))
    b.jump(end)
    b.at(large)
    top = _top_bit(low, number)
    shift = b.sub(top, bits) if bits else top
    base = b.shl(b.add(shift, 1), bits)
    rest = b.and_(b.lshr(number, shift), (1 << bits) - 1) if bits else b.const(0)
    place.store(b, result, b.add(b.add(base, rest), 1))
    b.jump(end)
    b.at(end)
    return place.load(b, result)


def _top_bit(low: Lowerer, number: Value) -> Value:
    """Return the position of the highest set bit (the number is not 0), by halving."""
    b = low.b
    rest, top = place.alloca(b, t.UINT64), place.alloca(b, t.UINT64)
    place.store(b, rest, number)
    place.store(b, top, b.const(0))
    for step in (32, 16, 8, 4, 2, 1):

        def halve(step: int = step) -> None:
            place.store(b, rest, b.lshr(place.load(b, rest), step))
            place.store(b, top, b.add(place.load(b, top), step))

        low.diamond(b.compare(op.UGE, place.load(b, rest), 1 << step), halve, None)
    return place.load(b, top)


def _linear_bucket(low: Lowerer, number: Value, info: MapInfo, *, signed: bool) -> Value:
    """lhist's bucket: 0 below min, the last from max on."""
    b = low.b
    start, end, step = (int(parameter) for parameter in info.parameters)
    below, above = (op.SLT, op.SGE) if signed else (op.ULT, op.UGE)
    result = place.alloca(b, t.UINT64, "bucket")
    place.store(b, result, b.const(0))

    def inside() -> None:
        def last() -> None:
            place.store(b, result, b.const(1 + (end - start) // step))

        def between() -> None:
            index = b.binary(op.UDIV, b.sub(number, start), b.const(step))
            place.store(b, result, b.add(index, 1))

        low.diamond(b.compare(above, number, end), last, between)

    low.diamond(b.compare(below, number, start), lambda: None, inside)
    return place.load(b, result)


def read_total(low: Lowerer, info: MapInfo, key: Value) -> Value:
    """Return an aggregation's value over all CPUs, as an i64: a loop over bpf_map_lookup_percpu_elem."""
    assert info.value is not None
    kind, signed = info.value.kind, info.value.signed
    if kind not in t.READABLE:
        raise CompileError(f"Map type {info.value} cannot be read as a number", info.span)
    if not low.feature("map_lookup_percpu_elem"):
        message = f"reading @{info.name} needs bpf_map_lookup_percpu_elem, which this kernel lacks (Linux 5.19)"
        raise Unsupported(message, low.b.span)
    low.unit.constants.setdefault("possible_cpus", LateConstant("possible_cpus", "possible_cpus"))
    b = low.b
    total, count, cpu = (place.alloca(b, t.INT64, name) for name in ("total", "count", "cpu"))
    for where in (total, count, cpu):
        place.store(b, where, b.const(0))
    head, body, next_, end = (b.new_block() for _ in range(4))
    b.jump(head)
    b.at(head)
    index = place.load(b, cpu)
    b.branch(b.compare(op.ULT, index, b.late("possible_cpus")), body, end)
    b.at(body)
    one = b.helper("map_lookup_percpu_elem", b.map(kernel_name(info)), key, index, type=pointer("map", nullable=True))
    low.diamond(b.check_null(one), lambda: _merge(low, kind, b.non_null(one), total, count, signed=signed), None)
    b.jump(next_)
    b.at(next_)
    place.store(b, cpu, b.add(place.load(b, cpu), 1))
    b.jump(head)
    b.at(end)
    if kind != "avg":
        return place.load(b, total)
    return _average(low, place.load(b, total), place.load(b, count), signed=signed)


def _merge(low: Lowerer, kind: str, where: Value, total: Place, count: Place, *, signed: bool) -> None:
    b = low.b
    value = b.load(where, I64)
    if kind in ("count", "sum", "avg"):
        place.store(b, total, b.add(place.load(b, total), value))
        if kind == "avg":
            place.store(b, count, b.add(place.load(b, count), b.load(where, I64, 8)))
        return

    def take() -> None:
        place.store(b, total, value)
        place.store(b, count, b.const(1))

    def compare() -> None:
        relation = {("min", True): op.SLT, ("min", False): op.ULT, ("max", True): op.SGT, ("max", False): op.UGT}[kind, signed]
        low.diamond(b.compare(relation, value, place.load(b, total)), take, None)

    def is_set() -> None:
        low.diamond(b.compare(op.EQ, place.load(b, count), 0), take, compare)

    low.diamond(b.compare(op.NE, b.load(where, I64, 8), 0), is_set, None)


def _average(low: Lowerer, total: Value, count: Value, *, signed: bool) -> Value:
    """Divide toward zero without signed division, which is not in instruction set v3."""
    b = low.b
    if not signed:
        return b.binary(op.UDIV, total, count)
    result = place.alloca(b, t.INT64)
    low.diamond(
        b.compare(op.SLT, total, 0),
        lambda: place.store(b, result, b.sub(b.const(0), b.binary(op.UDIV, b.sub(b.const(0), total), count))),
        lambda: place.store(b, result, b.binary(op.UDIV, total, count)),
    )
    return place.load(b, result)


