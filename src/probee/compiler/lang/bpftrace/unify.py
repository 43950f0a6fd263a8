"""Where two types meet: branches, map values over several assignments, keys over several uses (reference §4.4)."""

from __future__ import annotations

from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.type import Ty


def unify(old: Ty, new: Ty, literal: int | None = None) -> Ty | None:
    """Return the type that holds values of both, None when there is none; `literal` is the new value when it is constant."""
    if old == new:
        return old
    if old.is_int and new.is_int:
        return _unify_ints(old, new, literal)
    if old.kind != new.kind:
        return _unify_kinds(old, new)
    if old.kind in ("string", "buffer"):
        return old if old.size >= new.size else new
    if old.kind in ("tuple", "record"):
        return _unify_fields(old, new)
    if old.kind == "pointer":
        return old if t.spell(old) == t.spell(new) or t.spell(new) == "void *" else (new if t.spell(old) == "void *" else None)
    if old.kind == "array":
        return old if old.count == new.count and old.element == new.element else None
    if old.is_aggregation:
        return old
    return None


def _unify_ints(old: Ty, new: Ty, literal: int | None) -> Ty:
    if literal is not None and t.fits(literal, old) and old.kind == "int":
        return old
    if old.kind == "enum" or new.kind == "enum":
        if old.kind == new.kind:
            return t.int_of(max(old.size, new.size), signed=old.signed or new.signed)
        old, new = (t.int_of(x.size, signed=x.signed) if x.kind == "enum" else x for x in (old, new))
    if old.kind == "bool" and new.kind == "bool":
        return old
    return t.promote(old, new)


def _unify_kinds(old: Ty, new: Ty) -> Ty | None:
    if old.is_aggregation and old.kind in t.READABLE and new.is_int:
        return None
    if old.kind == "pointer" and new.is_int:
        return old
    if {old.kind, new.kind} == {"int", "pointer"}:
        return new
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
