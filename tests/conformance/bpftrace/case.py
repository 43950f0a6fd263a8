"""The runtime cases of a bpftrace checkout (tests/runtime/*): one object per case, with what it needs to run.

A file is a list of paragraphs of `DIRECTIVE text` lines; a line that begins with blanks continues PROG or EXPECT.  Nothing
of upstream's is kept in this tree: the path to a checkout comes from the caller.  Our own cases are written the same way.
"""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from collections import Counter
from pathlib import Path

PROVIDERS = {
    "begin": ("begin",), "end": ("end",), "kprobe": ("kprobe", "k"), "kretprobe": ("kretprobe", "kr"),
    "uprobe": ("uprobe", "u"), "uretprobe": ("uretprobe", "ur"), "usdt": ("usdt", "U"), "tracepoint": ("tracepoint", "t"),
    "rawtracepoint": ("rawtracepoint", "rt"), "fentry": ("fentry", "f", "kfunc"), "fexit": ("fexit", "fr", "kretfunc"),
    "iter": ("iter", "it"), "profile": ("profile", "p"), "interval": ("interval", "i"), "software": ("software", "s"),
    "hardware": ("hardware", "h"), "watchpoint": ("watchpoint", "w"), "self": ("self",), "bench": ("bench", "test"),
}  # fmt: skip
EXPECTATIONS = ("EXPECT", "EXPECT_NONE", "EXPECT_REGEX", "EXPECT_REGEX_NONE", "EXPECT_FILE", "EXPECT_JSON")
DIRECTIVES = {
    *EXPECTATIONS, "NAME", "RUN", "PROG", "TIMEOUT", "BEFORE", "AFTER", "SETUP", "CLEANUP", "MIN_KERNEL", "MAX_KERNEL",
    "REQUIRES", "ENV", "ARCH", "REQUIRES_FEATURE", "WILL_FAIL", "NEW_PIDNS", "SKIP_IF_ENV_HAS", "RETURN_CODE",
    "LOCALIZE_TIMESTAMPS",
}  # fmt: skip
_CONTINUED = ("PROG", "EXPECT", "EXPECT_REGEX")
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"')


class Case:
    """One case.  `expects` is a list of (directive, text); `given` has every other directive's text by name."""

    def __init__(self, suite: str) -> None:
        self.suite = suite
        self.number = 1  # of those with the same name in their suite
        self.script = ""  # the text of the script that RUN names
        self.expects: list[tuple[str, str]] = []
        self.given: dict[str, str] = {}
        self.requires: list[str] = []
        self.befores: list[str] = []

    @property
    def name(self) -> str:
        return self.given["NAME"]

    @property
    def ident(self) -> str:
        """What names the case in all suites: names inside a suite occur twice."""
        return f"{self.suite}.{self.name}" + (f"#{self.number}" if self.number > 1 else "")

    @property
    def program(self) -> str:
        """The command line, or the program: where the probes can be seen."""
        return self.given.get("PROG", "") or self.given.get("RUN", "")

    @property
    def providers(self) -> set[str]:
        """Which kinds of probes the program has, as far as its text shows them."""
        text = f"{self.program}\n{self.script}"
        return _providers(_STRINGS.sub('""', text)) or _providers(text)  # a shell's quotes may be around the program

    @property
    def timeout_s(self) -> int:
        return int(self.given.get("TIMEOUT", "5"))

    @property
    def return_code(self) -> int:
        return int(self.given.get("RETURN_CODE", "0"))

    @property
    def environment(self) -> dict[str, str]:
        return dict(word.split("=", 1) for word in self.given.get("ENV", "").split())

    @property
    def is_exact(self) -> bool:
        """Say whether all that is printed is compared, from the attach notice on."""
        return any(kind in ("EXPECT_FILE", "EXPECT_JSON") for kind, _ in self.expects)

    @property
    def everything(self) -> str:
        """All text of the case."""
        given = [f"{name} {text}" for name, text in self.given.items()]
        lists = [f"{kind} {text}" for kind, text in self.expects] + self.requires + self.befores
        return "\n".join([self.suite, *given, *lists, self.script])

    def key(self, tests: Path) -> str:
        """Return a digest of the case and of what it is compared with."""
        digest = hashlib.sha256(self.everything.encode())
        for kind, text in self.expects:
            if kind in ("EXPECT_FILE", "EXPECT_JSON"):
                digest.update((tests / text).read_bytes())
        return digest.hexdigest()[:24]


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
    return number(cases)


def number(cases: list[Case]) -> list[Case]:
    """Give cases of the same name in the same suite numbers."""
    seen: Counter[tuple[str, str]] = Counter()
    for case in cases:
        seen[case.suite, case.name] += 1
        case.number = seen[case.suite, case.name]
    return cases


def parse(suite: str, text: str) -> list[Case]:
    """Return the cases of one file's text; comment lines at a file's end swallow its last case, as with upstream's reader."""
    cases: list[Case] = []
    lines: list[str] = []
    all_lines = text.splitlines()
    for at, line in enumerate(all_lines, 1):
        if line.startswith("#"):
            continue
        if line:
            lines.append(line)
        if lines and (not line or at == len(all_lines)):
            cases.append(_case(suite, lines))
            lines = []
    return cases


def _case(suite: str, lines: list[str]) -> Case:
    case, directive = Case(suite), ""
    for line in lines:
        if directive in _CONTINUED and line[: len(directive) + 1].isspace():
            _go_on(case, directive, "\n" + line[len(directive) + 1 :])
            continue
        directive, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if directive not in DIRECTIVES:
            raise ValueError(f"{suite}: {directive} is not a directive")
        if directive in EXPECTATIONS:
            case.expects.append((directive, rest))
        elif directive == "REQUIRES":
            case.requires.append(rest)
        elif directive == "BEFORE":
            case.befores.append(rest)
        else:
            case.given[directive] = rest
    return case


def _providers(text: str) -> set[str]:
    found = set()
    for name, words in PROVIDERS.items():
        for word in words:
            follows = r"\S" if len(word) > 2 else r"(?!\d+\s*[,;])[^\s:]"  # `h:2,` is a bit field
            if re.search(rf"(?:^|[\s,;}}'\"*=]){word}:{follows}", text, re.MULTILINE):
                found.add(name)
    return found | {special for special in ("begin", "end") if re.search(rf"\b{special}\b", text, re.IGNORECASE)}


def _go_on(case: Case, directive: str, text: str) -> None:
    if directive == "PROG":
        case.given["PROG"] += text
    else:
        kind, before = case.expects[-1]
        case.expects[-1] = kind, before + text


def for_this_machine(case: Case) -> bool:
    """Say whether ARCH lets the case run here."""
    wanted = [word.strip() for word in case.given.get("ARCH", "").split("|") if word.strip()]
    here = {platform.machine().lower(), "be" if sys.byteorder == "big" else "le"}
    refused = {word[1:] for word in wanted if word.startswith("!")}
    required = {word for word in wanted if not word.startswith("!")}
    return not (refused & here) and (not required or bool(required & here))
