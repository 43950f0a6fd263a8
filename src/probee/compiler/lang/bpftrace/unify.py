"""Where two types meet: branches, map values over several assignments, keys over several uses (reference §4.4)."""

from __future__ import annotations

from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.type import Ty

SIGNED_AGGREGATIONS = frozenset(("sum", "min", "max", "avg", "stats"))


def unify(old: Ty, new: Ty) -> Ty | None:
    """Return the type that holds values of both, None when there is none."""
    if t.identical(old, new):
        return old
    if old.is_int and new.is_int:
        return _unify_ints(old, new)
    if old.kind != new.kind:
        return _unify_kinds(old, new)
    if old.kind in ("string", "buffer"):
        return old if old.size >= new.size else new
    if old.kind in ("tuple", "record"):
        return _unify_fields(old, new)
    if old.kind == "pointer":
        return _unify_pointers(old, new)
    if old.kind == "array":
        return old if old == new else None
    if old.is_aggregation:
        return _unify_aggregations(old, new)
    return old if old == new else None


def _unify_ints(old: Ty, new: Ty) -> Ty | None:
    if old.kind == new.kind == "enum":
        if old.name == new.name and old.name:
            return old if old.size >= new.size else new
        return old if old.table == new.table else t.int_of(max(old.size, new.size), signed=old.signed or new.signed)
    if (old.kind == "bool") != (new.kind == "bool"):
        return None
    return t.promote(*(t.int_of(x.size, signed=x.signed) if x.kind == "enum" else x for x in (old, new)))


def _unify_kinds(old: Ty, new: Ty) -> Ty | None:
    if old.kind == "pointer" and new.kind == "int":
        return old
    if old.kind == "int" and new.kind == "pointer":
        return new
    if old.is_int and new.kind in t.READABLE:
        return t.promote(old, t.int_of(8, signed=new.signed))
    return None


def _unify_pointers(old: Ty, new: Ty) -> Ty | None:
    if t.spell(old) == t.spell(new) or t.spell(new) == "void *":
        return old
    if t.spell(old) == "void *":
        return new
    if isinstance(old.target, Ty) and isinstance(new.target, Ty):
        joined = unify(old.target, new.target)
        return t.pointer_to(joined, new.space) if joined is not None else None
    return None


def _unify_fields(old: Ty, new: Ty) -> Ty | None:
    if len(old.fields) != len(new.fields):
        return None
    if old.kind == "record" and {f.name for f in old.fields} != {f.name for f in new.fields}:
        return None
    types = []
    for index, field in enumerate(old.fields):
        other = new.fields[index] if old.kind == "tuple" else next(f for f in new.fields if f.name == field.name)
        joined = unify(field.type, other.type)
        if joined is None:
            return None
        types.append(joined)
    return t.tuple_of(types, [f.name for f in old.fields] if old.kind == "record" else None)


def _unify_aggregations(old: Ty, new: Ty) -> Ty | None:
    """Two uses of one function; when their arguments differ in sign, the values are signed."""
    if old.kind not in SIGNED_AGGREGATIONS:
        return old
    signed = t.meeting_sign(old, new)
    return Ty(old.kind, old.size, signed=signed, flexible=old.flexible and new.flexible)
