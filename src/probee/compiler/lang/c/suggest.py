"""What a misspelled name was perhaps meant to be."""

from __future__ import annotations

from probee.compiler.lang.c.lower import Lowerer
from probee.model.ctype import StructType, strip
from probee.model.helper import helper_names
from probee.probes.candidate import closest


def similar(low: Lowerer, name: str) -> str:
    """Return a declared name that is close to an unknown one, or ""."""
    known = low.scope.names()
    if name.isupper():
        from probee.compiler.lang.c._tables.constant import CONSTANTS

        known += CONSTANTS
    near = closest(name, known, 1)
    return near[0] if near else ""


def similar_function(low: Lowerer, name: str) -> str:
    """Return a function that is close to an unknown one: the program's own, built-in ones, helpers."""
    from probee.compiler.lang.c.call import BUILTINS

    names = [*low.source.functions, *BUILTINS, *(f"bpf_{helper}" for helper in helper_names())]
    near = closest(name, names, 1)
    return near[0] if near else ""


def similar_member(struct: StructType, name: str) -> str:
    """Return a member of a struct, anonymous ones' included, that is close to an unknown one."""
    near = closest(name, _names(struct), 1)
    return near[0] if near else ""


def _names(struct: StructType) -> list[str]:
    found = []
    for member in struct.members:
        inner = strip(member.type)
        if member.name:
            found.append(member.name)
        elif isinstance(inner, StructType):
            found += _names(inner)
    return found
