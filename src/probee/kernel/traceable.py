"""Which functions a kprobe can sit on.

ftrace's list, tracefs's available_filter_functions (`NAME` or `NAME [MODULE]` per line), is what wildcards mean; without
ftrace it is every function of kallsyms.  Either way without the kernel's own blacklist (debugfs, kprobes/blacklist).  A
kernel without kprobes has none.
"""

from __future__ import annotations

from os.path import isdir

from probee.kernel.symbols.kallsyms import Kallsyms

BLACKLIST = "/sys/kernel/debug/kprobes/blacklist"
# The perf PMU for kprobes: Linux commit e12f03d7031a "perf/core: Implement the 'perf_kprobe' PMU" (in v4.17).
KPROBE_PMU = "/sys/bus/event_source/devices/kprobe"


def traceable_functions(tracefs: str | None, kallsyms: Kallsyms) -> list[tuple[str, str]]:
    """Return sorted (name, module or "") without repetition; empty when the kernel has no kprobes."""
    if not isdir(KPROBE_PMU):
        return []
    text = _read(f"{tracefs}/available_filter_functions") if tracefs else ""
    found = parse_filter_functions(text) if text else text_symbols(kallsyms)
    refused = parse_blacklist(_read(BLACKLIST))
    return sorted(pair for pair in found if pair[0] not in refused)


def parse_filter_functions(text: str) -> set[tuple[str, str]]:
    """Read available_filter_functions."""
    found = set()
    for line in text.splitlines():
        name, _, module = line.partition(" ")
        if not name.startswith("__ftrace_invalid_address__"):  # a function that was discarded at link time
            found.add((name, module[1:-1]))
    return found


def text_symbols(kallsyms: Kallsyms) -> set[tuple[str, str]]:
    """Return the functions of kallsyms, without those that BPF programs and ftrace trampolines are listed as."""
    return {
        (name, module)
        for name, letter, module in kallsyms.symbols()
        if letter in "tTwW" and module != "bpf" and not module.startswith("__builtin__")
    }


def parse_blacklist(text: str) -> frozenset[str]:
    """Read the names of kprobes/blacklist: `0xSTART-0xEND\\tNAME` per line."""
    return frozenset(line.rpartition("\t")[2] for line in text.splitlines())


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
