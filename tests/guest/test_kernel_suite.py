"""The tests of tests/kernel, run inside the guests: on 6.12 all that need what this machine may lack, on the others a few.

What needs no more than begin probes and programs of our own stays outside, the judges of random programs above all: they take
an emulated machine ten minutes, and this machine's kernel judges, too.
"""

from __future__ import annotations

import re
import sys

import pytest

from probee.lab import Guest
from session import ROOT

DIFFERENT = [
    "test_btf_load.py",
    "test_kernel_links.py",
    "test_kernel_programs.py",
    "test_codegen_corpus_loads.py",
    "test_c_kinds.py",
    "test_every_kind.py",
    "test_sideband.py",
    "test_namesakes.py",
]
OUTSIDE = {
    "test_bcc_network.py", "test_bcc_programs.py", "test_bcc_tables.py", "test_bcc_usdt.py", "test_cli_live.py",
    "test_codegen_judges.py", "test_interpret_helper_matches_kernel.py", "test_interpret_matches_kernel.py", "test_lab.py",
    "test_map_families.py", "test_network_links.py", "test_passes_judges.py", "test_passes_large_memory.py",
    "test_passes_local.py", "test_passes_stack.py", "test_perf_ring.py", "test_preemption.py", "test_runtime_generated.py",
    "test_runtime_trial.py", "test_uprobe.py", "test_uprobe_args.py", "test_uprobe_process.py", "test_uprobe_source.py",
    "test_user_debuginfo.py", "test_user_stack.py", "test_user_symbols.py",
}  # fmt: skip
SUITES = {
    "5.10": [*DIFFERENT, "test_c_programs_load.py", "test_packet.py"],
    "6.1": [
        *DIFFERENT, "test_c_programs_load.py", "test_hook_links.py", "test_kernel_features.py", "test_kernel_maps.py",
        "test_listing.py", "test_network_links.py", "test_runtime_session.py",
    ],
    "6.12": sorted(path.name for path in (ROOT / "tests" / "kernel").glob("test_*.py") if path.name not in OUTSIDE),
    "7.3": [*DIFFERENT, "test_c_programs_load.py", "test_preemption.py"],
}


@pytest.mark.timeout(1600)
def test_the_kernel_suite_passes_in_the_guest(guest: Guest) -> None:
    family = re.match(r"\d+\.\d+", guest.version)
    assert family is not None
    files = [f"tests/kernel/{name}" for name in SUITES.get(family[0], DIFFERENT)]
    command = [sys.executable, "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider", "--timeout", "400", *files]
    result = guest.run(command, cwd=str(ROOT), timeout_s=1500)
    print(result.stdout[-4000:])  # what was skipped and why, with -s or on failure
    assert result.status == 0, result.stdout[-8000:] + result.stderr[-2000:]
    assert re.search(r"\d+ passed", result.stdout)
