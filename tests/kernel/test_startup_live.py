"""A cached start, whole, on a kernel: what it imports and how much memory it takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from startup_path import unwanted

pytestmark = pytest.mark.kernel

SCRIPT = "BEGIN { @a[1] = count(); @b = hist(3); printf(\"%d %s\\n\", pid, comm); exit(); }"
RESIDENT_KB = 35 << 10
PROGRAM = """
import sys
from probee.cli.main import main

status = main(["-e", sys.argv[1]])
modules = list(sys.modules)
with open("/proc/self/status") as file:
    peak = next(line.split()[1] for line in file if line.startswith("VmHWM:"))
print("MODULES", peak, *modules)
sys.exit(status)
"""


def run(script: str, home: Path) -> tuple[int, list[str]]:
    """Run a script in a process of its own; return its peak memory in KB, and what was imported."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    words = [sys.executable, "-c", PROGRAM, script]
    done = subprocess.run(words, env={**env, "XDG_CACHE_HOME": str(home)}, capture_output=True, text=True, check=True)
    _, peak, *modules = done.stdout[done.stdout.rindex("MODULES") :].split()
    return int(peak), modules


def test_a_cached_start_imports_nothing_expensive_and_stays_small(tmp_path: Path) -> None:
    assert "probee.compiler.compile" in run(SCRIPT, tmp_path)[1]
    peak, modules = run(SCRIPT, tmp_path)
    ours = modules[modules.index("probee") :]  # what comes before is the interpreter's own
    assert "probee.runtime.session" in ours
    assert unwanted(ours) == []
    assert peak < RESIDENT_KB


def test_symbols_of_the_kernel_fit_into_the_budget_for_memory(tmp_path: Path) -> None:
    script = 'BEGIN { printf("%s\\n", kstack(3)); exit(); }'
    run(script, tmp_path)
    peak, modules = run(script, tmp_path)
    assert "probee.kernel.symbols.kallsyms" in modules
    assert peak < RESIDENT_KB
