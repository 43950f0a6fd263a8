"""One instance of a probe: the program that it becomes, and the links that attach it."""

from __future__ import annotations

from probee.compiler.ir.type import I64, pointer
from probee.compiler.ir.unit import Function, Program, Unit, connect
from probee.compiler.lang.bpftrace.instance import TRAMPOLINES, TRIALS, attach_target, program_type
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.lower_map import VERBOSE
from probee.compiler.lang.bpftrace.lower_record import add_runtime_maps
from probee.compiler.lang.bpftrace.option import Options
from probee.compiler.lang.bpftrace.scope import Instance, Script
from probee.compiler.lang.bpftrace.session import lower_pair
from probee.compiler.lang.bpftrace.slot import leave_at_end
from probee.compiler.lang.bpftrace.trusted import forget
from probee.errors import CompileError
from probee.model.spec import AttachType, LinkSpec
from probee.probes.probe import Probe, debug_parameters, located_parameters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_OPERATIONS = 100_000  # of the IR in one program
IN_PROGRAMS = ("uprobe", "uretprobe", "usdt")
PID_FILTERED = frozenset((
    "kprobe", "kretprobe", "tracepoint", "rawtracepoint", "fentry", "fexit", "profile", "software", "hardware",
))  # fmt: skip
_RAW_NESTING = 3  # raw tracepoints are not guarded against recursion on older kernels: task, interrupt, NMI


def lower_instance(
    script: Script, unit: Unit, instance: Instance, options: Options, at_return: Instance | None = None
) -> Program:
    """Return the program of an instance; with `at_return`, that of a kretprobe, of both."""
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


def add_links(unit: Unit, instance: Instance, builds: Mapping[str, str]) -> None:
    """Add the links of an instance, whose program is the last one in the unit.

    `builds` are the build ids of the files that it was compiled for, where that matters.
    """
    program, point = unit.programs[-1].name, instance.point
    if instance.provider in ("kprobe", "kretprobe") and len(instance.matches) > 1:
        # expanded again when it is attached: functions come and go with modules, the program does not change
        parameters: dict[str, int | str | list[str]] = {"pattern": point.function, "module": point.module}
        unit.links.append(LinkSpec(instance.provider, program, point.name, parameters, span=instance.span))
        return
    if instance.provider in ("uprobe", "uretprobe") and len(instance.matches) > 1 and point.address is None:
        _links_by_file(unit, instance, builds)
        return
    if instance.provider == "usdt":
        from probee.compiler.lang.bpftrace.usdt import link_parameters

        for match in instance.matches:
            unit.links.append(LinkSpec("usdt", program, match.name, link_parameters(instance, match), span=instance.span))
        return
    for match in instance.matches:
        place = _trigger(match) or {**match.link_parameters(), **_build(match, builds)}
        unit.links.append(LinkSpec(instance.provider, program, match.name, place, span=instance.span))


def _build(match: Probe, builds: Mapping[str, str]) -> dict[str, str]:
    build = builds.get(match.file, "")
    return {"build_id": build} if build else {}


def _links_by_file(unit: Unit, instance: Instance, builds: Mapping[str, str]) -> None:
    """Add one link for each program or library, to all the functions that are meant in it."""
    found: dict[str, list[Probe]] = {}
    for match in instance.matches:
        found.setdefault(match.file, []).append(match)
    for file, matches in found.items():
        name = instance.point.replace(path=matches[0].path).name
        place: dict[str, int | str | list[str]] = {"path": file, "functions": [match.function for match in matches]}
        place = located_parameters(matches) if matches[0].source_file else {**place, **debug_parameters(matches[0])}
        place.update(_build(matches[0], builds))
        unit.links.append(LinkSpec(instance.provider, unit.programs[-1].name, name, place, span=instance.span))


def _trigger(point: Probe) -> dict[str, int | str | list[str]]:
    """Return what makes a probe run that is never attached."""
    if point.provider.name == "self":
        return {"signal": point.event}
    return {"name": point.event} if point.provider.name in TRIALS else {}
