"""Probes of programs and libraries: which functions and USDT probes of which files an attach point means.

A target with a slash in it is shown as it was written; one that was looked for (a pattern, a program on PATH, a library's
name) as the path that was found.  Functions of C++ and Rust also go by the names that they have in their source.
"""

from __future__ import annotations

from collections.abc import Iterable

from probee.errors import CompileError, ProbeeError, UnknownName
from probee.model.target import Binary, Target
from probee.probes.glob import compile_glob
from probee.probes.probe import Probe, has_wildcard
from probee.probes.sourcename import functions_called


def expand_uprobe(probe: Probe, target: Target, span: int) -> Iterable[Probe]:
    """Return the concrete uprobes or uretprobes that one means."""
    found: list[Probe] = []
    for binary in binaries(probe, target, span):
        place = probe.replace(path=shown_path(probe.path, binary), file=binary.path)
        place.binary = binary
        if probe.source_file:
            found += [place.at(address) for address in source_places(probe, binary, span)]
            continue
        if probe.address is not None:
            found.append(place)
            continue
        try:
            found += [place.replace(function=name) for name in functions_called(binary, probe.function, probe.language)]
        except (ProbeeError, OSError):
            if not _is_pattern(probe.path):
                raise
    return found


def source_places(probe: Probe, binary: Binary, span: int) -> list[int]:
    """Return the addresses of a line of a source file: one in each function that has it, and wherever that is inlined."""
    file, line = probe.source_file, f"{probe.source_file}:{probe.line}" + (f":{probe.column}" if probe.column else "")
    try:
        places = binary.places_of(file, probe.line, probe.column)
        files = binary.files_called(file)
    except (ProbeeError, OSError) as error:
        message = f"No DWARF debug info found for '{probe.path}', cannot attach by source code location."
        raise CompileError(message, span, hint=f"{error}.") from None
    if len(files) > 1:
        hint = "Write more of the path, as in dir/file.c."
        raise CompileError(f"Ambiguous source path, matches multiple files: {', '.join(files)}", span, hint=hint)
    if not files:
        from probee.probes.candidate import closest

        near = closest(file.rpartition("/")[2], binary.source_names())
        raise UnknownName(f"No compilation unit matches {file}", span, did_you_mean=", ".join(near))
    if not places:
        raise CompileError(f"Unable to map '{line}' to address", span, hint=_nearest(probe, binary))
    return places


def _nearest(probe: Probe, binary: Binary) -> str:
    """Say where a line, or a column of it, would have code."""
    columns = binary.columns_of(probe.source_file, probe.line) if probe.column else []
    if columns:
        return f"Line {probe.line} has code at columns {_words(columns)}."
    lines = binary.lines_of(probe.source_file)
    before = [line for line in lines if line < probe.line][-1:]
    near = before + [line for line in lines if line > probe.line][:1]
    return f"The nearest lines with code: {_words(near)}." if near else f"No line of {probe.source_file} has code."


def _words(numbers: list[int]) -> str:
    *others, last = map(str, numbers)
    return f"{', '.join(others)} and {last}" if others else last


def in_any_file(probe: Probe, target: Target) -> list[Probe]:
    """Return the probe at an address of a file that need be no program: code may run from whatever can be mapped."""
    if probe.address is None or probe.is_pattern or "/" not in probe.path:
        return []
    return [probe.replace(file=binary.path) for binary in target.binaries(probe.path, any_file=True)]


def check_place(probe: Probe, span: int) -> None:
    """Raise CompileError for an offset or address that the file has no code at, as far as its symbols tell.

    What bpftrace finds out when it attaches has no place in the script.
    """
    binary = probe.binary
    assert binary is not None  # a concrete probe
    if probe.source_file:
        return
    if probe.address is not None:
        if not binary.has_code_at(probe.address):
            raise CompileError(f"Could not resolve address: {probe.path}:{probe.address:#x}", 0)
        return
    size = binary.function_size(probe.function)
    if size == 0:
        message = (
            f"Could not determine boundary for {probe.function} (symbol has size 0).\n"
            "Use --unsafe to force attachment. WARNING: This option could lead to data corruption in the target process."
        )
        raise CompileError(message, 0)
    if size is not None and probe.offset >= size:
        raise CompileError(f"Offset outside the function bounds ('{probe.function}' size is {size})", span)


def expand_usdt(probe: Probe, target: Target, span: int) -> Iterable[Probe]:
    """Return the concrete USDT probes that one means, each once however many places it has."""
    found: dict[tuple[str, str, str], Probe] = {}
    provider_matches, name_matches = compile_glob(probe.namespace or "*"), compile_glob(probe.event)
    for binary in binaries(probe, target, span):
        path = shown_path(probe.path, binary)
        try:
            places = binary.usdt_probes()
        except (ProbeeError, OSError):
            if not _is_pattern(probe.path):
                raise
            continue
        for place in places:
            if provider_matches(place.provider) and name_matches(place.name):
                concrete = probe.replace(path=path, file=binary.path, namespace=place.provider, event=place.name)
                concrete.binary = binary
                found.setdefault((path, place.provider, place.name), concrete)
    return list(found.values())


def binaries(probe: Probe, target: Target, span: int = 0) -> list[Binary]:
    """Return the files of a probe's target; a name that is found several times on PATH means the first.

    Without a target, a uprobe means the program of the process that is traced, a USDT probe all files of that process.
    """
    provider = probe.provider.name
    found = list(target.binaries(probe.path))
    if found and not probe.path and provider == "usdt":
        return list(target.binaries("*"))
    if not found and not probe.path:
        raise CompileError(_NO_TARGET.get(provider, f"{provider} should have a target"), span, hint=_GIVE_PID)
    if not found:
        raise UnknownName(f"{provider} target file '{probe.path}' does not exist or is not executable", span)
    return found if _is_pattern(probe.path) else found[:1]


_NO_TARGET = {
    "usdt": (
        "usdt probe must specify at least path or pid to probe. To target all paths/pids set the path to '*'."
    )
}  # fmt: skip
_GIVE_PID = "Name a program or library, or a process with -p PID."


def several_found(probe: Probe, target: Target) -> str:
    """Return a warning for a name that is found several times on PATH, "" for what is clear."""
    if not probe.path or "/" in probe.path or has_wildcard(probe.path):
        return ""
    found = list(target.binaries(probe.path))
    if len(found) < 2:
        return ""
    return f"attaching to {probe.provider.name} target file '{found[0].path}' but matched {len(found)} binaries"


def with_symbols_of(probe: Probe, found: list[Probe]) -> list[Probe]:
    """Return those of the concrete probes whose symbol, not only its name in the source, is what a probe says."""
    matches = compile_glob(probe.function)
    return [each for each in found if not each.function or matches(each.function)]


def shown_path(path: str, binary: Binary) -> str:
    """Return how a probe's name shows its file, when its target was written as `path`."""
    return path if "/" in path and not has_wildcard(path) else binary.path


def _is_pattern(path: str) -> bool:
    """Return whether a target stands for what there is, and not for one file: then what is no program is passed over."""
    return has_wildcard(path) or not path
