"""The kernel as judge of the passes: optimised programs are taken by the verifier and do what their IR did as written."""

from __future__ import annotations

import pytest

from codegen_run import Loaded
from ir_corpus import CASES, PACKET, Case
from ir_corpus_c import C_CASES, KERNEL_ONLY
from probee.compiler.codegen.generate import generate_object
from probee.compiler.ir.pipeline import optimise
from probee.compiler.ir.unit import Unit
from probee.compiler.ir.verify import verify
from probee.kernel.features import feature
from probee.model.spec import ProgramType
from random_judge import FIRSTS, assert_chunk_agrees

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("case", CASES + C_CASES + KERNEL_ONLY, ids=lambda case: case.name)
def test_an_optimised_idiom_is_accepted_and_right(case: Case) -> None:
    if case.needs and not feature.has(case.needs):
        pytest.skip(f"this kernel lacks {case.needs}")
    unit, want = case.build()
    unit = optimise(unit, after=lambda name, unit: verify(unit) and None)
    with Loaded(generate_object(unit, source_name="corpus", source_text="")) as loaded:
        loaded.maps["data"].update(bytes(4), case.data)
        assert loaded.run(PACKET) == want


@pytest.mark.parametrize("first", FIRSTS)
@pytest.mark.parametrize("type", [ProgramType.RAW_TRACEPOINT, ProgramType.XDP], ids=["raw_tp", "xdp"])
def test_optimised_random_programs_do_in_the_kernel_what_their_ir_did(first: int, type: int) -> None:
    assert_chunk_agrees(first, type, optimise)


@pytest.mark.parametrize("first", list(FIRSTS)[:3])
def test_so_they_do_with_their_numbers_in_memory(first: int) -> None:
    assert_chunk_agrees(first, ProgramType.RAW_TRACEPOINT, optimise_tight)


def optimise_tight(unit: Unit) -> Unit:
    """What is done to programs that do not fit the stack."""
    unit.options["tight"] = True
    return optimise(unit)
