"""Random programs: they do the same after every pass, and stay legal."""

from __future__ import annotations

import os
import random

import pytest

from ir_generator import random_input, random_unit
from ir_interpreter import IrMachine
from probee.compiler.ir.pipeline import optimise
from probee.compiler.ir.unit import Unit
from probee.compiler.ir.verify import verify

ZERO = bytes(4)
SEEDS = range(int(os.environ.get("PROBEE_FUZZ_FIRST", "0")), int(os.environ.get("PROBEE_FUZZ_LAST", "120")))


def outcome(unit: Unit, data: bytes) -> tuple[int, object, object]:
    machine = IrMachine(unit.programs[0].functions, unit.maps)
    machine.set("data", ZERO, data)
    result = machine.run()
    return result, machine.get("data", ZERO), {key: machine.get("table", key) for key in machine.maps["table"].entries}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_program_does_the_same_after_every_pass(seed: int) -> None:
    unit = verify(random_unit(seed, size=10 + seed % 40))
    inputs = [random_input(random.Random(seed + number)) for number in range(3)]
    wanted = [outcome(unit, data) for data in inputs]

    def check(name: str, unit: Unit) -> None:
        verify(unit)
        for data, want in zip(inputs, wanted, strict=True):
            assert outcome(unit, data) == want, name

    optimise(unit, after=check)
