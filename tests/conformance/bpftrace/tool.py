"""The ready-made scripts of a checkout (tools/*.bt) as a suite: each is listed, and attached without being run."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from case import Case
from judge import Result

TIMEOUT_S = "10"


def tool_cases(tools: Path) -> list[Case]:
    """Return two cases per script: what upstream's tools-parsing-test does."""
    cases = []
    for path in sorted(tools.glob("*.bt")):
        text = path.read_text()
        cases.append(_case(f"{path.name} is listed", f"-l {shlex.quote(str(path))}", text, [("EXPECT_REGEX", r"^\w+:\S")]))
        cases.append(_case(f"{path.name} attaches", f"--unsafe -v --dry-run {shlex.quote(str(path))}", text, []))
    return cases


def without_probes(case: Case, list_probes: Callable[[list[str]], str]) -> Result | None:
    """Return the result of a tool of which this kernel has no probe at all, which upstream's script skips; else None."""
    path = shlex.split(case.given["RUN"])[-1]
    if list_probes(["-l", path]).strip():
        return None
    return Result("skipped", "this kernel has none of the tool's probes", excused=True)


def _case(name: str, words: str, script: str, expects: list[tuple[str, str]]) -> Case:
    case = Case("tools")
    case.given = {"NAME": name, "RUN": "{{BPFTRACE}} " + words, "TIMEOUT": TIMEOUT_S}
    case.script = script
    case.expects = expects
    return case
