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
needs_compiler = pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc here: the system's C compiler is the judge")
TYPEDEFS = """
typedef unsigned char u8; typedef signed char s8; typedef unsigned short u16; typedef short s16; typedef unsigned int u32;
typedef int s32; typedef unsigned long long u64; typedef long long s64; typedef _Bool bool;
"""


def natively(functions: list[str], folder: Path, preamble: str = "") -> list[list[int]]:
    """Return what the system's compiler makes of the functions f0, f1 … : a list of results for each."""
    text = ["#include <stdio.h>", TYPEDEFS, preamble, *functions, "int main(void) {"]
    for number in range(len(functions)):
        text += [f'printf("%llu\\n", f{number}({a}ULL, {b}ULL));' for a, b in ARGUMENTS]
    text.append("return 0; }")
    source, program = folder / "functions.c", folder / "functions"
    source.write_text("\n".join(text))
    subprocess.run(["gcc", "-w", "-O1", "-fwrapv", "-fsigned-char", "-o", program, source], check=True, capture_output=True)
    out = subprocess.run([program], check=True, capture_output=True, text=True).stdout.split()
    size = len(ARGUMENTS)
    return [[int(number) for number in out[at : at + size]] for at in range(0, len(out), size)]


def ours(function: str) -> list[int]:
    """Return what our compiler makes of a function f."""
    run = CRun(function.replace("u64 f(", "u64 f(struct pt_regs *ctx, "))
    return [run.call("f", *arguments) for arguments in ARGUMENTS]


SEMANTICS = {
    case.partition("\n")[0].strip(): case.partition("\n")[2]
    for case in (Path(__file__).parent / "semantics.c").read_text().split("\n///")[1:]
}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[int]]:
    """What the system's compiler makes of the cases of semantics.c."""
    functions = [case.replace("u64 f(", f"static u64 f{number}(") for number, case in enumerate(SEMANTICS.values())]
    return dict(zip(SEMANTICS, natively(functions, tmp_path_factory.mktemp("semantics")), strict=True))


@needs_compiler
@pytest.mark.parametrize("name", SEMANTICS)
def test_a_rule_of_the_language_is_understood_as_the_system_compiler_does(name: str, expected: dict[str, list[int]]) -> None:
    assert ours(SEMANTICS[name]) == expected[name]


@needs_compiler
def test_random_functions_return_what_the_system_compiler_makes_of_them(tmp_path: Path) -> None:
    seed = int(os.environ.get("PROBEE_FUZZ_SEED", "0")) or Random().getrandbits(32)
    functions = [f"u64 f(u64 a, u64 b) {{\n{generate(Random(f'{seed}-{number}'))}\n}}" for number in range(N_FUNCTIONS)]
    named = [each.replace("u64 f(", f"static u64 f{number}(", 1) for number, each in enumerate(functions)]
    found = natively(named, tmp_path, PREAMBLE)
    for number, (function, results) in enumerate(zip(functions, found, strict=True)):
        assert ours(PREAMBLE + function) == results, f"seed {seed}, function {number}:\n{function}"
