"""Register allocation as a whole: coalescing, which values are made anew instead of stored, the scan, the moves, and the
stores that turn out to be superfluous.
"""

from __future__ import annotations

from probee.compiler.codegen.coalesce import coalesce
from probee.compiler.codegen.interval import homes
from probee.compiler.codegen.lifetime import find_lifetimes
from probee.compiler.codegen.liveness import Liveness
from probee.compiler.codegen.machine import MachineFunction
from probee.compiler.codegen.make import makers
from probee.compiler.codegen.resolve import Resolver
from probee.compiler.codegen.scan import Scan
from probee.compiler.codegen.store import remove_known_stores


def allocate(function: MachineFunction) -> None:
    """Replace every virtual register by a machine register; slots, old and new, get the ranges in which they matter."""
    liveness = Liveness(function)
    coalesce(function, liveness)
    find_lifetimes(function, liveness)
    records = homes(function, liveness, makers(function))
    Scan(function, liveness, records).run()
    resolver = Resolver(function, liveness, records)
    resolver.run()
    if resolver.slots:
        remove_known_stores(function, set(resolver.slots.values()))
