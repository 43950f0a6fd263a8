"""The passes, in the one order there is.

A pass is `run(function, unit) -> bool` (did it change anything) or, where it sees a whole unit, `unit → unit`.  It finds a
function's blocks connected (unit.connect) and leaves them so.  CLEANING is repeated over the functions where that may find
more, at most ROUNDS times; a script's compile time is mostly spent there.  With PROBEE_VERIFY_IR set in the environment,
verify.py judges the unit after each pass.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from probee.compiler.ir.passes import combine, dce, deadstore, lookup, number, promote, simplify, thread, unroll, widen
from probee.compiler.ir.passes.memory import memory
from probee.compiler.ir.passes.scratch import scratch
from probee.compiler.ir.unit import Function, Unit, connect

FunctionPass = Callable[[Function, Unit], bool]
Observer = Callable[[str, Unit], None]

ROUNDS = 2  # a third finds nothing in any script of ours
# A pass, and whether what it changes gives the passes before it something to do
CLEANING: tuple[tuple[str, FunctionPass, bool], ...] = (
    ("number", number.run, False),
    ("simplify", simplify.run, True),
    ("lookup", lookup.run, True),
    ("thread", thread.run, True),
    ("deadstore", deadstore.run, False),
    ("dce", dce.run, False),
)
FINISHING: tuple[tuple[str, FunctionPass], ...] = (("combine", combine.run), ("widen", widen.run))


def optimise(unit: Unit, *, after: Observer | None = None) -> Unit:
    """Run every pass; `after(name, unit)` sees the unit after each."""
    see = _observer(after)
    functions = [function for program in unit.programs for function in program.functions]
    for function in functions:
        connect(function)
        promote.run(function, unit)
    see("promote", unit)
    _clean(functions, unit, see)
    for name, finish in FINISHING:
        for function in functions:
            finish(function, unit)
        see(name, unit)
    for name, lower in (("memory", memory), ("scratch", scratch)):
        unit = lower(unit)
        see(name, unit)
    return unit


def _observer(after: Observer | None) -> Observer:
    """Return what is called after each pass."""
    if "PROBEE_VERIFY_IR" not in os.environ:
        return after if after is not None else lambda name, unit: None
    from probee.compiler.ir.verify import verify

    def see(name: str, unit: Unit) -> None:
        verify(unit)
        if after is not None:
            after(name, unit)

    return see


def _clean(functions: list[Function], unit: Unit, see: Observer) -> None:
    """Run the cleaning passes, again over the functions where that may find more."""
    for turn in range(ROUNDS):
        again: dict[Function, None] = {}
        for name, run, repeats in CLEANING:
            changed = [function for function in functions if run(function, unit)]
            if repeats:
                again.update(dict.fromkeys(changed))
            see(name, unit)
        if not turn:
            again.update(dict.fromkeys(function for function in functions if unroll.run(function, unit)))
            see("unroll", unit)
        functions = list(again)
        if not functions:
            break
