"""`--mode compiler-bench`: what compiling a script costs, phase by phase, in CPU time of this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import process_time_ns
from typing import Any

from probee.cli.info import report
from probee.cli.options import Options
from probee.cli.script import Script, compile_options, target_for
from probee.errors import CompileError, Source

ROUNDS = 20


def measure(script: Script, options: Options) -> int:
    """Compile the script many times; write the report of --info and the medians."""
    from probee.compiler.compile import compile
    from probee.compiler.lang.bpftrace.parser import parse

    chosen, source = compile_options(script, options), Source(script.name, script.text)
    target = target_for(options)
    try:
        cold = _time(lambda: compile(script.text, target, chosen))
        rows = [("first compile, reading the kernel's types", cold), ("parse", _median(lambda: parse(source)))]
    except CompileError as error:
        raise error.at(source) from None
    passes: dict[str, list[int]] = {}
    for _ in range(ROUNDS):
        _one(script.text, target, chosen, passes)
    rows += [(name, sorted(times)[len(times) // 2]) for name, times in passes.items()]
    rows.append(("compile, all of it", _median(lambda: compile(script.text, target, chosen))))
    sys.stdout.write(report() + "\n")
    width = max(len(name) for name, _ in rows) + 2
    sys.stdout.writelines(f"{name.ljust(width)}{time / 1e6:9.3f} ms\n" for name, time in rows)
    return 0


def _one(text: str, target: Any, chosen: dict[str, Any], passes: dict[str, list[int]]) -> None:
    """Compile once, noting for each stage how long after the one before it was ready."""
    from probee.compiler.compile import compile

    before = process_time_ns()

    def note(stage: str, unit: object) -> None:
        nonlocal before
        now = process_time_ns()
        passes.setdefault("lower" if stage == "lower" else f"pass {stage}", []).append(now - before)
        before = process_time_ns()

    compile(text, target, chosen, after=note)
    passes.setdefault("code generation", []).append(process_time_ns() - before)


def _median(work: Callable[[], object]) -> int:
    times = sorted(_time(work) for _ in range(ROUNDS))
    return times[ROUNDS // 2]


def _time(work: Callable[[], object]) -> int:
    before = process_time_ns()
    work()
    return process_time_ns() - before
