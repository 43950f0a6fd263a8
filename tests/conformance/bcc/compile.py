"""Counts which of bcc's programs compile for a recorded kernel, in every variant that harvest.py found.

    python tests/conformance/bcc/compile.py --target FILE TEXTS [--mode MODE] [--slow N] [PROGRAM ...]

TEXTS is a folder that harvest.py wrote, FILE what `probee target dump` wrote in a kernel with the modules that programs look
into (kvm, rdma_cm, nfs, ...).  Nothing is loaded, no kernel is asked.  A line per program: variants, those that compile, and
the first line of each other error with the arguments that lead to it.  MODE "target" (the default) are the texts for that very
kernel, and for programs that refuse it by themselves what they have for others; "yes" and "no" are the texts that programs make
when each question about the kernel is answered so, for kernels that need not exist.  Functions for USDT probes get two places,
with arguments in registers, and in memory, narrower and constant.

Exit status 1: something of the tools does not compile.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from probee.compiler.compile import compile_c
from probee.errors import ProbeeError
from probee.formats.elf.argument import parse_arguments
from probee.formats.elf.read import X86_64
from probee.formats.target import FileTarget
from probee.model.target import Target
from probee.model.usdt import UsdtPlace

PLACES = (
    "8@%rdi 8@%rsi 8@%rdx 8@%rcx 8@%r8 8@%r9 8@%r10 8@%r11 8@%r12 8@%r13",
    "8@-16(%rbp) -4@8(%rsp) 8@%rax 4@$7 -8@16(%rsp,%rbx,8) 8@%r12 2@%cx 1@%dl 8@(%r13) 8@%r14",
)


class Program:
    """What came of one program's texts."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.refuses = False  # this kernel, by itself
        self.texts = 0
        self.errors: list[tuple[list[str], str]] = []
        self.seconds = 0.0

    @property
    def is_tool(self) -> bool:
        return "/" not in self.name

    def show(self) -> None:
        note = " (refuses this kernel)" if self.refuses else ""
        print(f"{self.name}: {self.texts - len(self.errors)} of {self.texts}{note}", flush=True)
        for arguments, error in self.errors:
            print(f"    {' '.join(arguments)}: {error}")


def places(usdt: dict[str, str]) -> dict[str, tuple[UsdtPlace, ...]]:
    """Return two places for each function that is enabled for a probe."""
    return {function: tuple(_place(probe, text) for text in PLACES) for function, probe in usdt.items()}


def _place(probe: str, text: str) -> UsdtPlace:
    return UsdtPlace("provider", probe, 0x1000, 0, text, lambda: parse_arguments(text, X86_64))


def compile_text(case: dict[str, Any], target: Target) -> str:
    """Return the error of a text, "" when it compiles."""
    try:
        compile_c(case["text"], target, {"cflags": case["cflags"], "usdt": places(case.get("usdt", {}))})
    except ProbeeError as error:
        return error.report().split("\n", maxsplit=1)[0]
    return ""


def cases_of(folder: Path, mode: str, wanted: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the texts of each program."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.json")):
        case = json.loads(path.read_text())
        if mode in ("target", case["mode"]) and (not wanted or case["program"] in wanted):
            found.setdefault(case["program"], []).append(case)
    return found


def count(name: str, cases: list[dict[str, Any]], target: Target, mode: str) -> Program:
    program = Program(name)
    chosen = [case for case in cases if case["mode"] == mode]
    program.refuses = not chosen
    for case in chosen or cases:
        start = time.process_time()
        error = compile_text(case, target)
        program.seconds = max(program.seconds, time.process_time() - start)
        program.texts += 1
        if error:
            program.errors.append((case["arguments"], error))
    program.show()
    return program


def summary(programs: list[Program], slow: int) -> None:
    for title, group in (
        ("tools", [program for program in programs if program.is_tool]),
        ("tools/lib and examples", [program for program in programs if not program.is_tool]),
    ):
        if group:
            whole = sum(not program.errors for program in group)
            texts = sum(program.texts for program in group)
            good = texts - sum(len(program.errors) for program in group)
            print(f"{title}: {whole} of {len(group)} compile in every variant; {good} of {texts} variants")
    for program in sorted(programs, key=lambda program: -program.seconds)[:slow]:
        print(f"slowest of {program.name}: {program.seconds * 1e3:.0f} ms of CPU")
    reasons = Counter(error.partition("ERROR: ")[2] for program in programs for _, error in program.errors)
    for reason, times in reasons.most_common():
        print(f"{times:4}  {reason}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--target", required=True, help="a file written by `probee target dump`")
    parser.add_argument("--mode", choices=("target", "yes", "no"), default="target")
    parser.add_argument("--slow", type=int, default=0, help="tell the slowest programs")
    parser.add_argument("texts", type=Path)
    parser.add_argument("program", nargs="*")
    options = parser.parse_args()
    target = FileTarget(options.target)
    cases = cases_of(options.texts, options.mode, options.program)
    programs = [count(name, texts, target, options.mode) for name, texts in cases.items()]
    summary(programs, options.slow)
    return int(any(program.errors for program in programs if program.is_tool))


if __name__ == "__main__":
    sys.exit(main())
