"""Maps of the script: keys, reading, assigning, incrementing; and the MapSpecs they become."""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.ir.type import I64, pointer
from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.lower_record import refuse, warn_of_helper
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.scope import MapInfo, Script
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError, Unsupported
from probee.model.spec import MapSpec, MapType
from probee.model.value import ValueType

ANY, NO_EXIST = 0, 1  # flags of bpf_map_update_elem
SHORT_KEY = 512  # bytes, MAX_BPF_STACK
VERBOSE = 2  # the warning level of -k
BUCKETED = ("hist", "lhist", "tseries")
_TYPES = {
    "hash": MapType.HASH,
    "lruhash": MapType.LRU_HASH,
    "percpuhash": MapType.PERCPU_HASH,
    "percpulruhash": MapType.LRU_PERCPU_HASH,
}


def kernel_name(info: MapInfo) -> str:
    """Return the map's name in the unit and the ObjectSpec."""
    return f"@{info.name}"


def info_of(low: Lowerer, node: ast.MapRef | ast.MapAccess) -> MapInfo:
    ref = node.map if isinstance(node, ast.MapAccess) else node
    return low.script.maps[ref.name]


def key_size(info: MapInfo) -> int:
    """Return how many bytes a key has in the kernel, an aggregation's bucket included."""
    size = info.key.size if info.key is not None else 0
    if info.value is not None and info.value.is_aggregation:
        size = -(-size // 8) * 8 + (8 if info.value.kind in BUCKETED else 0)
    return size or 8


def make_key(low: Lowerer, info: MapInfo, node: ast.MapRef | ast.MapAccess, bucket: Value | None = None) -> Value:
    """Build the key in memory and return the pointer to it."""
    b = low.b
    size = key_size(info)
    base = b.alloca(-(-size // 8) * 8, 8, f"key of @{info.name}")
    used = 0
    if isinstance(node, ast.MapAccess):
        assert info.key is not None
        low.into(node.key, Place(base, 0, info.key), padded=True)
        used = info.key.size
    end = size - 8 if bucket is not None else size
    if used < end:
        b.zero(base, end - used, used)
    if bucket is not None:
        b.store(base, bucket, end)
    return base


def lookup(low: Lowerer, info: MapInfo, key: Value) -> Value:
    return low.b.helper("map_lookup_elem", low.b.map(kernel_name(info)), key, type=pointer("map", nullable=True))


def update(low: Lowerer, info: MapInfo, key: Value, value: Value, flags: int) -> Value:
    b = low.b
    return b.helper("map_update_elem", b.map(kernel_name(info)), key, value, b.const(flags))


def read(low: Lowerer, node: ast.MapRef | ast.MapAccess) -> Value:
    """Return a scalar value of a map, 0 when the key is missing."""
    b, info = low.b, info_of(low, node)
    assert info.value is not None
    if info.value.is_aggregation:
        from probee.compiler.lang.bpftrace.aggregation import read_total

        return read_total(low, info, make_key(low, info, node))
    slot = t.int_of(8, signed=info.value.signed) if info.value.is_int else info.value
    result = place.alloca(b, slot)
    place.store(b, result, b.const(0))
    found = lookup(low, info, make_key(low, info, node))
    type = info.value

    def present() -> None:
        place.store(b, result, place.load(b, Place(b.non_null(found), 0, type)))

    low.diamond(b.check_null(found), present, missing_warning(low, node))
    return place.load(b, result)


def missing_warning(low: Lowerer, node: ast.Expr) -> Callable[[], None] | None:
    """Return what reports a missing key when `-k` asks for such warnings."""
    if low.script.options.get("warning_level") != VERBOSE:
        return None
    return lambda: warn_of_helper(low, "map_lookup_elem", low.b.const(0), node.span)


def read_into(low: Lowerer, node: ast.MapRef | ast.MapAccess, target: Place, *, padded: bool) -> None:
    """Copy a value that lies in memory out of a map; a missing key gives zeros."""
    b, info = low.b, info_of(low, node)
    type = info.value
    assert type is not None
    if type.kind in t.AGGREGATIONS:
        raise CompileError(f"Map type {type} cannot be used as a value here", node.span)
    found = lookup(low, info, make_key(low, info, node))
    warn = missing_warning(low, node)

    def missing() -> None:
        place.zero(b, target)
        if warn is not None:
            warn()

    low.diamond(
        b.check_null(found), lambda: place.copy(b, target, Place(b.non_null(found), 0, type), padded=padded), missing
    )


def assign(low: Lowerer, target: ast.MapRef | ast.MapAccess, value: ast.Expr, span: int) -> None:
    """`@m[k] = v`, which `span` is; an aggregation call updates instead."""
    b, info = low.b, info_of(low, target)
    type = info.value
    assert type is not None
    if type.is_aggregation:
        from probee.compiler.lang.bpftrace.aggregation import aggregate

        aggregate(low, info, target, value)
        return
    data = place.alloca(b, type, f"value of @{info.name}")
    low.into(value, data, padded=True)
    key = make_key(low, info, target)
    refuse(low, update(low, info, key, place.address(b, data), ANY), span)


def slot_for(low: Lowerer, info: MapInfo, key: Value, size: int, span: int) -> Value:
    """Return the nullable pointer to a key's value, made of zeros when it is missing; null when the map is full.

    Two CPUs may find it missing at once: BPF_NOEXIST lets one of them make it, and both then use that one.
    """
    b = low.b
    result = b.alloca(8, 8, "slot")
    found = lookup(low, info, key)
    b.store(result, found)

    def missing() -> None:
        zeros = b.alloca(-(-size // 8) * 8, 8, "zeros")
        b.zero(zeros, -(-size // 8) * 8)
        made = update(low, info, key, zeros, NO_EXIST)
        again = lookup(low, info, key)
        b.store(result, again)
        low.diamond(b.check_null(again), lambda: None, lambda: refuse(low, made, span))

    low.diamond(b.check_null(found), lambda: None, missing)
    return b.load(result, pointer("map", nullable=True))


def increment(low: Lowerer, node: ast.IncDec, step: int) -> Value:
    """`@m++` and its kin: atomic, so that no CPU's increment is lost."""
    assert not isinstance(node.target, ast.Variable)
    b, info = low.b, info_of(low, node.target)
    type = info.value
    assert type is not None
    if type.kind == "pointer":
        step *= t.pointee(type).size or 1
    elif type.size != 8:
        raise Unsupported(f"{node.op} on a map of {type} is not supported", node.span)
    key = make_key(low, info, node.target)
    pointer_ = slot_for(low, info, key, 8, node.span)
    result = place.alloca(b, t.int_of(8, signed=True))
    place.store(b, result, b.const(0))
    fetch = low.feature("atomic_fetch")

    def present() -> None:
        where = b.non_null(pointer_)
        if fetch:
            old = b.atomic("add", where, b.const(step), fetch=True)
        else:
            old = b.load(where, I64)
            b.atomic("add", where, b.const(step))
        place.store(b, result, b.add(old, step) if node.prefix else old)

    low.diamond(b.check_null(pointer_), present, None)
    return place.load(b, result)


# -- specs


def map_spec(script: Script, info: MapInfo) -> MapSpec:
    """Return the spec of a map that resolve has finished with."""
    value = info.value if info.value is not None else t.INT64
    entries = info.entries or (1 if not info.keyed and value.kind not in BUCKETED else script.config.number("max_map_keys"))
    aggregation = value.kind if value.is_aggregation else ""
    if aggregation and info.declared in ("hash", "lruhash"):
        message = f"Incompatible map types. Type from declaration: {info.declared}. Type from value/key type: percpuhash"
        raise CompileError(message, info.span)
    if not aggregation and info.declared.startswith("percpu"):
        message = f"Incompatible map types. Type from declaration: {info.declared}. Type from value/key type: hash"
        raise CompileError(message, info.span)
    kind = _TYPES[info.declared] if info.declared else (MapType.PERCPU_HASH if aggregation else MapType.HASH)
    if key_size(info) > SHORT_KEY and not _takes_long_keys(script.target.release):
        message = f"@{info.name} has keys of {key_size(info)} bytes, and before Linux 5.16 a map takes {SHORT_KEY} at most"
        raise CompileError(message, info.span, hint="config = { max_strlen = 64 } makes strings shorter.")
    return MapSpec(
        kernel_name(info),
        kind,
        key_size(info),
        _stored_size(value),
        entries,
        key=_key_type(info.key) if info.keyed and info.key is not None else None,
        value=t.value_type(value),
        scalar=not info.keyed,
        aggregation=aggregation,
        aggregation_parameters=(int(value.signed), *info.parameters) if aggregation else (),
    )


def _takes_long_keys(release: str) -> bool:
    """Linux commit c6bde958a62b "bpf: Lift hashtab key_size limit" (in v5.16)."""
    major, _, rest = release.partition(".")
    minor = rest.partition(".")[0]
    return not major.isdigit() or not minor.isdigit() or (int(major), int(minor)) >= (5, 16)


def _key_type(key: Ty) -> ValueType:
    return t.value_type(key)


def _stored_size(value: Ty) -> int:
    sizes = {"count": 8, "sum": 8, "hist": 8, "lhist": 8, "tseries": 24, "min": 16, "max": 16, "avg": 16, "stats": 16}
    return sizes.get(value.kind, value.size)
