"""Listing: the lines of `-l` and `-lv` for a pattern, or for one probe.

A pattern is `provider:rest` with wildcards in both, or without a colon a name to look for in every kernel provider;
several may stand between commas.  What programs have (userlist.py) is listed when its provider is named, when the pattern has
a path in it, or when it is about a process.  `struct NAME` (union, enum) lists types.  With `verbose`, lines indented by four
blanks follow: a tracepoint's fields as its format file declares them, a function's parameters, and for kprobes in which
register (`arg0`) or stack slot (`sarg0`) each is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from probee.errors import ProbeeError, Unsupported
from probee.formats.btf.show import show_type
from probee.formats.target import BtfBackedTarget
from probee.model.ctype import CType, EnumType, FunctionType, StructType
from probee.model.target import KernelFunction, Target
from probee.probes.argument import function_arguments
from probee.probes.event import EVENTS
from probee.probes.glob import compile_glob
from probee.probes.match import KPROBES, NO_KPROBES, VMLINUX, traceable_matches
from probee.probes.parse import SIGNALS, TIME_UNITS
from probee.probes.probe import Probe, has_wildcard
from probee.probes.provider import PROVIDERS, Provider, find_provider
from probee.probes.register import ARCHITECTURES

_INDENT = "    "
_OF_BTF = ("fentry", "fexit", "iter")
_IN_PROGRAMS = ("uprobe", "uretprobe", "usdt")
_COMMON_FIELDS = ("common_type", "common_flags", "common_preempt_count", "common_pid")


def list_probes(
    pattern: str, target: Target, *, verbose: bool = False, note: Callable[[str], None] | None = None, process: bool = False
) -> Iterator[str]:
    """Yield the lines for a pattern; an empty one means everything that the kernel offers.

    With `process` (the target looks for programs as a process sees them) all providers cover what that process runs, too.
    `note` is told what is missing and why: a provider that a wildcard covers and this kernel or user has not (without
    `note`, or named alone, that is an error), and a pattern that nothing matches.
    """
    for part in _parts(pattern):
        lines, silent = _part_lines(part.strip(), target, verbose, note, process), True
        for line in lines:
            silent = False
            yield line
        if silent and note is not None and not _without_kprobes(part.strip(), target):
            near = ", ".join(_near(part.strip(), target))
            note(f"nothing matches '{part.strip()}'" + (f". Did you mean: {near}?" if near else ""))


def _parts(pattern: str) -> Iterator[str]:
    """Split at the commas that do not stand in quotes or brackets: a function of C++ may be named with its parameters."""
    start, depth, quoted = 0, 0, False
    for at, char in enumerate(pattern):
        quoted ^= char == '"'
        depth += (char == "(") - (char == ")")
        if char == "," and depth <= 0 and not quoted:
            yield pattern[start:at]
            start = at + 1
    yield pattern[start:]


def _part_lines(
    part: str, target: Target, verbose: bool, note: Callable[[str], None] | None, process: bool
) -> Iterator[str]:
    keyword, _, name = part.partition(" ")
    if keyword in ("struct", "union", "enum") and name:
        yield from _types(keyword, name.strip(), target, verbose=verbose)
        return
    providers = _providers(part, process=process)
    for provider, rest in providers:
        try:
            yield from _provider_lines(provider, rest, target, verbose=verbose)
        except ProbeeError as error:
            if note is None or len(providers) == 1:
                raise
            note(f"{provider.name} probes are missing here: {error}")
    if note is not None and not target.has_btf and any(provider.name in _OF_BTF for provider, _ in providers):
        note("fentry, fexit and iter probes, and arguments, are missing here: this kernel has no BTF (CONFIG_DEBUG_INFO_BTF)")
    if note is not None and _without_kprobes(part, target):
        note(f"{NO_KPROBES}, and with --btf /sys/kernel/btf/vmlinux -l shows the functions that BTF describes")


def _near(part: str, target: Target) -> Iterable[str]:
    """Return what was perhaps meant by the name of one probe or type that does not exist."""
    from probee.probes.candidate import closest
    from probee.probes.match import candidates

    keyword, _, name = part.partition(" ")
    if has_wildcard(part):
        return ()
    if keyword in ("struct", "union", "enum"):
        return [f"{keyword} {other}" for other in closest(name.strip(), type_names(keyword, target))]
    provider, colon, rest = part.partition(":")
    if not colon:
        return ()
    probe = Probe(find_provider(provider))
    before, _, last = rest.rpartition(":")
    probe.event = probe.function = last
    if probe.provider.name in _IN_PROGRAMS:
        probe.path = before.partition(":")[0]
        return [f"{provider}:{before}:{other}" for other in candidates(probe, target)] if probe.path else ()
    probe.category = before
    return [f"{provider}:{other}" for other in candidates(probe, target)]


def _without_kprobes(part: str, target: Target) -> bool:
    """Whether a pattern covers kprobes on a kernel that has none."""
    if part.startswith(("struct ", "union ", "enum ")):
        return False
    covered = any(provider.name in KPROBES for provider, _ in _providers(part))
    return covered and not target.traceable_functions()


def list_probe(probe: Probe, target: Target, *, verbose: bool = False) -> Iterator[str]:
    """Yield the lines for one probe of a script; nothing for begin, end and self, the name for test and bench."""
    if probe.provider.probetype == "special" or (probe.address is not None and probe.provider.name not in _IN_PROGRAMS):
        return
    if probe.provider.name in ("test", "bench"):
        yield probe.name
        return
    if probe.provider.name in _IN_PROGRAMS:
        from probee.probes.userlist import list_of_script

        yield from _shown(probe.provider, list_of_script(probe, target), verbose=verbose)
        return
    module = probe.module if probe.module != "*" else ""
    pieces = (module, probe.category, probe.function, probe.event, probe.unit)
    rest = ":".join(piece for piece in pieces if piece)
    yield from _provider_lines(probe.provider, rest, target, verbose=verbose)


def _providers(pattern: str, *, process: bool = False) -> list[tuple[Provider, str]]:
    """Return the providers that a pattern means, sorted, each with what to look for in it."""
    name, colon, rest = pattern.partition(":")
    kinds = ("kernel", "user") if process else ("user",) if "/" in rest.partition(":")[0] else ("kernel",)
    if colon or name in PROVIDERS:
        if not has_wildcard(name) and name:
            return [(find_provider(name), rest)]
        return [(provider, rest) for provider in _listed(name or "*", kinds)]
    named = _listed(name or "*", kinds)
    if named:
        return [(provider, "") for provider in named]
    return [(provider, name) for provider in _listed("*", kinds)]


def _listed(pattern: str, kinds: tuple[str, ...]) -> list[Provider]:
    matches = compile_glob(pattern)
    found = (p for p in PROVIDERS.values() if p.listed in kinds and matches(p.name))
    return sorted(found, key=lambda provider: provider.name)


def _provider_lines(provider: Provider, rest: str, target: Target, *, verbose: bool) -> Iterator[str]:
    lister = _LISTERS.get(provider.name)
    if lister is None:
        raise Unsupported(f"{provider.name} probes cannot be listed")
    return _shown(provider, lister(rest, target), verbose=verbose)


def _shown(provider: Provider, entries: Iterator[_Entry], *, verbose: bool) -> Iterator[str]:
    for name, detail in entries:
        yield f"{provider.name}:{name}" if name else provider.name
        if verbose and detail is not None:
            yield from (f"{_INDENT}{line}" for line in detail())


_Entry = tuple[str, "Callable[[], Iterable[str]] | None"]  # name after the provider, and what -v adds


# -- functions


def _split(rest: str) -> tuple[str, str]:
    """Split `module:name` into ("module", "name"), `name` into ("", "name"); an empty name means all."""
    module, colon, name = rest.rpartition(":")
    return (module, name or "*") if colon else ("", rest or "*")


def _kprobes(rest: str, target: Target) -> Iterator[_Entry]:
    return _kprobe_entries(rest, target, _located_parameters)


def _kretprobes(rest: str, target: Target) -> Iterator[_Entry]:
    return _kprobe_entries(rest, target, lambda function, target: [_retval(function)])


def _kprobe_entries(rest: str, target: Target, describe: Callable[[FunctionType, Target], Iterable[str]]) -> Iterator[_Entry]:
    module, function = _split(rest)
    found = traceable_matches(module, function, target)
    shown = sorted({(name if where == VMLINUX and not module else f"{where}:{name}", name, where) for name, where in found})
    for text, name, where in shown:
        yield text, _detail(target, name, where, describe)


def _detail(
    target: Target, name: str, module: str, describe: Callable[[FunctionType, Target], Iterable[str]]
) -> Callable[[], Iterable[str]]:
    def lines() -> Iterable[str]:
        function = target.function(name, module) if target.has_btf else None
        return describe(function.type, target) if function is not None else ()

    return lines


def _fentries(rest: str, target: Target) -> Iterator[_Entry]:
    return _fentry_entries(rest, target, lambda function, target: _parameters(function))


def _fexits(rest: str, target: Target) -> Iterator[_Entry]:
    return _fentry_entries(rest, target, lambda function, target: [*_parameters(function), _retval(function)])


def _fentry_entries(rest: str, target: Target, describe: Callable[[FunctionType, Target], Iterable[str]]) -> Iterator[_Entry]:
    if rest == "bpf" or rest.startswith("bpf:"):
        yield from _bpf_functions(rest[4:], target)
        return
    if not target.has_btf:
        return
    module, function = _split(rest)
    described = _btf_functions(target)
    for where, name in sorted((where, name) for name, where in traceable_matches(module, function, target)):
        if described(name, where):
            yield f"{where}:{name}", _detail(target, name, where, describe)


def _bpf_functions(rest: str, target: Target) -> Iterator[_Entry]:
    """Functions of loaded BPF programs are `bpf:ID:NAME`; a pattern may leave the id out."""
    id, _, name = rest.rpartition(":")
    id_matches, name_matches = compile_glob(id or "*"), compile_glob(name or "*")
    return ((f"bpf:{i}:{n}", None) for i, n in target.bpf_functions() if id_matches(str(i)) and name_matches(n))


def _btf_functions(target: Target) -> Callable[[str, str], bool]:
    """Return a function that tells whether BTF describes (name, module)."""
    if not isinstance(target, BtfBackedTarget):
        return lambda name, module: target.function(name, module) is not None
    known: dict[str, frozenset[str]] = {}

    def described(name: str, module: str) -> bool:
        if module not in known:
            btf = target.btf(module)
            known[module] = frozenset(btf.functions()) if btf is not None else frozenset()
        return name in known[module]

    return described


def _located_parameters(function: FunctionType, target: Target) -> Iterable[str]:
    if target.arch not in ARCHITECTURES:
        return _parameters(function)
    return (f"{_parameter(a.type, a.name)}    ({a.where})" for a in function_arguments(function, target.arch))


def _parameters(function: FunctionType) -> Iterable[str]:
    return [_parameter(parameter.type, parameter.name) for parameter in function.parameters]


def _parameter(type: CType, name: str) -> str:
    return f"{type.spelling()} {name}"


def _retval(function: FunctionType) -> str:
    return _parameter(function.result, "retval")


def _iterators(rest: str, target: Target) -> Iterator[_Entry]:
    """An iterator NAME is a function bpf_iter_NAME with a context struct bpf_iter__NAME."""
    if not target.has_btf:
        return
    prefix = "bpf_iter_"
    matches = compile_glob(rest or "*")
    btf = target.btf() if isinstance(target, BtfBackedTarget) else None
    names = {name[len(prefix) :] for name in (btf.functions() if btf is not None else ()) if name.startswith(prefix)}
    for name in sorted(names):
        if matches(name) and target.type_named("struct", f"bpf_iter__{name}") is not None:
            yield name, _iterator_detail(target.function(f"{prefix}{name}", VMLINUX))


def _iterator_detail(function: KernelFunction | None) -> Callable[[], Iterable[str]] | None:
    return None if function is None else lambda: list(_parameters(function.type))[1:]  # the first is the iterator's meta


# -- tracepoints


def _tracepoints(rest: str, target: Target) -> Iterator[_Entry]:
    category, name = _split(rest)
    matches = compile_glob(f"{category or '*'}:{name}")
    return ((found, _fields(target, found)) for found in target.tracepoints() if matches(found))


def _fields(target: Target, found: str) -> Callable[[], Iterable[str]]:
    def lines() -> Iterable[str]:
        category, _, name = found.partition(":")
        form = target.tracepoint(category, name)
        fields = form.fields if form is not None else ()
        return [field.declaration for field in fields if field.name not in _COMMON_FIELDS]

    return lines


def _rawtracepoints(rest: str, target: Target) -> Iterator[_Entry]:
    module, name = _split(rest)
    matches = compile_glob(f"{module or '*'}:{name}")
    for where, event in target.raw_tracepoints():
        if matches(f"{where}:{event}"):
            yield f"{where}:{event}", _raw_fields(target, event)


def _raw_fields(target: Target, event: str) -> Callable[[], Iterable[str]]:
    def lines() -> Iterable[str]:
        function = target.raw_tracepoint(event)
        return list(_parameters(function))[1:] if function is not None else ()  # the first is the hidden __data

    return lines


# -- names that every kernel has


def _fixed(names: Iterable[str]) -> Callable[[str, Target], Iterator[_Entry]]:
    def entries(rest: str, target: Target) -> Iterator[_Entry]:
        wanted = compile_glob(rest.removesuffix(":") or "*")
        return ((f"{name}:", None) for name in sorted(names) if wanted(name))

    return entries


def _self(rest: str, target: Target) -> Iterator[_Entry]:
    matches = compile_glob(rest or "*")
    return ((name, None) for name in (f"signal:{signal}" for signal in SIGNALS) if matches(name))


def _bare(rest: str, target: Target) -> Iterator[_Entry]:
    return iter([("", None)])


# -- programs and libraries


def _functions(provider: str) -> Callable[[str, Target], Iterator[_Entry]]:
    def entries(rest: str, target: Target) -> Iterator[_Entry]:
        from probee.probes.userlist import list_functions

        return list_functions(provider, rest, target)

    return entries


def _usdt(rest: str, target: Target) -> Iterator[_Entry]:
    from probee.probes.userlist import list_usdt

    return list_usdt(rest, target)


_LISTERS: dict[str, Callable[[str, Target], Iterator[_Entry]]] = {
    "kprobe": _kprobes,
    "kretprobe": _kretprobes,
    "fentry": _fentries,
    "fexit": _fexits,
    "iter": _iterators,
    "uprobe": _functions("uprobe"),
    "uretprobe": _functions("uretprobe"),
    "usdt": _usdt,
    "tracepoint": _tracepoints,
    "rawtracepoint": _rawtracepoints,
    "software": _fixed(EVENTS["software"]),
    "hardware": _fixed(EVENTS["hardware"]),
    "interval": _fixed(TIME_UNITS),
    "profile": _fixed(TIME_UNITS),
    "self": _self,
    "begin": _bare,
    "end": _bare,
}


# -- types


def _types(keyword: str, pattern: str, target: Target, *, verbose: bool) -> Iterator[str]:
    for module, found in _found_types(keyword, pattern, target):
        if not isinstance(found, (StructType, EnumType)):
            continue
        if verbose:
            first, *rest = show_type(found).split("\n")
            yield from (f"{module}: {first.partition('/*')[0].rstrip()}", *rest)
        else:
            yield f"{keyword} {found.name}"


def type_names(keyword: str, target: Target) -> Iterable[str]:
    """Return the names of the kernel's own types of a kind, as far as the target can list them."""
    btf = target.btf() if isinstance(target, BtfBackedTarget) else None
    return btf.names(keyword) if btf is not None else ()


def _found_types(keyword: str, pattern: str, target: Target) -> Iterator[tuple[str, CType | None]]:
    """Yield (module, type): of vmlinux, then what only modules have."""
    if not has_wildcard(pattern) or not isinstance(target, BtfBackedTarget):
        yield VMLINUX, target.type_named(keyword, pattern)
        return
    matches = compile_glob(pattern)
    seen: set[str] = set()
    for module in (VMLINUX, *target.btf_modules()):
        btf = target.btf(module)
        names = set() if btf is None else {name for name in btf.names(keyword) if matches(name)} - seen
        seen |= names
        for name in sorted(names):
            if btf is not None:
                yield module, btf.type(btf.find(keyword, name, own=True)[0])
