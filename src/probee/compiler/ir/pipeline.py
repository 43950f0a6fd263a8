"""The passes, in order."""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.ir.passes.memory import memory
from probee.compiler.ir.passes.share import share
from probee.compiler.ir.unit import Unit

PASSES: tuple[tuple[str, Callable[[Unit], Unit]], ...] = (("memory", memory), ("share", share))


def optimise(unit: Unit, *, after: Callable[[str, Unit], None] | None = None) -> Unit:
    """Run every pass; `after(name, unit)` sees the unit after each."""
    for name, run in PASSES:
        unit = run(unit)
        if after is not None:
            after(name, unit)
    return unit
