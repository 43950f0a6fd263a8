"""`typeinfo(x)`: a record of constants that says what a type is; comparisons of it are known when compiling."""

from __future__ import annotations

from probee.compiler.lang.bpftrace import access, ast, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.lower_write import write_bytes
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import Resolver
from probee.compiler.lang.bpftrace.scope import Known
from probee.compiler.lang.bpftrace.type import Ty
from probee.errors import CompileError

FIELDS = ("btf_id", "base_type", "full_type")


def resolve(resolver: Resolver, node: ast.TypeInfo) -> Ty:
    _check_stable(resolver, node)
    about = access.subject(resolver, node.operand)
    base, full = _base_name(about).encode(), str(about).encode()
    node.meaning = Known(base + b"\0" + full)
    return t.tuple_of([t.UINT64, t.string(len(base) + 1), t.string(len(full) + 1)], list(FIELDS))


def _check_stable(resolver: Resolver, node: ast.TypeInfo) -> None:
    state = resolver.script.config.text("unstable_typeinfo")
    if state == "error":
        message = (
            "typeinfo feature is not enabled by default. To enable this unstable feature, set the config flag to enable. "
            "unstable_typeinfo=enable"
        )
        raise CompileError(message, node.span)
    if state == "warn":
        message = (
            "Script is using an unstable feature: typeinfo. To prevent this warning you must explicitly enable it in the "
            "config e.g. unstable_typeinfo=enable"
        )
        resolver.script.warn(message, 0)


def _base_name(type: Ty) -> str:
    if type.kind in ("int", "enum"):
        return "int"
    return f"{type.kind}_t" if type.is_aggregation else type.kind


def known_field(node: ast.Expr, name: str) -> int | bytes:
    """Return a field of what `node`, a typeinfo, is known to be."""
    assert isinstance(node.meaning, Known) and isinstance(node.meaning.value, bytes)
    base, _, full = node.meaning.value.partition(b"\0")
    if name == "btf_id":
        return 0  # as upstream: types have no numbers yet
    return base if name == "base_type" else full


def write(low: Lowerer, node: ast.TypeInfo, target: Place, padded: bool) -> bool:
    if padded or place.has_gaps(target.type):
        place.zero(low.b, target)
    for field in target.type.fields:
        where, value = target.at(field.offset, field.type), known_field(node, field.name)
        if isinstance(value, bytes):
            write_bytes(low, where, value + b"\0")
        else:
            place.store(low.b, where, low.b.const(value))
    return True
