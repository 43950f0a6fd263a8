"""Loops over ranges in the kernel: what the verifier makes of their counts."""

from __future__ import annotations

import os

import pytest

from probee.kernel.features import feature
from script_run import lines

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="loading programs needs root"),
]

RANGES = [("cpu", "0", 0), ("cpu - cpu", "3", 3), ("cpu + 5", "cpu", 0), ("-2", "cpu * 0 + 2", 4)]


@pytest.mark.parametrize(("start", "end", "turns"), RANGES)
def test_a_loop_runs_as_often_as_its_range_says(start: str, end: str, turns: int) -> None:
    """The first one the verifier knows to run never: its body, the last function here, must not be left without code."""
    if not feature.has("bpf_loop"):
        pytest.skip("this kernel lacks bpf_loop")
    loop = f"for ($i : (int64)({start})..(int64)({end})) {{ $n++; }}"
    script = f'begin {{ printf("n="); $n = 0; {loop} printf("%d\\n", $n); }} begin {{ exit(); }}'
    assert lines(script) == [f"n={turns}"]
