"""The verifier idioms, in the kernel: the verifier takes them and the programs return what they should."""

from __future__ import annotations

import pytest

from codegen_run import Loaded
from ir_corpus import CASES, PACKET, Case
from ir_corpus_c import C_CASES, KERNEL_ONLY
from probee.compiler.codegen.generate import generate_object
from probee.compiler.ir.passes.memory import memory
from probee.kernel.features import feature

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("case", CASES + C_CASES + KERNEL_ONLY, ids=lambda case: case.name)
def test_idiom_is_accepted_and_right(case: Case) -> None:
    if case.needs and not feature.has(case.needs):
        pytest.skip(f"this kernel lacks {case.needs}")
    unit, want = case.build()
    with Loaded(generate_object(memory(unit), source_name="corpus", source_text="")) as loaded:
        loaded.maps["data"].update(bytes(4), case.data)
        assert loaded.run(PACKET) == want
