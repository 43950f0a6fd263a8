"""compile(text, target): the one file that knows every language.  Text in, ObjectSpec out; nothing of the machine is read.

    bpftrace text ──▶ lang/bpftrace ──▶ IR unit ──▶ ir/pipeline ──▶ IR unit ──▶ codegen ──▶ ObjectSpec
    BCC's C       ──▶ lang/c        ──▶
"""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.ir.unit import Unit
from probee.errors import CompileError, ParseError, Source, TypeMismatch, UnknownName, Unsupported
from probee.model.spec import ObjectSpec
from probee.model.target import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Observer = Callable[[str, Unit], None]
Lower = Callable[[Source, Target, "dict[str, Any]"], Unit]


def compile(text: str, target: Target, options: dict[str, Any] | None = None, *, after: Observer | None = None) -> ObjectSpec:
    """Compile a bpftrace script for a target.

    `options`: name (of the text in messages), parameters (positional), named (the script's own, "--name=value"), unsafe,
    mode ("test", "bench", else ""), has_pid, has_child, pid_namespace (true when ours is not the initial one), warning_level
    (2: also failing lookups), environment (the BPFTRACE_* variables), local (the object is for this very kernel: reads of its
    structures may be put together, beyond what can be relocated).  `after(stage, unit)` sees the unit as lowered
    ("lower") and after each pass.
    Raises CompileError, which knows its place in the text.
    """
    options = options or {}
    source = Source(options.get("name", "stdin"), text)
    try:
        return _without_collecting(lower, source, target, options, after)
    except CompileError as error:
        from probee.compiler.lang.bpftrace.advice import advise

        raise advise(error.at(source), text, target) from None


def compile_c(text: str, target: Target, options: dict[str, Any] | None = None, *, after: Observer | None = None) -> ObjectSpec:
    """Compile a program of BCC's C for a target: each function that is not static becomes a program.

    `options`: name (of the text in messages), cflags (a list: -D and -U count, other flags are accepted), headers (the texts of
    the program's own, by their names as #include says them), usdt (a function's name → the places, model.usdt.UsdtPlace, of
    the probes that it is enabled for).  Maps keep their names; `types` of the
    object are those of their keys and values and of what is sent through them.  Raises CompileError, which knows its place.
    """
    options = options or {}
    source = Source(options.get("name", "/virtual/main.c"), text)
    try:
        return _without_collecting(_lower_c, source, target, options, after)
    except CompileError as error:
        if "max_strlen" in error.hint:
            error.hint = "Make it smaller, or keep it in a map: BPF_PERCPU_ARRAY(scratch, struct …, 1);"
        elif isinstance(error, (ParseError, TypeMismatch, UnknownName)):
            from probee.compiler.lang.c.suggest import missing_headers

            error.hint = " ".join(each for each in (error.hint, missing_headers(text, options.get("headers"))) if each)
        raise error.at(source) from None


def _without_collecting(
    lower: Lower, source: Source, target: Target, options: dict[str, Any], after: Observer | None
) -> ObjectSpec:
    """Compile without garbage collections, which cost up to a third of a long compile, and free nothing."""
    import gc

    collecting = gc.isenabled()
    gc.disable()
    try:
        return _compile(lower, source, target, options, after)
    except RecursionError:
        raise Unsupported("the program is nested too deeply", 0, source=source) from None
    finally:
        if collecting:
            gc.enable()


def _compile(
    lower: Lower, source: Source, target: Target, options: dict[str, Any], after: Observer | None, attempt: int = 0
) -> ObjectSpec:
    """Compile; further attempts leave more of the stack, where it was too small, to what should be in registers."""
    from probee.compiler.codegen.frame import StackExceeded
    from probee.compiler.codegen.generate import generate_object
    from probee.compiler.ir.pipeline import optimise

    unit = lower(source, target, options)
    unit.options.update({name: True for name in (_ATTEMPTS[attempt], "local" if options.get("local") else "") if name})
    if after is not None:
        after("lower", unit)
    unit = optimise(unit, after=after)
    license = str(unit.options.get("license", "GPL"))
    try:
        return generate_object(
            unit, source_name=source.name, source_text=source.text, source_parts=source.parts, license=license
        )
    except StackExceeded:
        if attempt + 1 == len(_ATTEMPTS):
            raise
    return _compile(lower, source, target, options, after, attempt + 1)


_ATTEMPTS = ("", "roomy", "tight")  # options of the unit (passes/scratch.py, passes/demote.py)


def _lower_c(source: Source, target: Target, options: dict[str, Any]) -> Unit:
    from probee.compiler.lang.c.program import lower_program

    return lower_program(source, target, options)


def lower(source: Source, target: Target, options: dict[str, Any]) -> Unit:
    """Return a script's unit as its front end wrote it, before any pass."""
    from probee.compiler.lang.bpftrace.option import Options
    from probee.compiler.lang.bpftrace.program import lower_script

    chosen = Options(
        parameters=tuple(options.get("parameters", ())),
        unsafe=bool(options.get("unsafe")),
        has_pid=bool(options.get("has_pid")),
        has_child=bool(options.get("has_child")),
        includes=tuple(options.get("includes", ())),
        include_dirs=tuple(options.get("include_dirs", ())),
        named=tuple(options.get("named", ())),
        warning_level=int(options.get("warning_level", 1)),
        pid_namespace=bool(options.get("pid_namespace")),
        environment=options.get("environment") or {},
        mode=str(options.get("mode") or ""),
        without=tuple(options.get("without") or ()),
    )
    return lower_script(source, target, chosen)
