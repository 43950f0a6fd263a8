"""The kernel as judge of code generation: random programs leave the same maps as their IR, and the verifier takes them."""

from __future__ import annotations

import pytest

from probee.model.spec import ProgramType
from random_judge import FIRSTS, assert_chunk_agrees

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("first", FIRSTS)
@pytest.mark.parametrize("type", [ProgramType.RAW_TRACEPOINT, ProgramType.XDP], ids=["raw_tp", "xdp"])
def test_random_programs_do_in_the_kernel_what_their_ir_does(first: int, type: int) -> None:
    assert_chunk_agrees(first, type)
