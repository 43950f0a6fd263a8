"""From a pattern to concrete probes, by asking a Target; and what was perhaps meant when there are none.

A name without wildcards is looked up, not searched for: a function that BTF describes is taken to be there, which saves
reading the list of 60,000 traceable ones; whether it can be attached is then the kernel's answer.  Texts are bpftrace's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import itemgetter

from probee.errors import CompileError, FormatError, ProbeeError, UnknownName
from probee.model.target import Target
from probee.probes.glob import compile_glob
from probee.probes.probe import Probe, has_wildcard

VMLINUX = "vmlinux"
# Functions that wildcards leave out: probing them (all of them at once) hangs or slows down the machine, as the kernel's
# own test of kprobe-multi found (tools/testing/selftests/bpf/prog_tests/kprobe_multi_test.c).
_REFUSED = frozenset(("arch_cpu_idle", "default_idle", "bpf_dispatcher_xdp_func"))
_REFUSED_PREFIXES = ("rcu_", "__ftrace_invalid_address__")


KPROBES = ("kprobe", "kretprobe")
NO_KPROBES = (
    "this kernel has no function that could be probed: it is built without kprobes (CONFIG_KPROBE_EVENTS)."
    " `probee lab run -- probee ...` traces a kernel that has them"
)

NO_SYMBOLS = "It has no symbols. Use an address instead of the name (with --unsafe), or install its debug symbols."


def is_refused(function: str) -> bool:
    """Return whether wildcards leave a function out: the dangerous ones, and `.part.N` pieces of functions."""
    return function in _REFUSED or function.startswith(_REFUSED_PREFIXES) or ".part." in function


def expand(probe: Probe, target: Target, span: int = 0, *, unsafe: bool = False) -> tuple[Probe, ...]:
    """Return the concrete probes that a probe means, sorted by name; one for a probe without wildcards.

    UnknownName when nothing matches (with `unsafe`, a kprobe stays and the kernel decides), CompileError when a module is
    not loaded or a name is ambiguous.
    """
    try:
        found = _EXPAND.get(probe.provider.name, _as_it_is)(probe, target, span)
    except CompileError:
        raise
    except ProbeeError as error:  # the target cannot tell: no tracefs, no permission, no such section
        message, _, hint = str(error).partition("\n")
        is_broken_file = isinstance(error, FormatError) and probe.path  # none of its functions is there
        refusal = UnknownName(message, span) if is_broken_file else CompileError(message, span)
        refusal.hint = hint
        raise refusal from error
    if found:
        return tuple(found)
    if unsafe and probe.provider.name in ("kprobe", "kretprobe") and not probe.is_pattern:
        return (probe,)
    raise no_match(probe, target, span)


def no_match(probe: Probe, target: Target, span: int = 0) -> UnknownName:
    """Return the error for a probe that nothing matches, with the closest name that exists."""
    message = f"No matches for {probe.provider.name} {probe.target_name}."
    if probe.provider.name in KPROBES and not target.traceable_functions() and not target.functions_are_given:
        error = UnknownName(message, span)
        error.hint = NO_KPROBES
        return error
    if probe.provider.name in ("uprobe", "uretprobe") and not any(
        list(binary.function_names()) for binary in target.binaries(probe.path)
    ):
        error = UnknownName(message, span)
        error.hint = NO_SYMBOLS
        return error
    return UnknownName(message, span, did_you_mean=lambda: ", ".join(candidates(probe, target)))


def matching_functions(probe: Probe, target: Target) -> tuple[str, ...]:
    """Return the names of the functions that a kprobe or kretprobe pattern means, sorted, each once."""
    return tuple(sorted({name for name, _ in traceable_matches(probe.module, probe.function, target)}))


def traceable_matches(module: str, function: str, target: Target) -> list[tuple[str, str]]:
    """Return (name, module or "vmlinux") of the traceable functions that match; an empty `module` means any."""
    return select_functions(module, function, target.traceable_functions())


def select_functions(module: str, function: str, functions: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return (name, module or "vmlinux") of the functions that match, without those that wildcards leave out.

    `functions` are (name, module or "") as Target.traceable_functions gives them; an empty `module` means any.
    """
    name_matches, module_matches = compile_glob(function), compile_glob(module or "*")
    whole = not has_wildcard(function)
    return [
        (name, where or VMLINUX)
        for name, where in functions
        if name_matches(name) and (whole or not is_refused(name)) and module_matches(where or VMLINUX)
    ]


def candidates(probe: Probe, target: Target) -> tuple[str, ...]:
    """Return up to three existing names close to a misspelled one; () for a pattern."""
    if probe.is_pattern and probe.module != "*":
        return ()
    from probee.probes.candidate import closest

    provider = probe.provider.name
    if provider == "tracepoint":
        return closest(f"{probe.category}:{probe.event}", target.tracepoints())
    if provider == "rawtracepoint":
        return closest(probe.event, {name for _, name in target.raw_tracepoints()})
    if provider in ("kprobe", "kretprobe", "fentry", "fexit"):
        return closest(probe.function, {name for name, _ in target.traceable_functions()})
    if provider in ("uprobe", "uretprobe"):
        return closest(probe.function, {name for binary in target.binaries(probe.path) for name in binary.function_names()})
    if provider == "usdt":
        return closest(probe.event, {place.name for binary in target.binaries(probe.path) for place in binary.usdt_probes()})
    return ()


# -- one function per family of providers; each returns the concrete probes, or nothing


def _as_it_is(probe: Probe, target: Target, span: int) -> Iterable[Probe]:
    return (probe,)


def _kprobe(probe: Probe, target: Target, span: int) -> Iterable[Probe]:
    if probe.address is not None:
        return (probe,)
    if not probe.is_pattern:
        return (probe,) if _kprobe_exists(probe, target, span) else ()
    found = traceable_matches(probe.module, probe.function, target)
    if not probe.module:
        return [probe.replace(function=name) for name in sorted({name for name, _ in found})]
    return [probe.replace(module=module, function=name) for module, name in sorted((m, n) for n, m in found)]


def _kprobe_exists(probe: Probe, target: Target, span: int) -> bool:
    module = "" if probe.module == VMLINUX else probe.module
    described = target.has_btf and not target.functions_are_given
    if described and target.function(probe.function, probe.module) is not None:
        return True
    functions = target.traceable_functions()
    if module and not any(where == module for _, where in functions):
        raise CompileError(f"specified module {module} in probe {probe.name} is not loaded.", span)
    if not probe.module:
        return probe.function in map(itemgetter(0), functions)
    return (probe.function, module) in functions


def _fentry(probe: Probe, target: Target, span: int) -> Iterable[Probe]:
    if probe.module == "bpf":
        return _bpf_program(probe, target)
    if probe.is_pattern:
        found = sorted((module, name) for name, module in traceable_matches(probe.module, probe.function, target))
        return [
            probe.replace(module=module, function=name) for module, name in found if target.function(name, module) is not None
        ]
    function = target.function(probe.function, probe.module)
    if function is None:
        return ()
    if not probe.module and len({m for n, m in target.traceable_functions() if n == probe.function}) > 1:
        raise CompileError(
            f"ambiguous attach point, please specify module containing the function '{probe.function}'", span
        )  # fmt: skip
    return (probe.replace(module=function.module),)


def _bpf_program(probe: Probe, target: Target) -> Iterable[Probe]:
    """Return one probe for each function of that name in the BPF programs that are loaded now."""
    matches = compile_glob(probe.function)
    found = [(name, id) for id, name in target.bpf_functions() if matches(name) and probe.program_id in (0, id)]
    return [_with_program(probe.replace(function=name), id) for name, id in sorted(found)]


def _with_program(probe: Probe, id: int) -> Probe:
    probe.program_id = id
    return probe


def _uprobe(probe: Probe, target: Target, span: int) -> Iterable[Probe]:
    from probee.probes.user import expand_uprobe

    return expand_uprobe(probe, target, span)


def _usdt(probe: Probe, target: Target, span: int) -> Iterable[Probe]:
    from probee.probes.user import expand_usdt

    return expand_usdt(probe, target, span)


def _iter(probe: Probe, target: Target, span: int) -> Iterable[Probe]:
    if target.has_btf and target.type_named("struct", f"bpf_iter__{probe.function}") is None:
        raise CompileError(f"iter {probe.function} not available for your kernel version.", span)
    return (probe,)


def _tracepoint(probe: Probe, target: Target, span: int) -> Iterable[Probe]:
    if not probe.is_pattern:
        return (probe,) if target.tracepoint(probe.category, probe.event) is not None else ()
    matches = compile_glob(f"{probe.category}:{probe.event}")
    found = [name.partition(":") for name in target.tracepoints() if matches(name)]
    return [probe.replace(category=category, event=event) for category, _, event in found]


def _rawtracepoint(probe: Probe, target: Target, span: int) -> Iterable[Probe]:
    if not target.has_btf:
        raise CompileError("rawtracepoints require kernel BTF. Try using a 'tracepoint' instead.", span)
    module_matches, name_matches = compile_glob(probe.module or "*"), compile_glob(probe.event)
    found = [(m, n) for m, n in target.raw_tracepoints() if name_matches(n) and module_matches(m)]
    return [probe.replace(module=module, event=name) for module, name in found]


_EXPAND: dict[str, Callable[[Probe, Target, int], Iterable[Probe]]] = {
    "kprobe": _kprobe,
    "kretprobe": _kprobe,
    "fentry": _fentry,
    "fexit": _fentry,
    "iter": _iter,
    "uprobe": _uprobe,
    "uretprobe": _uprobe,
    "usdt": _usdt,
    "tracepoint": _tracepoint,
    "rawtracepoint": _rawtracepoint,
}
