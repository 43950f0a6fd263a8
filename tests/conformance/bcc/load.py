"""Loads every text that harvest.py collected into this kernel, through our `bcc`: what compiles and is refused is our bug.

    python tests/conformance/bcc/load.py TEXTS [PROGRAM ...]          as root, with tracefs

All texts that compile for this kernel, whichever mode they were made in, and of these all functions whose types load without
something to be made for (fentry's and the like need a kernel that has trampolines).  Nothing is attached.  A line per text with
functions that the verifier refuses, then the sums.  Exit status 1: a function was refused.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from probee.bcc import BPF
from probee.model.spec import ProgramType

LOADABLE = {
    ProgramType.SOCKET_FILTER, ProgramType.KPROBE, ProgramType.SCHED_CLS, ProgramType.TRACEPOINT, ProgramType.XDP,
    ProgramType.PERF_EVENT, ProgramType.RAW_TRACEPOINT,
}  # fmt: skip


def load_text(case: dict[str, Any], sums: Counter[str]) -> list[str]:
    """Load what a text has; return what was refused, with the verifier's last words."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            bpf = BPF(text=case["text"], cflags=case["cflags"])
    except Exception:
        sums["texts that do not compile here"] += 1
        return []
    refused = []
    sums["texts"] += 1
    for program in bpf.module_of().spec.programs:
        if program.type not in LOADABLE:
            sums["functions that are made for another"] += 1
            continue
        sums["functions"] += 1
        types = [program.type, *([ProgramType.SCHED_CLS] if program.type == ProgramType.SOCKET_FILTER else [])]
        why = [load_function(bpf, program.name, type) for type in types]
        if all(why):
            refused.append(f"{program.name}: {why[0]}")
    bpf.cleanup()
    return refused


def load_function(bpf: BPF, name: str, type: int) -> str:
    """Load one function; return what the verifier says against it, "" when nothing."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            bpf.load_func(name, type)
    except Exception as error:
        lines = [line for line in said.getvalue().splitlines() if "ERROR" in line]
        return lines[0] if lines else str(error)
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("texts", type=Path)
    parser.add_argument("program", nargs="*")
    options = parser.parse_args()
    setattr(BPF, "_trace_autoload", lambda self: None)  # noqa: B010  nothing is attached
    sums: Counter[str] = Counter()
    for path in sorted(options.texts.glob("*.json")):
        case = json.loads(path.read_text())
        if options.program and case["program"] not in options.program:
            continue
        refused = load_text(case, sums)
        sums["functions that are refused"] += len(refused)
        if refused:
            print(f"{case['program']} {' '.join(case['arguments'])} ({case['mode']}): {'; '.join(refused)}", flush=True)
    for what, number in sums.items():
        print(f"{what}: {number}")
    return int(sums["functions that are refused"] > 0)


if __name__ == "__main__":
    sys.exit(main())
