"""A script, whole: text to IR unit.  Parse, preamble, macros, probes, types, lowering, in upstream's order of complaints."""

from __future__ import annotations

from probee.compiler.ir.type import I64, pointer
from probee.compiler.ir.unit import Function, Program, Unit, connect
from probee.compiler.lang.bpftrace import ast, cstruct
from probee.compiler.lang.bpftrace.config import read_config
from probee.compiler.lang.bpftrace.instance import TRAMPOLINES, TRIALS, attach_target, find_probes, program_type
from probee.compiler.lang.bpftrace.library import library_for, place_expansions
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.lower_map import VERBOSE, kernel_name, map_spec
from probee.compiler.lang.bpftrace.lower_record import add_runtime_maps
from probee.compiler.lang.bpftrace.parser import parse
from probee.compiler.lang.bpftrace.resolve import Resolver
from probee.compiler.lang.bpftrace.scope import Instance, Script
from probee.compiler.lang.bpftrace.session import find_pairs, lower_pair
from probee.compiler.lang.bpftrace.slot import leave_at_end
from probee.compiler.lang.bpftrace.subprogram import check_all_return
from probee.compiler.lang.bpftrace.trusted import forget
from probee.errors import CompileError, Source, UsageError, span_range
from probee.model.spec import AttachType, LinkSpec
from probee.model.target import Target
from probee.probes.probe import Probe, debug_parameters, located_parameters

RUNTIME_OPTIONS = (
    "print_maps_on_exit", "perf_rb_pages", "max_cat_bytes", "str_trunc_trailer", "log_size", "max_map_keys", "max_strlen",
    "missing_probes", "license", "max_probes", "cache_user_symbols", "cpp_demangle", "show_debug_info",
)  # fmt: skip
MAX_OPERATIONS = 100_000  # of the IR in one program
# Headers of the kernel and the C library, whose types and constants come from BTF and from tables of ours
_KNOWN_HEADERS = ("linux/", "asm/", "asm-generic/", "net/", "uapi/", "sys/", "bits/", "netinet/", "arpa/", "kernel/")
_KNOWN_FILES = frozenset((
    "errno.h", "fcntl.h", "limits.h", "signal.h", "stdbool.h", "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "string.h",
    "syscall.h", "time.h", "unistd.h", "inttypes.h",
))  # fmt: skip
PASS_FEATURES = ("probe_read_kernel", "atomic_fetch", "insn_v4")  # what passes and codegen choose instructions by
IN_PROGRAMS = ("uprobe", "uretprobe", "usdt")
PID_FILTERED = frozenset((
    "kprobe", "kretprobe", "tracepoint", "rawtracepoint", "fentry", "fexit", "profile", "software", "hardware",
))  # fmt: skip
_RAW_NESTING = 3  # raw tracepoints are not guarded against recursion on older kernels: task, interrupt, NMI


class Options:
    """What the command line says about how to compile."""

    __slots__ = (
        "environment", "has_child", "has_pid", "include_dirs", "includes", "mode", "named", "parameters", "pid_namespace",
        "unsafe", "warning_level", "without",
    )  # fmt: skip

    def __init__(
        self,
        *,
        parameters: tuple[str, ...] = (),
        unsafe: bool = False,
        has_pid: bool = False,
        has_child: bool = False,
        includes: tuple[str, ...] = (),
        named: tuple[str, ...] = (),
        warning_level: int = 1,
        pid_namespace: bool = False,
        environment: dict[str, str] | None = None,
        mode: str = "",
        without: tuple[str, ...] = (),
        include_dirs: tuple[str, ...] = (),
    ) -> None:
        self.parameters = parameters
        self.unsafe = unsafe
        self.has_pid = has_pid
        self.has_child = has_child
        self.includes = includes
        self.named = named
        self.warning_level = warning_level
        self.pid_namespace = pid_namespace
        self.environment = environment or {}
        self.mode = mode
        self.without = without
        self.include_dirs = include_dirs


def lower_script(source: Source, target: Target, options: Options) -> Unit:
    """Return the unit of a script; raises CompileError, located in `source`."""
    from probee.compiler.lang.bpftrace.function_option import check_unknown

    script = read(source, target, options)
    try:
        _find_probes(script, options)
        resolver = Resolver(script)
        resolver.run()
        check_unknown(script)
        return _lower(script, resolver, options)
    except CompileError as error:
        raise _with_warnings(error, script, options) from None


def _find_probes(script: Script, options: Options) -> None:
    """Find the probes; that a script needs --unsafe is said before what is wrong with them."""
    from probee.compiler.lang.bpftrace.function_process import unsafe_call

    try:
        find_probes(script, options)
    except CompileError as error:
        raise unsafe_call(script) or error from None


def read(source: Source, target: Target, options: Options) -> Script:
    """Parse a script, its preamble and macros included."""
    headers = _headers(options)
    program = parse(source)
    config = read_config(program.config, options.environment)
    script = Script(program, source, target, config, options.parameters)
    script.options.update(unsafe=options.unsafe, has_child=options.has_child)
    script.options.update(warning_level=options.warning_level, pid_namespace=options.pid_namespace, without=options.without)
    script.environment = options.environment
    script.named = {name: value for name, _, value in (word.removeprefix("--").partition("=") for word in options.named)}
    for message, span in config.warnings:
        script.warn(message, span)
    try:
        _expand(script, options, headers)
    except CompileError as error:
        raise _with_warnings(error, script, options) from None
    return script


def _with_warnings(error: CompileError, script: Script, options: Options) -> CompileError:
    error.warnings = [_shown(warning) for warning in script.warnings] if options.warning_level else []
    return error


def _expand(script: Script, options: Options, headers: list[str]) -> None:
    """Read what a script imports, expand its macros and take in its preamble."""
    from probee.compiler.lang.bpftrace.builtin import BUILTINS
    from probee.compiler.lang.bpftrace.cmacro import expand_constants
    from probee.compiler.lang.bpftrace.cpreprocessor import read_preamble
    from probee.compiler.lang.bpftrace.function import FUNCTIONS
    from probee.compiler.lang.bpftrace.macro import expand as expand_macros

    program, source, target = script.program, script.source, script.target
    imported: list[tuple[ast.Program, Source]] = []
    if program.imports or headers or any(piece.text.startswith("#") for piece in program.preamble):
        from probee.compiler.lang.bpftrace.imported import import_all

        imported = [(found, source) for found in import_all(script, options.include_dirs, headers)]
    library = [*imported, *library_for(source)]
    expand_macros(program, source, library, functions=frozenset((*BUILTINS, *FUNCTIONS)))
    place_expansions(program)
    if program.preamble:
        definitions = read_preamble(program.preamble, {"BPFTRACE_HAVE_BTF": "1"} if target.has_btf else {})
        for include in definitions.includes:
            if not _is_known(include.path):
                line, _ = source.position(span_range(include.span)[0])
                message = f"cannot include {include.path}\n{_not_found(include.path, line + 1)}"
                raise CompileError(message, include.span, hint="Headers are not read: define what is needed in the script.")
        macros = {name: macro for name, macro in definitions.macros.items() if macro.text.strip() != name}
        expand_constants(program, macros)
        cstruct.define(script, definitions)


def _headers(options: Options) -> list[str]:
    """Return the paths of the headers that --include names, but for those whose contents are known anyway."""
    from probee.compiler.lang.bpftrace.imported import find_header

    found = []
    for header in options.includes:
        path = "" if _is_known(header) else find_header(header, options.include_dirs)
        if path:
            found.append(path)
        elif not _is_known(header):
            raise UsageError(f"cannot include {header}\n{_not_found(header, 2)}")
    return found


def _is_known(header: str) -> bool:
    return header.startswith(_KNOWN_HEADERS) or header in _KNOWN_FILES


def _not_found(header: str, line: int) -> str:
    """Return upstream's text, whose first line of definitions is one of its own."""
    return f"definitions.h:{line}:10: fatal error: '{header}' file not found"


# -- lowering


def _lower(script: Script, resolver: Resolver, options: Options) -> Unit:
    unit = Unit()
    script.can_exit = any(_calls_exit(instance) for instance in [*script.instances, *script.functions.values()])
    for function in script.functions.values():
        check_all_return(function)
    unit.features = frozenset(name for name in PASS_FEATURES if script.target.has_feature(name))
    unit.options = {key: script.config.values[key] for key in RUNTIME_OPTIONS}
    unit.options["debug_info_wanted"] = "show_debug_info" in script.config.explicit
    for info in script.maps.values():
        if info.value is None:
            script.warn(f"Unused map: @{info.name}", info.span)
            continue
        unit.maps[kernel_name(info)] = map_spec(script, info)
    bodies = [id(instance.probe) for instance in script.instances]
    _choose(script, unit, options.mode)
    pairs = find_pairs(script)
    taken = {id(instance) for instance in pairs.values()}
    for instance in script.instances:
        if id(instance) in taken:
            continue
        if bodies.count(id(instance.probe)) > 1:  # what is noted on the tree is another instance's
            resolver.probe(instance)
        unit.programs.append(_program(script, unit, instance, options, pairs.get(id(instance))))
        _links(script, unit, instance)
    unit.warnings = [_shown(warning) for warning in script.warnings]
    return unit


def _choose(script: Script, unit: Unit, mode: str) -> None:
    """Leave out what is not run in this mode: tests and benchmarks run only if asked for, and then nothing is attached."""
    trials = [instance.provider for instance in script.instances if instance.provider in TRIALS]
    if mode:
        unit.options["mode"] = mode
    elif trials:
        unit.options["left_out"] = "test" if "test" in trials else "bench"
    if mode or trials:
        kept = ("begin", "end", mode)
        script.instances[:] = [
            instance
            for instance in script.instances
            if (instance.provider in kept if mode else instance.provider not in TRIALS)
        ]


def _calls_exit(instance: Instance) -> bool:
    return any(isinstance(node, ast.Call) and node.name == "exit" for node in ast.walk(instance.probe.body))


def _shown(warning: CompileError) -> str:
    """Return the text of a warning; one that belongs to no place shows none."""
    return warning.text("WARNING") if warning.span else f"WARNING: {warning.message}"


def _program(script: Script, unit: Unit, instance: Instance, options: Options, at_return: Instance | None = None) -> Program:
    name = _program_name(instance)
    script.binary = instance.binary
    function = Function(name, (pointer("context"),), I64, span=instance.probe.span)
    low = Lowerer(script, unit, instance, function)
    add_runtime_maps(low)
    first_action = len(unit.actions)
    filtered = options.has_pid and instance.provider in PID_FILTERED
    if at_return is not None:
        lower_pair(low, at_return, filtered=filtered)
    else:
        if filtered:
            low.filter_pid()
        if instance.provider == "iter":
            leave_at_end(low)
        low.body()
    if low.pinned:
        from probee.compiler.lang.bpftrace.seqprint import refuse_others

        refuse_others(low, first_action)
    functions = [function, *low.callbacks]
    if options.warning_level == VERBOSE:
        from probee.compiler.lang.bpftrace.watch import watch_reads

        watch_reads(low, functions)
        functions = [function, *low.callbacks]
    for each in functions:
        connect(each)
    type = program_type(instance)
    _check_size(functions, instance)
    attach_type, target = attach_target(instance)
    if target:
        forget(function)
    if len(instance.matches) > 1 and instance.provider in ("kprobe", "kretprobe") and low.feature("kprobe_multi"):
        attach_type = AttachType.TRACE_KPROBE_MULTI
    if at_return is not None:
        attach_type = AttachType.TRACE_KPROBE_SESSION
    places = max(len(instance.matches), len(instance.places))
    if places > 1 and instance.provider in IN_PROGRAMS and low.feature("uprobe_multi"):
        attach_type = AttachType.TRACE_UPROBE_MULTI
    return Program(
        name, type, functions, probe=instance.point.name, nesting=_nesting(low), attach_type=attach_type, attach_target=target
    )


def _nesting(low: Lowerer) -> int:
    """Return how many runs of a program may be under way on one CPU: the kernel guards most kinds against that."""
    provider = low.instance.provider
    unguarded = provider in ("rawtracepoint", "iter") or (
        provider in TRAMPOLINES and not low.feature("prog_recursion_misses")  # Linux 5.12, commit 9ed9e9ba2337
    )
    return _RAW_NESTING if unguarded else 1


def _check_size(functions: list[Function], instance: Instance) -> None:
    """Refuse what cannot become a program the kernel takes before any pass looks at it."""
    size = sum(len(block.values) for function in functions for block in function.blocks)
    if size > MAX_OPERATIONS:
        message = f"{instance.point.name} is too large: {size} operations, and the kernel takes at most a million instructions"
        raise CompileError(message, instance.span, hint="Split it into several probes.")


def _program_name(instance: Instance) -> str:
    text = "".join(char if char.isalnum() and char.isascii() else "_" for char in instance.point.name)
    return f"{text[:100]}_{instance.index}"


def _links(script: Script, unit: Unit, instance: Instance) -> None:
    program, point = unit.programs[-1].name, instance.point
    if instance.provider in ("kprobe", "kretprobe") and len(instance.matches) > 1:
        # expanded again when it is attached: functions come and go with modules, the program does not change
        parameters: dict[str, int | str | list[str]] = {"pattern": point.function, "module": point.module}
        unit.links.append(LinkSpec(instance.provider, program, point.name, parameters, span=instance.span))
        return
    if instance.provider in ("uprobe", "uretprobe") and len(instance.matches) > 1 and point.address is None:
        _links_by_file(unit, instance)
        return
    if instance.provider == "usdt":
        from probee.compiler.lang.bpftrace.usdt import link_parameters

        for match in instance.matches:
            unit.links.append(
                LinkSpec("usdt", program, match.name, link_parameters(instance, match), span=instance.span)
            )
        return
    for match in instance.matches:
        place = _trigger(match) or match.link_parameters()
        unit.links.append(LinkSpec(instance.provider, program, match.name, place, span=instance.span))


def _links_by_file(unit: Unit, instance: Instance) -> None:
    """Add one link for each program or library, to all the functions that are meant in it."""
    found: dict[str, list[Probe]] = {}
    for match in instance.matches:
        found.setdefault(match.file, []).append(match)
    for file, matches in found.items():
        name = instance.point.replace(path=matches[0].path).name
        place: dict[str, int | str | list[str]] = {"path": file, "functions": [match.function for match in matches]}
        place = located_parameters(matches) if matches[0].source_file else {**place, **debug_parameters(matches[0])}
        unit.links.append(LinkSpec(instance.provider, unit.programs[-1].name, name, place, span=instance.span))


def _trigger(point: Probe) -> dict[str, int | str | list[str]]:
    """Return what makes a probe run that is never attached."""
    if point.provider.name == "self":
        return {"signal": point.event}
    return {"name": point.event} if point.provider.name in TRIALS else {}
