"""The kernel as judge of code generation: random programs leave the same maps as their IR, and the verifier takes them.

Run natively or in a guest.  PROBEE_FUZZ_FIRST and PROBEE_FUZZ_LAST choose the seeds of a longer run.
"""

from __future__ import annotations

import os
import random

import pytest

from codegen_run import Loaded
from ir_generator import random_input, random_unit
from ir_interpreter import IrMachine
from probee.compiler.codegen.generate import generate_object
from probee.compiler.ir.unit import Unit
from probee.kernel.features import feature
from probee.model.spec import ProgramType

pytestmark = pytest.mark.kernel

ZERO = bytes(4)
CHUNK = 20
FIRST, LAST = int(os.environ.get("PROBEE_FUZZ_FIRST", "0")), int(os.environ.get("PROBEE_FUZZ_LAST", "200"))


def in_ir(unit: Unit, data: bytes) -> tuple[int, object, object]:
    machine = IrMachine(unit.programs[0].functions, unit.maps)
    machine.set("data", ZERO, data)
    result = machine.run(bytes(16))
    return result, machine.get("data", ZERO), {key: machine.get("table", key) for key in machine.maps["table"].entries}


def in_kernel(unit: Unit, data: bytes) -> tuple[int, object, object]:
    with Loaded(generate_object(unit, source_name="random", source_text="")) as loaded:
        loaded.maps["data"].update(ZERO, data)
        result = loaded.run()
        return result, loaded.maps["data"].lookup(ZERO), loaded.table("table")


@pytest.mark.parametrize("first", range(FIRST, LAST, CHUNK))
@pytest.mark.parametrize("type", [ProgramType.RAW_TRACEPOINT, ProgramType.XDP], ids=["raw_tp", "xdp"])
def test_random_programs_do_in_the_kernel_what_their_ir_does(first: int, type: int) -> None:
    for seed in range(first, first + CHUNK):
        unit = random_unit(seed, size=10 + seed % 60, atomics=feature.has("atomic_fetch"), program_type=type)
        data = random_input(random.Random(seed))
        assert in_kernel(unit, data) == in_ir(unit, data), f"seed {seed}"
