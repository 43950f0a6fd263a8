"""A script, whole: text to IR unit.  Parse, preamble, macros, probes, types, lowering, in upstream's order of complaints."""

from __future__ import annotations

from probee.compiler.ir.type import I64, pointer
from probee.compiler.ir.unit import Function, Program, Unit, connect
from probee.compiler.lang.bpftrace import arguments, ast, cstruct
from probee.compiler.lang.bpftrace.attachpoint import split
from probee.compiler.lang.bpftrace.config import read_config
from probee.compiler.lang.bpftrace.library import library_for, place_expansions
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.lower_map import VERBOSE, kernel_name, map_spec
from probee.compiler.lang.bpftrace.lower_record import add_runtime_maps
from probee.compiler.lang.bpftrace.parser import parse
from probee.compiler.lang.bpftrace.resolve import Resolver
from probee.compiler.lang.bpftrace.scope import Instance, Script
from probee.compiler.lang.bpftrace.subprogram import check_all_return
from probee.errors import CompileError, ProbeeError, Source, UnknownName, Unsupported, UsageError, span_range
from probee.model.ctype import size_of
from probee.model.spec import AttachType, LinkSpec, ProgramType
from probee.model.target import Target
from probee.probes.match import expand
from probee.probes.parse import parse as parse_probe
from probee.probes.probe import Probe

RUNTIME_OPTIONS = (
    "print_maps_on_exit", "perf_rb_pages", "max_cat_bytes", "str_trunc_trailer", "log_size", "max_map_keys", "max_strlen",
    "missing_probes", "license",
)  # fmt: skip
STANDARD = ("stdlib", "stdlib/base", "stdlib/process", "stdlib/strings", "stdlib/task", "stdlib/usdt")  # always there
MAX_OPERATIONS = 100_000  # of the IR in one program
# Headers of the kernel and the C library, whose types and constants come from BTF and from tables of ours
_KNOWN_HEADERS = ("linux/", "asm/", "asm-generic/", "net/", "uapi/", "sys/", "bits/", "netinet/", "arpa/", "kernel/")
_KNOWN_FILES = frozenset((
    "errno.h", "fcntl.h", "limits.h", "signal.h", "stdbool.h", "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "string.h",
    "syscall.h", "time.h", "unistd.h", "inttypes.h",
))  # fmt: skip
PASS_FEATURES = ("probe_read_kernel", "atomic_fetch", "insn_v4")  # what passes and codegen choose instructions by
PID_FILTERED = frozenset(("kprobe", "kretprobe", "tracepoint", "rawtracepoint", "fentry", "fexit"))
_RAW_NESTING = 3  # raw tracepoints are not guarded against recursion on older kernels: task, interrupt, NMI


class Options:
    """What the command line says about how to compile."""

    __slots__ = (
        "environment", "has_child", "has_pid", "includes", "named", "parameters", "pid_namespace", "unsafe", "warning_level",
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


def lower_script(source: Source, target: Target, options: Options) -> Unit:
    """Return the unit of a script; raises CompileError, located in `source`."""
    from probee.compiler.lang.bpftrace.function_option import check_unknown

    script = read(source, target, options)
    find_probes(script, options)
    resolver = Resolver(script)
    resolver.run()
    check_unknown(script)
    return _lower(script, resolver, options)


def read(source: Source, target: Target, options: Options) -> Script:
    """Parse a script, its preamble and macros included."""
    from probee.compiler.lang.bpftrace.builtin import BUILTINS
    from probee.compiler.lang.bpftrace.cmacro import expand_constants
    from probee.compiler.lang.bpftrace.cpreprocessor import read_preamble
    from probee.compiler.lang.bpftrace.function import FUNCTIONS, LATER
    from probee.compiler.lang.bpftrace.macro import expand as expand_macros

    for header in options.includes:
        if not _is_known(header):
            raise UsageError(f"cannot include {header}\n{_not_found(header, 2)}")
    program = parse(source)
    config = read_config(program.config, options.environment)
    script = Script(program, source, target, config, options.parameters)
    script.options.update(unsafe=options.unsafe, has_child=options.has_child)
    script.options.update(warning_level=options.warning_level, pid_namespace=options.pid_namespace)
    script.environment = options.environment
    script.named = {name: value for name, _, value in (word.removeprefix("--").partition("=") for word in options.named)}
    for message, span in config.warnings:
        script.warn(message, span)
    for imported in program.imports:
        if imported.path not in STANDARD:
            raise Unsupported("import is not supported yet", imported.span)
    expand_macros(program, source, library_for(source.text), functions=frozenset((*BUILTINS, *FUNCTIONS, *LATER)))
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
    return script


def _is_known(header: str) -> bool:
    return header.startswith(_KNOWN_HEADERS) or header in _KNOWN_FILES


def _not_found(header: str, line: int) -> str:
    """Return upstream's text, whose first line of definitions is one of its own."""
    return f"definitions.h:{line}:10: fatal error: '{header}' file not found"


# -- probes


def find_probes(script: Script, options: Options) -> None:
    """Make the instances: parse attach points, expand patterns; raises CompileError."""
    for probe in script.program.probes:
        found, first = 0, len(script.instances)
        hint = ""
        for text in probe.attach_points:
            for point in parse_probe(split(text, script.parameters), text.span, unsafe=options.unsafe):
                try:
                    found += _add_instances(script, probe, point, text.span, options)
                except UnknownName as error:
                    if not point.is_pattern:
                        raise
                    hint = error.hint  # as upstream: one that matches nothing counts only when the probe has no other
                except CompileError:
                    raise
                except ProbeeError as error:  # the target cannot tell, and says why
                    raise CompileError(str(error), text.span) from error
        if not found:
            _no_attach_point(script, probe, hint)
        _merge_alike(script, probe, first)
    if not script.instances and script.config.text("missing_probes") == "error":
        raise CompileError("No probes to attach", 0)


def _merge_alike(script: Script, probe: ast.Probe, first: int) -> None:
    """Let the tracepoints of a probe that have the same arguments share one program, unless it asks which it is."""
    if _mentions(probe, {"probe"}):
        return
    kept: dict[tuple[object, ...], Instance] = {}
    used = _fields_used(probe)
    for instance in script.instances[first:]:
        shape = _shape(instance, used) if instance.provider in ("tracepoint", "rawtracepoint") else (id(instance),)
        if shape in kept:
            kept[shape].matches += instance.matches
        else:
            kept[shape] = instance
            instance.index = first + len(kept)
    script.instances[first:] = kept.values()


def _fields_used(probe: ast.Probe) -> set[str] | None:
    """Return the fields of args that a probe reads, None when it uses args as a whole."""
    roots = [probe.body] if probe.predicate is None else [probe.predicate, probe.body]
    nodes = [node for root in roots for node in ast.walk(root)]
    reads = [node for node in nodes if isinstance(node, ast.Field) and _is_args(node.operand)]
    return {node.name for node in reads} if len(reads) == sum(map(_is_args, nodes)) else None


def _is_args(node: ast.Node) -> bool:
    return isinstance(node, (ast.Identifier, ast.Call)) and node.name == "args"


def _shape(instance: Instance, used: set[str] | None) -> tuple[object, ...]:
    """Return what two instances of one probe must have in common to be the same program: where it finds what it reads."""
    members = instance.args.members if instance.args is not None else ()
    fields = [
        (m.name, m.bit_offset, m.bit_size, type(m), m.type.spelling(), size_of(m.type))
        for m in members
        if used is None or m.name in used
    ]
    return (instance.provider, instance.args is None, *fields)


def _no_attach_point(script: Script, probe: ast.Probe, hint: str) -> None:
    how = script.config.text("missing_probes")
    if how == "error":
        message = (
            "Probe has no valid attach points. If this is expected, set the 'missing_probes' config variable to 'warn'."
        )
        raise CompileError(message, probe.span, hint=hint)
    if how == "warn":
        message = (
            "Probe has no valid attach points. It is being removed which may cause issues with program behavior."
        )
        script.warn(message, probe.span)


def _add_instances(script: Script, probe: ast.Probe, point: Probe, span: int, options: Options) -> int:
    """Add the instances of one attach point; returns how many."""
    if not point.provider.attachable:
        raise Unsupported(f"{point.provider.name} probes are not supported yet", span)
    matches = _matches(script, point, span, options)
    if not matches:
        return 0
    if len(matches) > 1 and not _depends_on_match(probe, point):
        groups = [matches]
    else:
        groups = [[match] for match in matches]
    limit = script.config.number("max_bpf_progs")
    count = len(script.instances) + len(groups)
    if count > limit:
        message = (
            f"Your program is trying to generate more than {count} BPF programs, which exceeds the current limit of {limit}"
        )
        hint = "You can increase the limit through the BPFTRACE_MAX_BPF_PROGS environment variable."
        raise CompileError(message, span, hint=hint)
    for group in groups:
        instance = Instance(probe, point if len(group) > 1 else group[0], group, len(script.instances) + 1)
        instance.span = span
        instance.args = _arguments(script, group[0])
        script.instances.append(instance)
    return len(groups)


def _matches(script: Script, point: Probe, span: int, options: Options) -> list[Probe]:
    """Return the probes that a pattern or name stands for; what to do about one that stands for none is configured."""
    how = script.config.text("missing_probes")
    try:
        return list(expand(point, script.target, span))
    except UnknownName as error:
        if point.is_pattern:
            raise
        is_function = point.provider.name in ("kprobe", "kretprobe")
        if is_function and how != "ignore":
            message = (
                f'{point.function} is not traceable (either non-existing, inlined, or marked as "notrace"); '
                "attaching to it will likely fail"
            )
            script.warn(message, span)
        if is_function and options.unsafe:  # the kernel decides
            return [point]
        if how == "error":
            raise
        if how == "warn":
            script.warn(f"{error.message} Skipping.", span)
        return []


def _depends_on_match(probe: ast.Probe, point: Probe) -> bool:
    """True when the program differs from match to match."""
    return _mentions(probe, {"probe", "args"} if point.provider.name in ("tracepoint", "rawtracepoint") else {"probe"})


def _mentions(probe: ast.Probe, names: set[str]) -> bool:
    roots = [probe.body] if probe.predicate is None else [probe.predicate, probe.body]
    return any(
        isinstance(node, (ast.Identifier, ast.Call)) and node.name in names for root in roots for node in ast.walk(root)
    )


def _arguments(script: Script, point: Probe):  # type: ignore[no-untyped-def]
    provider = point.provider.name
    if provider == "tracepoint":
        format = script.target.tracepoint(point.category, point.event)
        return arguments.tracepoint_struct(script.target, format) if format is not None else None
    if provider == "rawtracepoint":
        prototype = script.target.raw_tracepoint(point.event)
        return arguments.prototype_struct(point.event, prototype) if prototype is not None else None
    return None


# -- lowering


def _lower(script: Script, resolver: Resolver, options: Options) -> Unit:
    unit = Unit()
    script.can_exit = any(_calls_exit(instance) for instance in [*script.instances, *script.functions.values()])
    for function in script.functions.values():
        check_all_return(function)
    unit.features = frozenset(name for name in PASS_FEATURES if script.target.has_feature(name))
    unit.options = {key: script.config.values[key] for key in RUNTIME_OPTIONS}
    for info in script.maps.values():
        if info.value is None:
            script.warn(f"Unused map: @{info.name}", info.span)
            continue
        unit.maps[kernel_name(info)] = map_spec(script, info)
    bodies = [id(instance.probe) for instance in script.instances]
    for instance in script.instances:
        if bodies.count(id(instance.probe)) > 1:  # what is noted on the tree is another instance's
            resolver.probe(instance)
        unit.programs.append(_program(script, unit, instance, options))
        _links(script, unit, instance)
    unit.warnings = [_shown(warning) for warning in script.warnings]
    return unit


def _calls_exit(instance: Instance) -> bool:
    return any(isinstance(node, ast.Call) and node.name == "exit" for node in ast.walk(instance.probe.body))


def _shown(warning: CompileError) -> str:
    """Return the text of a warning; one that belongs to no place shows none."""
    text = warning.report() if warning.span else f"ERROR: {warning.message}"
    return text.replace("ERROR:", "WARNING:", 1)


def _program(script: Script, unit: Unit, instance: Instance, options: Options) -> Program:
    name = _program_name(instance)
    function = Function(name, (pointer("context"),), I64, span=instance.probe.span)
    low = Lowerer(script, unit, instance, function)
    add_runtime_maps(low)
    if options.has_pid and instance.provider in PID_FILTERED:
        low.filter_pid()
    low.body()
    functions = [function, *low.callbacks]
    if options.warning_level == VERBOSE:
        from probee.compiler.lang.bpftrace.watch import watch_reads

        watch_reads(low, functions)
        functions = [function, *low.callbacks]
    for each in functions:
        connect(each)
    type = _program_type(instance)
    _check_size(functions, instance)
    nesting = _RAW_NESTING if instance.provider == "rawtracepoint" else 1
    attach_type = AttachType.NONE
    if len(instance.matches) > 1 and instance.provider in ("kprobe", "kretprobe") and low.feature("kprobe_multi"):
        attach_type = AttachType.TRACE_KPROBE_MULTI
    return Program(name, type, functions, probe=instance.point.name, nesting=nesting, attach_type=attach_type)


def _check_size(functions: list[Function], instance: Instance) -> None:
    """Refuse what cannot become a program the kernel takes before any pass looks at it."""
    size = sum(len(block.values) for function in functions for block in function.blocks)
    if size > MAX_OPERATIONS:
        message = f"{instance.point.name} is too large: {size} operations, and the kernel takes at most a million instructions"
        raise CompileError(message, instance.span, hint="Split it into several probes.")


def _program_type(instance: Instance) -> int:
    """A raw tracepoint's arguments are taken as numbers; the BTF-typed kind of program is for fentry and its family."""
    return ProgramType.RAW_TRACEPOINT if instance.provider == "rawtracepoint" else instance.point.provider.program_type


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
    for match in instance.matches:
        unit.links.append(LinkSpec(instance.provider, program, match.name, match.link_parameters(), span=instance.span))
