"""What the judges of random programs share: a unit is run in the IR interpreter and in the kernel, and both leave the same.

PROBEE_FUZZ_FIRST and PROBEE_FUZZ_LAST choose the seeds of a longer run.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable

from codegen_run import Loaded
from ir_generator import random_input, random_unit
from ir_interpreter import IrMachine
from probee.compiler.codegen.generate import generate_object
from probee.compiler.ir.unit import Unit
from probee.kernel.features import feature

ZERO = bytes(4)
CHUNK = 20  # programs per test
FIRSTS = range(int(os.environ.get("PROBEE_FUZZ_FIRST", "0")), int(os.environ.get("PROBEE_FUZZ_LAST", "200")), CHUNK)

Outcome = tuple[int, object, object]


def assert_chunk_agrees(first: int, type: int, change: Callable[[Unit], Unit] = lambda unit: unit) -> None:
    """Check the programs of CHUNK seeds: what the kernel does after `change` is what the IR did before."""
    for seed in range(first, first + CHUNK):
        unit = random_unit(seed, size=10 + seed % 60, atomics=feature.has("atomic_fetch"), program_type=type)
        data = random_input(random.Random(seed))
        wanted = in_ir(unit, data)
        assert in_kernel(change(unit), data) == wanted, f"seed {seed}"


def in_ir(unit: Unit, data: bytes) -> Outcome:
    machine = IrMachine(unit.programs[0].functions, unit.maps)
    machine.set("data", ZERO, data)
    result = machine.run(bytes(16))
    return result, machine.get("data", ZERO), {key: machine.get("table", key) for key in machine.maps["table"].entries}


def in_kernel(unit: Unit, data: bytes) -> Outcome:
    with Loaded(generate_object(unit, source_name="random", source_text="")) as loaded:
        loaded.maps["data"].update(ZERO, data)
        result = loaded.run()
        return result, loaded.maps["data"].lookup(ZERO), loaded.table("table")
