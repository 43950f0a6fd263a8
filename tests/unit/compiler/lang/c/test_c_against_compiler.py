"""The meaning of C: random functions return what the system's C compiler makes of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from random import Random

import pytest

from c_generator import PREAMBLE, generate
from c_harness import CRun

N_FUNCTIONS = int(os.environ.get("PROBEE_FUZZ_N", "60"))
ARGUMENTS = [(0, 0), (1, 2), ((1 << 64) - 1, 1 << 63), (0x1234_5678_9ABC_DEF0, 0xFFFF_FFFF), (0x80, 0x8000_7FFF)]
TYPEDEFS = """
typedef unsigned char u8; typedef signed char s8; typedef unsigned short u16; typedef short s16; typedef unsigned int u32;
typedef int s32; typedef unsigned long long u64; typedef long long s64; typedef _Bool bool;
"""


def natively(functions: list[str], folder: Path) -> list[list[int]]:
    """Return what the system's compiler makes of the functions: a list of results for each."""
    text = ["#include <stdio.h>", TYPEDEFS, PREAMBLE]
    text += [f"static u64 f{number}(u64 a, u64 b) {{\n{body}\n}}" for number, body in enumerate(functions)]
    text.append("int main(void) {")
    for number in range(len(functions)):
        text += [f'printf("%llu\\n", f{number}({a}ULL, {b}ULL));' for a, b in ARGUMENTS]
    text.append("return 0; }")
    source, program = folder / "functions.c", folder / "functions"
    source.write_text("\n".join(text))
    subprocess.run(["gcc", "-w", "-O1", "-fwrapv", "-fsigned-char", "-o", program, source], check=True)
    out = subprocess.run([program], check=True, capture_output=True, text=True).stdout.split()
    size = len(ARGUMENTS)
    return [[int(number) for number in out[at : at + size]] for at in range(0, len(out), size)]


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc on this machine: the system's C compiler is the judge")
def test_random_functions_return_what_the_system_compiler_makes_of_them(tmp_path: Path) -> None:
    seed = int(os.environ.get("PROBEE_FUZZ_SEED", "0")) or Random().getrandbits(32)
    functions = [generate(Random(f"{seed}-{number}")) for number in range(N_FUNCTIONS)]
    expected = natively(functions, tmp_path)
    for number, body in enumerate(functions):
        text = f"{PREAMBLE}\nu64 f(struct pt_regs *ctx, u64 a, u64 b) {{\n{body}\n}}\n"
        run = CRun(text)
        found = [run.call("f", *arguments) for arguments in ARGUMENTS]
        assert found == expected[number], f"seed {seed}, function {number}:\n{body}"
