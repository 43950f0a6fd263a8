"""The kernel as judge of the passes: optimised programs are taken by the verifier and do what their IR did as written.

Run natively or in a guest.  PROBEE_FUZZ_FIRST and PROBEE_FUZZ_LAST choose the seeds of a longer run.
"""

from __future__ import annotations

import os
import random

import pytest

from codegen_run import Loaded
from ir_corpus import CASES, PACKET, Case
from ir_generator import random_input, random_unit
from ir_interpreter import IrMachine
from probee.compiler.codegen.generate import generate_object
from probee.compiler.ir.pipeline import optimise
from probee.compiler.ir.unit import Unit
from probee.compiler.ir.verify import verify
from probee.kernel.features import feature
from probee.model.spec import ProgramType

pytestmark = pytest.mark.kernel

ZERO = bytes(4)
CHUNK = 20
FIRST, LAST = int(os.environ.get("PROBEE_FUZZ_FIRST", "0")), int(os.environ.get("PROBEE_FUZZ_LAST", "200"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_optimised_idiom_is_accepted_and_right(case: Case) -> None:
    if case.needs and not feature.has(case.needs):
        pytest.skip(f"this kernel lacks {case.needs}")
    unit, want = case.build()
    unit = optimise(unit, after=lambda name, unit: verify(unit) and None)
    with Loaded(generate_object(unit, source_name="corpus", source_text="")) as loaded:
        loaded.maps["data"].update(bytes(4), case.data)
        assert loaded.run(PACKET) == want


def in_ir(unit: Unit, data: bytes) -> tuple[int, object, object]:
    machine = IrMachine(unit.programs[0].functions, unit.maps)
    machine.set("data", ZERO, data)
    result = machine.run(bytes(16))
    return result, machine.get("data", ZERO), {key: machine.get("table", key) for key in machine.maps["table"].entries}


def in_kernel(unit: Unit, data: bytes) -> tuple[int, object, object]:
    with Loaded(generate_object(optimise(unit), source_name="random", source_text="")) as loaded:
        loaded.maps["data"].update(ZERO, data)
        result = loaded.run()
        return result, loaded.maps["data"].lookup(ZERO), loaded.table("table")


@pytest.mark.parametrize("first", range(FIRST, LAST, CHUNK))
@pytest.mark.parametrize("type", [ProgramType.RAW_TRACEPOINT, ProgramType.XDP], ids=["raw_tp", "xdp"])
def test_optimised_random_programs_do_in_the_kernel_what_their_ir_did(first: int, type: int) -> None:
    for seed in range(first, first + CHUNK):
        unit = random_unit(seed, size=10 + seed % 60, atomics=feature.has("atomic_fetch"), program_type=type)
        data = random_input(random.Random(seed))
        wanted = in_ir(unit, data)
        assert in_kernel(unit, data) == wanted, f"seed {seed}"
