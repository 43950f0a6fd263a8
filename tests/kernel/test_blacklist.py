"""Functions that the kernel lets nobody probe: the error says so, and the other probes go on where the script wants that."""

from __future__ import annotations

import subprocess
import sys

import pytest

from probee.kernel.syscalls.pseudofile import read_text
from probee.kernel.traceable import BLACKLIST, parse_blacklist

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("kprobes"), pytest.mark.timeout(240)]

ENTRIES = ("exc_page_fault", "asm_exc_page_fault", "do_page_fault")  # what handles page faults is on every kernel's list


@pytest.fixture(scope="module")
def refused() -> str:
    found = parse_blacklist(read_text(BLACKLIST))
    return next((name for name in ENTRIES if name in found), "") or pytest.skip("debugfs shows no blacklist here")


def probee(script: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "probee", "-e", script]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)


def test_a_function_on_the_blacklist_is_an_error(refused: str) -> None:
    done = probee(f"kprobe:{refused} {{ @++ }}")
    assert done.returncode != 0
    assert f"kprobe:{refused}" in done.stderr or f"kprobe {refused}" in done.stderr
    assert "on the kprobe blacklist" in done.stderr or "is not traceable" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_other_probes_go_on(refused: str) -> None:
    done = probee(f"config = {{ missing_probes = warn }} kprobe:{refused} {{ @++ }} interval:ms:10 {{ exit(); }}")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert refused in done.stderr and "Attached 1 probe\n" in done.stderr
