"""Reads the runtime cases of a bpftrace checkout (tests/runtime/*): one object per case, with what it needs to run.

A file is a list of paragraphs of `DIRECTIVE text` lines; a line that begins with blanks continues PROG or EXPECT.  Nothing
of upstream's is kept in this tree: the path to a checkout comes from the caller.
"""

from __future__ import annotations

import platform
import re
from pathlib import Path

PROVIDERS = {
    "begin": ("begin",), "end": ("end",), "kprobe": ("kprobe", "k"), "kretprobe": ("kretprobe", "kr"),
    "uprobe": ("uprobe", "u"), "uretprobe": ("uretprobe", "ur"), "usdt": ("usdt", "U"), "tracepoint": ("tracepoint", "t"),
    "rawtracepoint": ("rawtracepoint", "rt"), "fentry": ("fentry", "f", "kfunc", "fexit", "fr", "kretfunc"),
    "iter": ("iter", "it"), "profile": ("profile", "p"), "interval": ("interval", "i"), "software": ("software", "s"),
    "hardware": ("hardware", "h"), "watchpoint": ("watchpoint", "w"), "self": ("self",), "bench": ("bench", "test"),
}  # fmt: skip
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"')
_CONTINUED = ("PROG", "EXPECT", "EXPECT_REGEX")
_EXPECTATIONS = ("EXPECT", "EXPECT_NONE", "EXPECT_REGEX", "EXPECT_REGEX_NONE", "EXPECT_FILE", "EXPECT_JSON")


class Case:
    """One case.  `expects` is a list of (directive, text); `given` has every other directive's text by name."""

    def __init__(self, suite: str) -> None:
        self.suite = suite
        self.script = ""  # the text of the script that RUN names
        self.expects: list[tuple[str, str]] = []
        self.given: dict[str, str] = {}
        self.requires: list[str] = []

    @property
    def name(self) -> str:
        return self.given["NAME"]

    @property
    def program(self) -> str:
        """The command line, or the program: where the probes can be seen."""
        return self.given.get("PROG", "") or self.given.get("RUN", "")

    @property
    def providers(self) -> set[str]:
        """Which kinds of probes the program has, as far as its text shows them."""
        text = _STRINGS.sub('""', f"{self.program}\n{self.script}")
        found = {
            name
            for name, words in PROVIDERS.items()
            for word in words
            if re.search(rf"(?:^|[\s,;}}'\"*=]){word}:[^\s:]", text, re.MULTILINE)
        }
        for special in ("begin", "end"):
            if re.search(rf"\b{special}\b", text, re.IGNORECASE):
                found.add(special)
        return found

    @property
    def timeout_s(self) -> int:
        return int(self.given.get("TIMEOUT", "5"))

    @property
    def environment(self) -> dict[str, str]:
        return dict(word.split("=", 1) for word in self.given.get("ENV", "").split())

    @property
    def is_exact(self) -> bool:
        return any(kind in ("EXPECT_FILE", "EXPECT_JSON") for kind, _ in self.expects)


def read_cases(tests: Path) -> list[Case]:
    """Return the cases of all suites below `tests`/runtime that are for this architecture."""
    cases: list[Case] = []
    for path in sorted((tests / "runtime").iterdir()):
        if path.is_file() and not path.name.startswith("."):
            cases.extend(case for case in parse(path.name, path.read_text()) if for_this_machine(case))
    for case in cases:
        named = re.search(r"(\S+\.bt)\b", case.given.get("RUN", ""))
        if named is not None and (tests / named[1]).is_file():
            case.script = (tests / named[1]).read_text()
    return cases


def parse(suite: str, text: str) -> list[Case]:
    """Return the cases of one file's text."""
    cases: list[Case] = []
    lines: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if line:
            lines.append(line)
        elif lines:
            cases.append(_case(suite, lines))
            lines = []
    return cases


def _case(suite: str, lines: list[str]) -> Case:
    case, directive = Case(suite), ""
    for line in lines:
        if directive in _CONTINUED and line[: len(directive) + 1].isspace():
            rest = "\n" + line[len(directive) + 1 :]
            if directive == "PROG":
                case.given["PROG"] += rest
            else:
                kind, before = case.expects[-1]
                case.expects[-1] = kind, before + rest
            continue
        directive, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if directive in _EXPECTATIONS:
            case.expects.append((directive, rest))
        elif directive == "REQUIRES":
            case.requires.append(rest)
        else:
            case.given[directive] = rest
    return case


def for_this_machine(case: Case) -> bool:
    """Say whether ARCH lets the case run here."""
    wanted = [word.strip() for word in case.given.get("ARCH", "").split("|") if word.strip()]
    here = {platform.machine(), "le"}
    refused = {word[1:] for word in wanted if word.startswith("!")}
    required = {word for word in wanted if not word.startswith("!")}
    return not (refused & here) and (not required or bool(required & here))
