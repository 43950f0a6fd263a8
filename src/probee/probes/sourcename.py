"""Functions by the names that they have in their source: `ns::f`, `ns::f(int)` of C++ and Rust.

Symbols of such functions are mangled; a mangled name holds each identifier of the name in plain text, so that only few of a
file's symbols need be read.  A name that says no parameters means all overloads.
"""

from __future__ import annotations

from collections.abc import Iterable

from probee.model.target import Binary
from probee.probes.glob import compile_glob
from probee.probes.probe import has_wildcard

CPP = "cpp"
_MANGLED = ("_Z", "_R")
# Words of names in the source that mangling has abbreviations for (Itanium C++ ABI, 5.1), or that only readers see.
_ABBREVIATED = frozenset(
    ("std", "operator", "string", "basic_string", "allocator", "istream", "ostream", "iostream", "basic_istream",
     "basic_ostream", "basic_iostream", "anonymous", "namespace", "new", "delete", "auto")
)  # fmt: skip
_PIECES = (".cold", ".part.")  # pieces of functions, which are no functions of their own


def functions_called(binary: Binary, wanted: str, language: str = "") -> list[str]:
    """Return the symbols of the functions that a name or pattern means, sorted; without `language`, a symbol comes first."""
    if not has_wildcard(wanted):
        symbol = [wanted] if binary.function_size(wanted) is not None else []
        if symbol and language != CPP:
            return symbol
        return sorted({*symbol, *_by_source_name(binary, binary.function_names(), wanted)})
    matches, names = compile_glob(wanted), list(binary.function_names())
    found = [name for name in names if matches(name)]
    if language == CPP or any(mark in wanted for mark in ("::", "(", "<", "~")):
        found += _by_source_name(binary, names, wanted)
    return sorted(set(found))


def shown_name(binary: Binary, symbol: str) -> str:
    """Return how listings show a symbol as a function of C++, so that it can be written in a script."""
    name = binary.source_name(symbol)
    return symbol if name == symbol else f'"{name}"'


def _by_source_name(binary: Binary, names: Iterable[str], wanted: str) -> list[str]:
    whole, matches, words = _has_parameters(wanted), compile_glob(_compact(wanted)), _identifiers(wanted)
    found = []
    for symbol in names:
        if not symbol.startswith(_MANGLED) or any(word not in symbol for word in words) or any(p in symbol for p in _PIECES):
            continue
        name = binary.source_name(symbol, parameters=whole)
        if name != symbol and (matches(_compact(name)) or matches(_compact(_without_result(name)))):
            found.append(symbol)
    return sorted(found)


def _has_parameters(wanted: str) -> bool:
    return "(" in wanted.replace("(anonymous namespace)", "").replace("operator()", "")


def _without_result(name: str) -> str:
    """Return `f<int>` of `int f<int>`: functions that templates made are shown with the type that they return."""
    depth, start = 0, 0
    for at, char in enumerate(name):
        if char == "(" and not depth and not name.startswith("(anonymous namespace)", at):
            break
        depth += (char in "<(") - (char in ">)")
        if char == " " and not depth:
            start = at + 1
    return name[start:]


def _compact(name: str) -> str:
    """Blanks behind commas are a matter of taste."""
    return name.replace(", ", ",")


def _identifiers(wanted: str) -> list[str]:
    """Return the words of a name or pattern that must stand in a mangled name as they are."""
    end = min((at for at in (wanted.find("("), wanted.find("<")) if at > 0), default=len(wanted))
    name = wanted[:end].partition("operator")[0].rpartition(" ")[2]  # before the blank is what the function returns
    words = "".join(char if char.isalnum() or char == "_" else " " for char in name).split()
    return [word for word in words if word.isascii() and word not in _ABBREVIATED and not word[0].isdigit()]

