"""A script, whole: text to IR unit.  Parse, preamble, macros, probes, types, lowering, in upstream's order of complaints."""

from __future__ import annotations

from probee.compiler.ir.unit import Unit
from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace.config import read_config
from probee.compiler.lang.bpftrace.instance import TRIALS, find_probes
from probee.compiler.lang.bpftrace.lower_instance import add_links, lower_instance
from probee.compiler.lang.bpftrace.lower_map import kernel_name, map_spec
from probee.compiler.lang.bpftrace.option import Options
from probee.compiler.lang.bpftrace.parser import parse
from probee.compiler.lang.bpftrace.preamble import expand, headers_of
from probee.compiler.lang.bpftrace.resolve import Resolver
from probee.compiler.lang.bpftrace.scope import Instance, Script
from probee.compiler.lang.bpftrace.session import find_pairs
from probee.compiler.lang.bpftrace.subprogram import check_all_return
from probee.errors import CompileError, Source
from probee.model.target import Target

RUNTIME_OPTIONS = (
    "print_maps_on_exit", "perf_rb_pages", "max_cat_bytes", "str_trunc_trailer", "log_size", "max_map_keys", "max_strlen",
    "missing_probes", "license", "max_probes", "cache_user_symbols", "cpp_demangle", "show_debug_info",
)  # fmt: skip
MANY = 16  # places; programs that have so many can be told to stop before they are detached
PASS_FEATURES = ("probe_read_kernel", "atomic_fetch", "insn_v4")  # what passes and codegen choose instructions by


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
    headers = headers_of(options)
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
        expand(script, options, headers)
    except CompileError as error:
        raise _with_warnings(error, script, options) from None
    return script


def _with_warnings(error: CompileError, script: Script, options: Options) -> CompileError:
    error.warnings = [_shown(warning) for warning in script.warnings] if options.warning_level else []
    return error


# -- lowering


def _lower(script: Script, resolver: Resolver, options: Options) -> Unit:
    unit = Unit()
    script.can_exit = any(_calls_exit(instance) for instance in [*script.instances, *script.functions.values()])
    script.can_exit = script.can_exit or _places(script) > MANY
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
        unit.programs.append(lower_instance(script, unit, instance, options, pairs.get(id(instance))))
        add_links(unit, instance, script.builds)
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


def _places(script: Script) -> int:
    """Return how many places are attached to one by one, each of which the kernel takes its time to part with."""
    together = {kind for kind in ("kprobe", "uprobe") if script.target.has_feature(f"{kind}_multi")}
    return sum(1 if each.provider.replace("ret", "") in together else len(each.matches) for each in script.instances)


def _shown(warning: CompileError) -> str:
    """Return the text of a warning; one that belongs to no place shows none."""
    return warning.text("WARNING") if warning.span else f"WARNING: {warning.message}"
