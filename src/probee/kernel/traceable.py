"""Which functions a kprobe can sit on.

ftrace's list, tracefs's available_filter_functions (`NAME` or `NAME [MODULE]` per line), is what wildcards mean; without
ftrace it is every function of kallsyms.  Either way without the kernel's own blacklist (debugfs, kprobes/blacklist).  A
kernel without kprobes has none.
"""

from __future__ import annotations

from os.path import isdir

from probee.kernel.symbols.kallsyms import Kallsyms
from probee.kernel.syscalls.pseudofile import read_text

BLACKLIST = "/sys/kernel/debug/kprobes/blacklist"
# The perf PMU for kprobes: Linux commit e12f03d7031a "perf/core: Implement the 'perf_kprobe' PMU" (in v4.17).
KPROBE_PMU = "/sys/bus/event_source/devices/kprobe"


def traceable_lines(tracefs: str | None, kallsyms: Kallsyms) -> list[str]:
    """Return `NAME` or `NAME [MODULE]`, sorted, without repetition; empty when the kernel has no kprobes."""
    return list(dict.fromkeys(all_traceable_lines(tracefs, kallsyms)))


def all_traceable_lines(tracefs: str | None, kallsyms: Kallsyms) -> list[str]:
    """Return such lines, sorted, one for each function: several functions may have one name."""
    if not isdir(KPROBE_PMU):
        return []
    text = read_text(f"{tracefs}/available_filter_functions") if tracefs else ""
    refused = parse_blacklist(read_text(BLACKLIST))
    # A function that was discarded at link time has left a line behind.
    return sorted(
        line
        for line in (text.splitlines() if text else text_symbols(kallsyms))
        if line not in refused and not line.startswith("__ftrace_invalid_address__")
    )


def split_lines(lines: list[str]) -> list[tuple[str, str]]:
    """Return (name, module or "") of each line; the order of the lines is the order of the pairs."""
    return [(line, "") if line[-1] != "]" else _split(line) for line in lines]


def _split(line: str) -> tuple[str, str]:
    name, _, module = line.partition(" ")
    return name, module[1:-1]


def text_symbols(kallsyms: Kallsyms) -> list[str]:
    """Return the functions of kallsyms as such lines, without BPF programs and ftrace's trampolines."""
    return [
        f"{name} [{module}]" if module else name
        for name, letter, module in kallsyms.symbols()
        if letter in "tTwW" and module != "bpf" and not module.startswith("__builtin__")
    ]


def parse_blacklist(text: str) -> frozenset[str]:
    """Read kprobes/blacklist, `0xSTART-0xEND\\tNAME` or `… NAME [MODULE]` per line, as such lines."""
    return frozenset(line.rpartition("\t")[2] for line in text.splitlines())
