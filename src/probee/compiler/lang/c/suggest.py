"""What a misspelled name was perhaps meant to be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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
    return _closest(name, known)


def similar_function(low: Lowerer, name: str) -> str:
    """Return a function that is close to an unknown one: the program's own, built-in ones, helpers."""
    from probee.compiler.lang.c.call import BUILTINS

    names = [*low.source.functions, *BUILTINS, *(f"bpf_{helper}" for helper in helper_names())]
    return _closest(name, names) or _with_a_word_more(name, names)


def _with_a_word_more(name: str, known: Iterable[str]) -> str:
    """Return the shortest name with one word more: bpf_ktime_get_ns for bpf_ktime_ns."""
    words = set(name.split("_"))
    longer = [other for other in known if len(words) > 2 and len(words) < len(parts := set(other.split("_"))) < len(words) + 2
              and words < parts]  # fmt: skip
    return min(longer, key=lambda other: (len(other), other), default="")


def similar_member(struct: StructType, name: str) -> str:
    """Return a member of a struct, anonymous ones' included, that is close to an unknown one."""
    return _closest(name, _names(struct))


def _closest(name: str, known: Iterable[str]) -> str:
    """Return the name that is closest; to one of a letter or two, all short ones would be."""
    near = closest(name, (other for other in known if len(other) > 2), 1) if len(name) > 2 else ()
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


_OF_OTHERS = ("vmlinux.h", "bpf_", "linux", "asm", "net", "uapi", "bcc")


def missing_headers(text: str, headers: Mapping[str, str] | None) -> str:
    """Return what to say of headers between quotes that a program includes and nobody found, "" when there are none."""
    import re

    known = headers or {}
    named = re.findall(r'^[ \t]*#[ \t]*include[ \t]*"([^"\n]+)"', "\n".join((text, *known.values())), re.MULTILINE)
    missing = dict.fromkeys(name for name in named if name not in known and not name.startswith(_OF_OTHERS))
    if not missing:
        return ""
    shown = " and ".join(f'"{name}"' for name in missing)
    verb = "was" if len(missing) == 1 else "were"
    return f"{shown} {verb} not found: headers are looked for in the current directory, beside the source and where -I says."
