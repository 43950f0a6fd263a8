"""The instances of a script: its attach points parsed, patterns expanded, alike ones put together."""

from __future__ import annotations

from probee.compiler.lang.bpftrace import arguments, ast, slot
from probee.compiler.lang.bpftrace.attachpoint import split
from probee.compiler.lang.bpftrace.scope import Instance, Script
from probee.errors import CompileError, ProbeeError, UnknownName, Unsupported
from probee.model.ctype import size_of
from probee.model.spec import AttachType, ProgramType
from probee.probes.match import expand, no_match
from probee.probes.parse import parse as parse_probe
from probee.probes.probe import Probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from probee.compiler.lang.bpftrace.option import Options
    from probee.model.target import KernelFunction
    from probee.model.usdt import UsdtPlace

TRIALS = ("test", "bench")
TYPED_CALLS = {"socket_cookie", "skboutput"}
PER_PLACE = {"uaddr", "elf_is_exe", "elf_info"}  # calls whose value depends on the program, or on the place in it
TRAMPOLINES = ("fentry", "fexit")  # their programs are loaded for one function each


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
    if _mentions(probe, {"probe", *TYPED_CALLS}):
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
    groups, places = _groups(script, probe, point, matches)
    limit = script.config.number("max_bpf_progs")
    count = len(script.instances) + len(groups)
    if count > limit:
        message = (
            f"Your program is trying to generate more than {count} BPF programs, which exceeds the current limit of {limit}"
        )
        hint = "You can increase the limit through the BPFTRACE_MAX_BPF_PROGS environment variable."
        raise CompileError(message, span, hint=hint)
    _check_name(script, point, span)
    for group, its_places in zip(groups, places, strict=True):
        instance = Instance(probe, point if len(group) > 1 else group[0], group, len(script.instances) + 1)
        instance.span = span
        instance.places = its_places
        instance.args = _arguments(script, group[0])
        script.instances.append(instance)
    return len(groups)


def _groups(
    script: Script, probe: ast.Probe, point: Probe, matches: list[Probe]
) -> tuple[list[list[Probe]], list[list[tuple[Probe, UsdtPlace]]]]:
    """Return the matches that share a program, and with them, for USDT probes, their places."""
    apart = _depends_on_match(probe, point)
    if point.provider.name == "usdt":
        from probee.compiler.lang.bpftrace.usdt import group_places

        places = group_places(matches, by_match=apart, by_arguments=_uses_arguments(probe))
        if _mentions(probe, PER_PLACE):
            places = [[each] for group in places for each in group]
        return [list(dict.fromkeys(match for match, _ in group)) for group in places], places
    groups = [[match] for match in matches] if apart or len(matches) == 1 else [matches]
    return groups, [[] for _ in groups]


def _uses_arguments(probe: ast.Probe) -> bool:
    """Return whether a probe reads arg0, arg1 …"""
    roots = [probe.body] if probe.predicate is None else [probe.predicate, probe.body]
    names = [node.name for root in roots for node in ast.walk(root) if isinstance(node, (ast.Identifier, ast.Call))]
    return any(name == "usdt_arg" or (name.startswith("arg") and name[3:].isdecimal()) for name in names)


def _check_name(script: Script, point: Probe, span: int) -> None:
    """Tests and benchmarks are told apart by their names."""
    provider = point.provider.name
    same = [other for other in script.instances if other.provider == provider and other.point.event == point.event]
    if provider in TRIALS and same:
        message = f'"{point.event}" was used as the name for more than one {provider.upper()} probe'
        raise CompileError(message, span)


def _matches(script: Script, point: Probe, span: int, options: Options) -> list[Probe]:
    """Return the probes that a pattern or name stands for; what to do about one that stands for none is configured."""
    how = script.config.text("missing_probes")
    try:
        found = list(expand(point, script.target, span))
        if point.provider.name in ("uprobe", "uretprobe", "usdt"):
            found = _check_target(script, point, found, span)
        if point.provider.name in ("uprobe", "uretprobe") and not options.unsafe:
            _check_places(script, point, found, span)
        return found
    except UnknownName as error:
        if point.is_pattern and not point.path:
            raise
        anywhere = _in_any_file(script, point) if options.unsafe else []
        if anywhere:
            return anywhere
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
            script.warn(f"{error.message.removesuffix('.')}. Skipping.", span)
        return []


def _in_any_file(script: Script, point: Probe) -> list[Probe]:
    from probee.probes.user import in_any_file

    return in_any_file(point, script.target) if point.provider.name in ("uprobe", "uretprobe") else []


def _check_target(script: Script, point: Probe, found: list[Probe], span: int) -> list[Probe]:
    """Warn of a target that is not clear; return what was found, without names in the source if the script wants none."""
    from probee.probes.user import several_found, with_symbols_of

    warning = several_found(point, script.target)
    if warning:
        script.warn(warning, span)
    if script.config.number("cpp_demangle") or point.language:
        return found
    named = with_symbols_of(point, found)
    if not named:
        raise no_match(point, script.target, span)
    return named


def _check_places(script: Script, point: Probe, found: list[Probe], span: int) -> None:
    from probee.probes.user import check_place

    if not point.is_pattern:
        for match in found:
            check_place(match, span)


def _depends_on_match(probe: ast.Probe, point: Probe) -> bool:
    """True when the program differs from match to match."""
    if point.provider.name in TRAMPOLINES:
        return True
    if point.provider.name == "rawtracepoint" and _mentions(probe, TYPED_CALLS):
        return True
    if point.provider.name in ("uprobe", "uretprobe") and _mentions(probe, {*PER_PLACE, "args"}):
        return True
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
    function = traced_function(script, point)
    return slot.function_struct(point.function, function.type) if function is not None else None


def traced_function(script: Script, point: Probe) -> KernelFunction | None:
    """Return the function of an fentry or fexit probe; None for other probes, and for BPF programs."""
    if point.provider.name not in TRAMPOLINES or point.module == "bpf":
        return None
    return script.target.function(point.function, point.module)


def attach_target(instance: Instance) -> tuple[int, str]:
    """Return how a program is bound to its target when it is loaded: the attach type, and the name of what it is for."""
    point = instance.matches[0]
    if instance.provider in TRAMPOLINES:
        program = f"{point.program_id}:" if point.program_id else ""
        return point.provider.attach_type, f"{point.module}:{program}{point.function}"
    if instance.provider == "iter":
        return point.provider.attach_type, f"bpf_iter_{point.function}"
    return (AttachType.TRACE_RAW_TP, point.event) if is_typed(instance) else (AttachType.NONE, "")


def program_type(instance: Instance) -> int:
    """A raw tracepoint's arguments are taken as numbers, unless something wants them as what BTF says they are."""
    if instance.provider == "rawtracepoint":
        return ProgramType.TRACING if is_typed(instance) else ProgramType.RAW_TRACEPOINT
    return instance.point.provider.program_type


def is_typed(instance: Instance) -> bool:
    """True for a raw tracepoint that calls what only takes the kernel's own pointers."""
    return instance.provider == "rawtracepoint" and _mentions(instance.probe, TYPED_CALLS)
