"""The passes, in the one order there is.

A pass is `run(function, unit) -> bool` (did it change anything) or, where it sees a whole unit, `unit → unit`.  It finds a
function's blocks connected (unit.connect) and leaves them so.  CLEANING is repeated over the functions where that may find
more, at most ROUNDS times; a script's compile time is mostly spent there.  Passes that few programs need are imported when
one does.  With PROBEE_VERIFY_IR set in the environment, verify.py judges the unit after each pass.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from probee.compiler.ir import op
from probee.compiler.ir.passes import dce, deadstore, initialise, number, promote, recognise, simplify, widen
from probee.compiler.ir.passes.memory import memory
from probee.compiler.ir.passes.scratch import scratch
from probee.compiler.ir.unit import Block, Function, Unit, Value, connect

FunctionPass = Callable[[Function, Unit], bool]
Observer = Callable[[str, Unit], None]

ROUNDS = 3  # scripts want two, programs in C a third


def _lookup(function: Function, unit: Unit) -> bool:
    n_lookups = [value.attr for block in function.blocks for value in block.values].count("map_lookup_elem")
    if n_lookups < 2:
        return False
    from probee.compiler.ir.passes import lookup

    return lookup.run(function, unit)


def _known(function: Function, unit: Unit) -> bool:
    """Where a pointer is compared with null more than once, as C programs do."""
    tested: set[Value] = set()
    for block in function.blocks:
        for value in block.values:
            if value.op == op.CHECK_NULL or (value.op in (op.EQ, op.NE) and value.args[0].type.is_pointer):
                if value.args[0] in tested:
                    from probee.compiler.ir.passes import known

                    return known.run(function, unit)
                tested.add(value.args[0])
    return False


def _thread(function: Function, unit: Unit) -> bool:
    if not any(len(block.predecessors) > 1 and block.values[-1].op == op.BRANCH for block in function.blocks):
        return False
    from probee.compiler.ir.passes import thread

    return thread.run(function, unit)


def _advance(function: Function, unit: Unit) -> bool:
    if not any(value.op == op.PHI and value.type.is_pointer for block in function.blocks for value in block.values):
        return False
    from probee.compiler.ir.passes import advance

    return advance.run(function, unit)


def _unroll(function: Function, unit: Unit) -> bool:
    if not any(_counts(block) for block in function.blocks) and not _wishes(function):
        return False
    from probee.compiler.ir.passes import unroll

    return unroll.run(function, unit)


def _counts(block: Block) -> bool:
    """Return whether a phi of the block is computed from itself."""
    for phi in block.values:
        if phi.op != op.PHI:
            break
        if any(phi in arg.args for arg in phi.args):
            return True
    return False


def _wishes(function: Function) -> bool:
    """Return whether a loop is to be unrolled."""
    return any(value.op == op.UNROLL for block in function.blocks for value in block.values)


def _combine(function: Function, unit: Unit) -> bool:
    portable = not unit.options.get("local")
    if not any(
        value.op == op.LOAD and value.args[0].type.space == "kernel" and not (portable and value in function.fields)
        for block in function.blocks
        for value in block.values
    ):
        return False
    from probee.compiler.ir.passes import combine

    return combine.run(function, unit)


def _extend(function: Function, unit: Unit) -> bool:
    if not any(value.op == op.SEXT and value.type.bits == 64 for block in function.blocks for value in block.values):
        return False
    from probee.compiler.ir.passes import extend

    return extend.run(function, unit)


def _demote(function: Function, unit: Unit) -> bool:
    if not unit.options.get("tight"):
        return False
    from probee.compiler.ir.passes import demote

    return demote.run(function, unit)


# A pass, and whether what it changes gives the passes before it something to do
CLEANING: tuple[tuple[str, FunctionPass, bool], ...] = (
    ("number", number.run, False),
    ("known", _known, True),
    ("simplify", simplify.run, True),
    ("lookup", _lookup, True),
    ("thread", _thread, True),
    ("deadstore", deadstore.run, False),
    ("dce", dce.run, False),
)
FINISHING: tuple[tuple[str, FunctionPass], ...] = (
    ("recognise", recognise.run), ("combine", _combine), ("widen", widen.run), ("extend", _extend), ("demote", _demote),
)  # fmt: skip


def optimise(unit: Unit, *, after: Observer | None = None) -> Unit:
    """Run every pass; `after(name, unit)` sees the unit after each."""
    see = _observer(after)
    functions = [function for program in unit.programs for function in program.functions]
    for function in functions:
        connect(function)
        promote.run(function, unit)
    see("promote", unit)
    for function in functions:
        initialise.run(function, unit)
    see("initialise", unit)
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
            again.update(dict.fromkeys(function for function in functions if _advance(function, unit)))
            see("advance", unit)
            again.update(dict.fromkeys(function for function in functions if _unroll(function, unit)))
            see("unroll", unit)
        functions = list(again)
        if not functions:
            break
