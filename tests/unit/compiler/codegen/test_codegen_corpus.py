"""The verifier idioms, in the interpreters: legal IR that returns what it should, before code generation and after it."""

from __future__ import annotations

import pytest

from ir_corpus import CASES, PACKET, Case
from ir_corpus_c import C_CASES
from probee.compiler.codegen.generate import generate_object
from probee.compiler.ir.passes.memory import memory
from probee.compiler.ir.pipeline import optimise
from probee.compiler.ir.unit import Unit
from probee.compiler.ir.verify import verify
from probee.formats.insn.interpret import machine_of, models_of
from probee.model.spec import ProgramType


@pytest.mark.parametrize("case", CASES + C_CASES, ids=lambda case: case.name)
def test_idiom_returns_what_it_should(case: Case) -> None:
    unit, want = case.build()
    assert returned(case, verify(memory(verify(unit)))) == want


@pytest.mark.parametrize("case", C_CASES, ids=lambda case: case.name)
def test_so_it_does_when_optimised(case: Case) -> None:
    unit, want = case.build()
    assert returned(case, optimise(unit, after=lambda name, unit: verify(unit) and None)) == want


def returned(case: Case, unit: Unit) -> int:
    program = generate_object(unit, source_name="corpus", source_text="").programs[0]
    models = models_of(unit.maps.values())
    machine = machine_of(program, models, faults_read_zero=True)
    models["data"].update(bytes(4), case.data)
    packet = PACKET if program.type == ProgramType.XDP else None
    return machine.run(bytes(64), packet=packet).r0
