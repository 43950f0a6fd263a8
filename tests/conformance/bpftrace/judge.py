"""Compares what a case printed, and how it ended, with what it expects: the rules of upstream's own engine."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

from case import Case

KEPT_CHARACTERS = 20_000  # of an output


class Result:
    """`status` is passed, failed or skipped; `why` in a few words; `excused` when upstream's binary would be skipped, too."""

    __slots__ = ("excused", "output", "seconds", "status", "why")

    def __init__(self, status: str, why: str = "", output: str = "", *, seconds: float = 0.0, excused: bool = False) -> None:
        self.status = status
        self.why = why
        self.output = output if len(output) <= KEPT_CHARACTERS else output[: KEPT_CHARACTERS // 2] + "\n[…]\n" + output[-2000:]
        self.seconds = seconds
        self.excused = excused

    def as_dict(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> Result:
        result = cls("")
        for name in cls.__slots__:
            setattr(result, name, values[name])
        return result


def judge(case: Case, output: str, status: int, tests: Path, *, timed_out: bool) -> Result:
    """Return how a case did.

    A case whose time was up is judged by its output only: how it ends then is the engine's doing.
    """
    missing = [f"{kind} {text}" for kind, text in case.expects if not matches(kind, text, output, case, tests)]
    if missing:
        return Result("failed", ("time is up: " if timed_out else "") + _why(output, missing[0]), output)
    if timed_out:
        return Result("passed", "", output)
    if "WILL_FAIL" in case.given:
        return Result("passed", "", output) if status else Result("failed", "ought to fail", output)
    if status == case.return_code:
        return Result("passed", "", output)
    return Result("failed", f"exit status {status}: {_why(output, '')}", output)


def satisfied(case: Case, output: str, tests: Path) -> bool:
    """Say whether a running case has already printed all that it ought to; never when it ought not to print something."""
    if not case.expects or any(kind.endswith("NONE") for kind, _ in case.expects):
        return False
    return all(matches(kind, text, output, case, tests) for kind, text in case.expects)


def matches(kind: str, text: str, output: str, case: Case, tests: Path) -> bool:
    """Say whether an expectation is met."""
    if kind in ("EXPECT", "EXPECT_NONE"):
        return bool(re.search(rf"^\s*{re.escape(text)}\s*$", output, re.MULTILINE)) == (kind == "EXPECT")
    if kind in ("EXPECT_REGEX", "EXPECT_REGEX_NONE"):
        return bool(re.search(text, output, re.MULTILINE)) == (kind == "EXPECT_REGEX")
    wanted = (tests / text).read_text().strip()
    if kind == "EXPECT_FILE":
        at = case.given.get("LOCALIZE_TIMESTAMPS")
        return output.strip() == (time.strftime(wanted, time.localtime(int(at))) if at else wanted)
    return _same_json(output.strip(), wanted, lines=text.endswith(".ndjson"))


def _same_json(output: str, wanted: str, *, lines: bool) -> bool:
    try:
        if lines:
            return [json.loads(line) for line in output.splitlines()] == [json.loads(line) for line in wanted.splitlines()]
        return len(output.splitlines()) == 1 and bool(json.loads(output) == json.loads(wanted))
    except ValueError:
        return False


def _why(output: str, missing: str) -> str:
    lines = output.splitlines()
    if "Traceback (most recent call last)" in output:
        return f"traceback: {lines[-1][:140]}"
    for line in lines:
        if re.search(r"ERROR:|Error:|error:", line):
            return line[:160]
    return f"no {missing[:120]!r} in {output[-160:]!r}"
