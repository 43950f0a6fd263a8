"""Random programs: what code generation makes of them does the same in the instruction interpreter as the IR itself."""

from __future__ import annotations

import os
import random

import pytest

from ir_generator import random_input, random_unit
from ir_interpreter import IrMachine
from probee.compiler.codegen.generate import generate_object
from probee.compiler.ir.unit import Unit
from probee.compiler.ir.verify import verify
from probee.formats.insn.interpret import machine_of, models_of

ZERO = bytes(4)
SEEDS = range(int(os.environ.get("PROBEE_FUZZ_FIRST", "0")), int(os.environ.get("PROBEE_FUZZ_LAST", "240")))


def in_ir(unit: Unit, data: bytes) -> tuple[int, object, object]:
    machine = IrMachine(unit.programs[0].functions, unit.maps)
    machine.set("data", ZERO, data)
    result = machine.run()
    table = {key: machine.get("table", key) for key in machine.maps["table"].entries}
    return result, machine.get("data", ZERO), table


def in_machine_code(unit: Unit, data: bytes) -> tuple[int, object, object]:
    program = generate_object(unit, source_name="random", source_text="").programs[0]
    models = models_of(unit.maps.values())
    machine = machine_of(program, models)
    models["data"].update(ZERO, data)
    result = machine.run()
    return result.r0, models["data"].get(ZERO), models["table"].items()


@pytest.mark.parametrize("seed", SEEDS)
def test_random_program_does_what_its_ir_does(seed: int) -> None:
    unit = verify(random_unit(seed, size=10 + seed % 40))
    data = random_input(random.Random(seed))
    assert in_machine_code(unit, data) == in_ir(unit, data)
