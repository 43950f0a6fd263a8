"""Probes of programs and libraries: which functions and USDT probes of which files an attach point means.

A target with a slash in it is shown as it was written; one that was looked for (a pattern, a program on PATH, a library's
name) as the path that was found.
"""

from __future__ import annotations

from collections.abc import Iterable

from probee.errors import CompileError, UnknownName
from probee.model.target import Binary, Target
from probee.probes.glob import compile_glob
from probee.probes.probe import Probe, has_wildcard


def expand_uprobe(probe: Probe, target: Target, span: int) -> Iterable[Probe]:
    """Return the concrete uprobes or uretprobes that one means."""
    found: list[Probe] = []
    for binary in binaries(probe, target, span):
        place = probe.replace(path=shown_path(probe, binary), file=binary.path)
        if has_wildcard(probe.function):
            matches = compile_glob(probe.function)
            found += [place.replace(function=name) for name in binary.function_names() if matches(name)]
        elif probe.address is not None or binary.function_size(probe.function) is not None:
            found.append(place)
    return found


def check_place(probe: Probe, target: Target, span: int) -> None:
    """Raise CompileError for an offset or address that the file has no code at, as far as its symbols tell."""
    binary = next(each for each in target.binaries(probe.path) if each.path == probe.file)
    if probe.address is not None:
        if not binary.has_code_at(probe.address):
            raise CompileError(f"Could not resolve address: {probe.path}:{probe.address:#x}", span)
        return
    size = binary.function_size(probe.function)
    if size == 0:
        message = (
            f"Could not determine boundary for {probe.function} (symbol has size 0).\n"
            "Use --unsafe to force attachment. WARNING: This option could lead to data corruption in the target process."
        )
        raise CompileError(message, span)
    if size is not None and probe.offset >= size:
        raise CompileError(f"Offset outside the function bounds ('{probe.function}' size is {size})", span)


def expand_usdt(probe: Probe, target: Target, span: int) -> Iterable[Probe]:
    """Return the concrete USDT probes that one means, each once however many places it has."""
    found: dict[tuple[str, str, str], Probe] = {}
    provider_matches, name_matches = compile_glob(probe.namespace or "*"), compile_glob(probe.event)
    for binary in binaries(probe, target, span):
        path = shown_path(probe, binary)
        for place in binary.usdt_probes():
            if provider_matches(place.provider) and name_matches(place.name):
                concrete = probe.replace(path=path, file=binary.path, namespace=place.provider, event=place.name)
                found.setdefault((path, place.provider, place.name), concrete)
    return list(found.values())


def binaries(probe: Probe, target: Target, span: int = 0) -> list[Binary]:
    """Return the files of a probe's target; a name that is found several times on PATH means the first."""
    found = list(target.binaries(probe.path))
    if not found:
        raise UnknownName(f"{probe.provider.name} target file '{probe.path}' does not exist or is not executable", span)
    return found if has_wildcard(probe.path) else found[:1]


def shown_path(probe: Probe, binary: Binary) -> str:
    """Return how a probe's name shows its file."""
    return probe.path if "/" in probe.path and not has_wildcard(probe.path) else binary.path
