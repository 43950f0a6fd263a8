"""The ready-made scripts of a checkout (tools/*.bt) as a suite: each is listed, and attached without being run."""

from __future__ import annotations

import fnmatch
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

from case import Case
from judge import Result

TIMEOUT_S = "10"
FUNCTIONS = Path("/sys/kernel/tracing/available_filter_functions")
MODULES = ("md_mod", "xfs")


def tool_cases(tools: Path) -> list[Case]:
    """Return two cases per script: what upstream's tools-parsing-test does."""
    cases = []
    for path in sorted(tools.glob("*.bt")):
        text = path.read_text()
        name, file = path.name, shlex.quote(str(path))
        cases.append(tool_case(f"{name} is listed", "{{BPFTRACE}} -l " + file, text, [("EXPECT_REGEX", r"^\w+:\S")]))
        cases.append(tool_case(f"{name} attaches", "{{BPFTRACE}} --unsafe -v --dry-run " + file, text, []))
    return cases


def load_modules() -> None:
    """Load the kernel modules whose functions some tools trace, as far as the guest has them."""
    for name in MODULES:
        subprocess.run(["modprobe", name], capture_output=True, check=False)


def second_chance(case: Case, run: Callable[[Case], Result], output_of: Callable[[list[str]], str]) -> Result | None:
    """Return what a tool that failed does after all, else None.

    Upstream's script skips a tool of which the kernel has no probe at all, and there are older versions of some for
    kernels whose structures were different.
    """
    path = Path(shlex.split(case.given["RUN"])[-1])
    listed = output_of(["-l", str(path)])
    if not listed.strip():
        return Result("skipped", "this kernel has none of the tool's probes", excused=True)
    if case.name.endswith("is listed") and _is_about_missing(listed, FUNCTIONS):
        return Result("skipped", "this kernel has not all of the tool's functions, so that it is not listed", excused=True)
    older = path.parent / "old" / path.name
    if not older.exists():
        return None
    other = tool_case(case.name, case.given["RUN"].replace(str(path), str(older)), older.read_text(), case.expects)
    result = run(other)
    result.why = result.why or f"{older.parent.name}/{older.name}, for older kernels"
    return result if result.status == "passed" else None


def _is_about_missing(printed: str, functions: Path) -> bool:
    """Say whether an error is that there is no such function, and whether that is true."""
    named = re.search(r"ERROR: No matches for k(?:ret)?probe (\S+)\.$", printed, re.MULTILINE)
    if named is None or not functions.exists():
        return False
    return not fnmatch.filter((line.partition(" ")[0].strip() for line in functions.read_text().splitlines()), named[1])


def tool_case(name: str, run: str, script: str, expects: list[tuple[str, str]]) -> Case:
    """Return a case of the suite."""
    case = Case("tools")
    case.given = {"NAME": name, "RUN": run, "TIMEOUT": TIMEOUT_S}
    case.script = script
    case.expects = expects
    return case
