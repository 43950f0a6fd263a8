"""The rungs of the ladder: what is the most that a case needs of a kernel, told from its text.

A rung is what a case waits for while probee grows; each case is on exactly one, the highest that it needs.
"""

from __future__ import annotations

import re

from case import Case

RUNGS = {
    "A": "command line only",
    "B": "errors before anything is loaded",
    "C1": "begin, end and bench",
    "L0": "lists of the kernel's probes",
    "L1": "lists of a program's probes",
    "C2": "interval, profile, software, self",
    "C3": "tracepoint",
    "D": "kprobe, kretprobe",
    "T": "ready-made tools",
    "E": "uprobe, uretprobe",
    "F": "fentry, fexit, rawtracepoint",
    "G": "iter",
    "H": "usdt",
    "I": "DWARF",
    "I2": "inlined functions, source lines",
    "J": "hardware, watchpoint",
    "M": "particular kernel modules",
    "X": "ahead of time, DWARF unwinding",
    "Y": "switched off upstream",
}
NATIVE = ("A", "B", "C1")  # attach to nothing but ourselves
GUEST = ("L0", "C2", "C3", "D", "T")
_BY_PROVIDER = (
    ("H", {"usdt"}), ("G", {"iter"}), ("F", {"fentry", "fexit", "rawtracepoint"}), ("E", {"uprobe", "uretprobe"}),
    ("D", {"kprobe", "kretprobe"}), ("C3", {"tracepoint"}), ("C2", {"interval", "profile", "software", "self"}),
    ("C1", {"begin", "end", "bench"}),
)  # fmt: skip
_PROGRAM = re.compile(r"(^|\s)-v?e\s|(^|\s)- ")
_LISTING = re.compile(r"(^|\s)(-l|-lv|-vl|--list)(\s|$)")
_REFUSED = re.compile(r"ERROR|error:|USAGE|HINT|Invalid")
_MODULES = ("nf_tables", "kvm", "xfs")
_AT_ATTACH = ("attach", "loading BPF", "not allowed in probe")


def rung(case: Case) -> str:
    """Return the case's rung."""
    run = case.given.get("RUN", "")
    features = case.given.get("REQUIRES_FEATURE", "").split()
    if any(command in ('bash -c "exit 1"', "false") for command in case.requires):
        return "Y"
    if "--aot" in run or "dwunwind" in features:
        return "X"
    if any(word in command for word in _MODULES for command in case.requires):
        return "M"
    providers = case.providers
    if case.suite == "tools":
        return "E" if providers & {"uprobe", "uretprobe"} else "T"
    if _LISTING.search(run):
        return _listing(case, features)
    if providers & {"hardware", "watchpoint"}:
        return "J"
    if "dwarf" in features:
        return "I"
    if "blazesym" in features or _shows_lines(case):
        return "I2"
    return _by_program(case, providers)


def _listing(case: Case, features: list[str]) -> str:
    if "dwarf" in features:
        return "I"
    if any(text.startswith("Attached") for _, text in case.expects):
        return _by_program(case, case.providers)
    return "L1" if re.search(r"testprogs|testlibs|(^|\s)-p\s", case.given["RUN"] + "".join(case.requires)) else "L0"


def _shows_lines(case: Case) -> bool:
    """Say whether the case expects a function's source line in a stack."""
    return any("ustack" in case.name and re.search(r"@.*\.c:|inlined", text) for _, text in case.expects)


def _by_program(case: Case, providers: set[str]) -> str:
    if "PROG" not in case.given and not case.script and not _PROGRAM.search(case.given["RUN"]):
        return "A"
    if _refused_early(case):
        return "B"
    for name, kinds in _BY_PROVIDER:
        if providers & kinds:
            return name
    return "A"


def _refused_early(case: Case) -> bool:
    """Say whether the case is refused for its text, whatever probes it names."""
    if "WILL_FAIL" not in case.given or "|" in case.given.get("RUN", "") or case.suite == "probe":
        return False
    texts = [text for _, text in case.expects]
    return any(_REFUSED.search(text) for text in texts) and not any(word in text for word in _AT_ATTACH for text in texts)
