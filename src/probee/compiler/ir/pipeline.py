"""The passes, in the one order there is.

A pass is `run(function, unit) -> bool` (did it change anything) or, where it sees a whole unit, `unit → unit`.  The middle of
the list runs until nothing changes, at most ROUNDS times; a script's compile time is mostly spent there.
"""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.ir.passes import dce, promote, simplify
from probee.compiler.ir.passes.memory import memory
from probee.compiler.ir.passes.scratch import scratch
from probee.compiler.ir.unit import Function, Unit

FunctionPass = Callable[[Function, Unit], bool]
Observer = Callable[[str, Unit], None]

ROUNDS = 3
CLEANING: tuple[tuple[str, FunctionPass], ...] = (("simplify", simplify.run), ("dce", dce.run))


def optimise(unit: Unit, *, after: Observer | None = None) -> Unit:
    """Run every pass; `after(name, unit)` sees the unit after each."""
    see = after if after is not None else _unseen
    _each(unit, promote.run)
    see("promote", unit)
    _clean(unit, see)
    for name, run in (("memory", memory), ("scratch", scratch)):
        unit = run(unit)
        see(name, unit)
    _clean(unit, see)
    return unit


def _unseen(name: str, unit: Unit) -> None:
    pass


def _each(unit: Unit, run: FunctionPass) -> bool:
    changed = False
    for program in unit.programs:
        for function in program.functions:
            changed |= run(function, unit)
    return changed


def _clean(unit: Unit, see: Observer) -> None:
    """Run the cleaning passes over each function until it stays as it is."""
    for program in unit.programs:
        for function in program.functions:
            for _ in range(ROUNDS):
                changes = [run(function, unit) for _, run in CLEANING]
                if not any(changes):
                    break
    see("clean", unit)
