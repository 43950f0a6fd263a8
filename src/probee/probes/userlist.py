"""Listing of what programs and libraries have: functions (uprobe, uretprobe) and USDT probes.

`TARGET:FUNCTION`, `TARGET@FILE:LINE` and `TARGET:[PROVIDER:]NAME` with wildcards in each part but FILE; a TARGET may be left
out, which stands for all files that the process of -p (without it: any process) runs code from.  Files that are no programs
are passed over where a pattern covers them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from probee.errors import ProbeeError, UnknownName
from probee.model.ctype import CType
from probee.model.target import Binary, Target
from probee.model.usdt import UsdtArgument, UsdtPlace
from probee.probes.glob import compile_glob
from probee.probes.probe import Probe, has_wildcard
from probee.probes.sourcename import CPP, functions_called, shown_name
from probee.probes.user import shown_path

Entry = tuple[str, "Callable[[], Iterable[str]] | None"]  # name after the provider, and what -v adds


def list_functions(provider: str, rest: str, target: Target) -> Iterator[Entry]:
    """Yield `path:function` for what follows `uprobe:` (or `uretprobe:`); behind `cpp:` by the names in their source."""
    path, name = split_target(rest)
    if "@" in path and provider == "uprobe" and not list(target.binaries(path)):
        yield from list_source(path, name, target)
        return
    language = CPP if name.startswith(f"{CPP}:") else ""
    wanted = name.removeprefix(f"{CPP}:").strip('"') or "*"
    for binary, shown in _binaries(path, provider, target):
        try:
            functions = functions_called(binary, wanted, language)
        except (ProbeeError, OSError):
            if not has_wildcard(path):
                raise
            continue
        for function in functions:
            name = f"{language}:{shown_name(binary, function)}" if language else function
            yield f"{shown}:{name}", _signature_of(provider, binary, function)


def list_source(path: str, line: str, target: Target) -> Iterator[Entry]:
    """Yield `path@file:line` for the lines of a source file that have code, and with each the addresses of that."""
    path, _, file = path.rpartition("@")
    matches = compile_glob(line or "*")
    for binary, shown in _binaries(path, "uprobe", target):
        for number in filter(lambda number: matches(str(number)), binary.lines_of(file)):
            yield f"{shown}@{file}:{number}", _places_of(binary, file, number)


def _places_of(binary: Binary, file: str, line: int) -> Callable[[], Iterable[str]]:
    return lambda: [f"{address:#x}" for address in binary.places_of(file, line)]


def list_usdt(rest: str, target: Target) -> Iterator[Entry]:
    """Yield `path:provider:name` for what follows `usdt:`, and with each the arguments that it passes."""
    path, name = split_target(rest)
    provider, _, name = name.rpartition(":")
    provider_matches, name_matches = compile_glob(provider or "*"), compile_glob(name or "*")
    for binary, shown in _binaries(path, "usdt", target):
        try:
            places = list(binary.usdt_probes())
        except (ProbeeError, OSError):
            if not has_wildcard(path):
                raise
            continue
        found: dict[str, list[UsdtPlace]] = {}
        for place in places:
            if provider_matches(place.provider) and name_matches(place.name):
                found.setdefault(f"{place.provider}:{place.name}", []).append(place)
        yield from ((f"{shown}:{probe}", _arguments_of(found[probe])) for probe in sorted(found))


def list_of_script(probe: Probe, target: Target) -> Iterator[Entry]:
    """Yield the entry of a concrete probe of a script."""
    binary, provider = probe.binary, probe.provider.name
    assert binary is not None  # a concrete probe
    if provider == "usdt":
        yield f"{probe.path}:{probe.namespace}:{probe.event}", _arguments_of(places_of(probe))
    elif probe.function:
        shown = f"{probe.language}:{shown_name(binary, probe.function)}" if probe.language else probe.function
        yield f"{probe.path}:{shown}", _signature_of(provider, binary, probe.function)
    else:
        yield f"{probe.path}:{probe.address or ''}", None


def split_target(rest: str) -> tuple[str, str]:
    """Split into the target, "*" when none is named, and what to look for in it."""
    path, colon, name = rest.partition(":")
    if colon:
        return path or "*", name
    return (rest, "*") if "/" in rest else ("*", rest or "*")


def _binaries(path: str, provider: str, target: Target) -> Iterator[tuple[Binary, str]]:
    """Yield the files of a target, each with how it is shown."""
    found = list(target.binaries(path))
    if not found and not has_wildcard(path):
        raise UnknownName(f"{provider} target file '{path}' does not exist or is not executable")
    for binary in found if has_wildcard(path) else found[:1]:
        yield binary, shown_path(path, binary)


# -- signatures


def _signature_of(provider: str, binary: Binary, function: str) -> Callable[[], Iterable[str]]:
    def lines() -> Iterable[str]:
        signature = binary.signature(function)
        if signature is None:
            return ()
        if provider == "uretprobe":
            return [f"{_spelling(signature.result)} retval"]
        return [f"{_spelling(parameter.type)} {parameter.name}".rstrip() for parameter in signature.parameters]

    return lines


def _spelling(type: CType) -> str:
    """Return a type as bpftrace shows those that DWARF describes: `int*`."""
    return type.spelling().replace(" *", "*")


# -- arguments of USDT probes

_FLOATS = {4: "float", 8: "double"}


def _arguments_of(places: list[UsdtPlace]) -> Callable[[], Iterable[str]]:
    return lambda: usdt_arguments(places)


def usdt_arguments(places: list[UsdtPlace]) -> list[str]:
    """Return a line for each argument: type, name, and where it is found, at each place that has it elsewhere."""
    try:
        return [f"{types} {name}    ({where})" for types, name, where, _ in usdt_rows(places)]
    except ProbeeError as error:
        return [str(error).partition("\n")[0]]


def usdt_rows(places: list[UsdtPlace]) -> list[tuple[str, str, str, UsdtArgument]]:
    """Return (types, name, operands, the argument at the first place) for each argument; FormatError if one cannot be read."""
    rows = [place.arguments() for place in places]
    found = []
    for number in range(max(map(len, rows), default=0)):
        arguments = [row[number] for row in rows if number < len(row)]
        types = " or ".join(dict.fromkeys(_type(argument) for argument in arguments))
        where = " or ".join(dict.fromkeys(argument.text.rpartition("@")[2] for argument in arguments))
        found.append((types, f"arg{number}", where, arguments[0]))
    return found


def _type(argument: UsdtArgument) -> str:
    if argument.is_float:
        return _FLOATS.get(argument.size, f"float{8 * argument.size}")
    return f"{'' if argument.signed else 'u'}int{8 * argument.size}"


def places_of(probe: Probe) -> list[UsdtPlace]:
    """Return the places of a concrete USDT probe."""
    assert probe.binary is not None  # a concrete probe
    name = (probe.namespace, probe.event)
    return [place for place in probe.binary.usdt_probes() if (place.provider, place.name) == name]
