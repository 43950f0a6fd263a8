"""What a case asks of the machine and of the binary, and why it does not run where that is missing.

Features are read out of `--info`, as upstream's runner does.  A skip is excused when upstream's packaged binary would be
skipped, too: what the kernel lacks, what is not installed, and what its `--info` never says.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

from case import Case
from launch import SHELL
from rung import rung

# REQUIRES_FEATURE → what must be in --info
IN_INFO = {
    "loop": "Loop support: yes", "probe_read_kernel": "probe_read_kernel: yes", "btf": "btf: yes", "fentry": "fentry: yes",
    "dpath": "dpath: yes", "signal": "send_signal: yes", "iter": "iter: yes", "aot": "",
    "libpath_resolv": "bcc library path resolution: yes", "dwarf": "libdw (DWARF support): yes",
    "kprobe_multi": "kprobe_multi: yes", "kprobe_session": "kprobe_session: yes", "uprobe_multi": "uprobe_multi: yes",
    "skboutput": "skboutput: yes", "get_tai_ns": "get_ktime_ns: yes", "get_func_ip": "get_func_ip: yes",
    "jiffies64": "jiffies64: yes", "lookup_percpu_elem": "lookup_percpu_elem: yes",
    "dwunwind": "dwunwind (DWARF stack unwinding): yes", "blazesym": "blazesym (advanced symbolization): yes",
}  # fmt: skip
NEVER_UPSTREAM = {"loop", "libpath_resolv", "get_tai_ns", "aot", "dwunwind"}  # what no packaged bpftrace says yes to
OF_THE_KERNEL = {
    "kprobe_multi", "kprobe_session", "uprobe_multi", "lookup_percpu_elem", "get_func_ip", "jiffies64", "signal", "btf",
    "probe_read_kernel",
}  # fmt: skip
ALONE = {"begin", "end", "interval", "self", "bench"}  # probes that see nothing but ourselves


class Skip:
    """Why a case does not run; `excused` when upstream's binary would not run it either."""

    def __init__(self, why: str, *, excused: bool) -> None:
        self.why = why
        self.excused = excused


class Place:
    """Where cases run: a machine that others use, or a guest that is ours.  `info` gives --info's text."""

    def __init__(self, tests: Path, info: Callable[[], str], *, guest: bool) -> None:
        self.tests = tests
        self.guest = guest
        self._info = info

    def skip(self, case: Case) -> Skip | None:
        """Return why a case does not run here, None when it does."""
        return self._too_wide(case) or self._old_kernel(case) or self._missing_program(case) or self._unmet(case)

    def _too_wide(self, case: Case) -> Skip | None:
        if self.guest or rung(case) in ("A", "B", "L0", "L1"):
            return None
        others = case.providers - ALONE
        return Skip(f"{min(others)} probe: would trace others on this machine", excused=False) if others else None

    def _old_kernel(self, case: Case) -> Skip | None:
        here = version(os.uname().release)
        if version(case.given.get("MIN_KERNEL", "0")) > here:
            return Skip(f"needs Linux {case.given['MIN_KERNEL']}", excused=True)
        if version(case.given.get("MAX_KERNEL", "999")) < here:
            return Skip(f"for Linux up to {case.given['MAX_KERNEL']}", excused=True)
        name, _, value = case.given.get("SKIP_IF_ENV_HAS", "").partition("=")
        return Skip(f"{name} is {value}", excused=True) if name and os.environ.get(name) == value else None

    def _missing_program(self, case: Case) -> Skip | None:
        for program in re.findall(r"\./(test(?:progs|libs)/[\w./-]+)(?![\w./*?\[-])", case.everything):
            if not (self.tests / program.rstrip(".")).exists():
                return Skip(f"{program} could not be built", excused=True)
        return None

    def _unmet(self, case: Case) -> Skip | None:
        for feature in case.given.get("REQUIRES_FEATURE", "").split():
            name = feature.lstrip("!")
            if self.has(name) == feature.startswith("!"):
                excused = name in NEVER_UPSTREAM | OF_THE_KERNEL or feature.startswith("!")
                return Skip(f"feature {feature}", excused=excused)
        for command in case.requires:
            if not met(command, str(self.tests)):
                return Skip(f"unmet: {command}", excused=True)
        return None

    def has(self, feature: str) -> bool:
        """Say whether --info says so."""
        text = IN_INFO[feature]
        return bool(text) and text in self._info()


@cache
def met(command: str, tests: str) -> bool:
    """Say whether a shell command ends well."""
    return subprocess.run([SHELL, "-c", command], capture_output=True, check=False, cwd=tests).returncode == 0


def version(text: str) -> tuple[int, ...]:
    """Return a kernel version's numbers: two of them are compared."""
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])
