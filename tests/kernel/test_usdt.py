"""USDT probes, from script to output: a C program of our own with notes as <sys/sdt.h> makes them, and the system's Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from probee.kernel.features.feature import has

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(240)]

SOURCE = r"""
#define NOTE(provider, name, semaphore, arguments, ...) \
    asm volatile("990: nop\n" \
        ".pushsection .note.stapsdt,\"\",\"note\"\n .balign 4\n .4byte 992f-991f, 994f-993f, 3\n" \
        "991: .asciz \"stapsdt\"\n 992: .balign 4\n" \
        "993: .8byte 990b\n .8byte _.stapsdt.base\n .8byte " semaphore "\n" \
        " .asciz \"" provider "\"\n .asciz \"" name "\"\n .asciz \"" arguments "\"\n 994: .balign 4\n .popsection\n" \
        ".ifndef _.stapsdt.base\n .pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n" \
        ".weak _.stapsdt.base\n .hidden _.stapsdt.base\n _.stapsdt.base: .space 1\n .size _.stapsdt.base, 1\n" \
        ".popsection\n .endif\n" \
        :: __VA_ARGS__)
volatile unsigned short guard __attribute__((section(".probes")));
static char text[] = "hello";
__attribute__((noinline)) void once(long i) { NOTE("prov", "twice", "0", "-8@%0", "nor"(i)); }
int main(void) {
    for (int i = 0; i < 5; i++) {
        long wide = 1000000000000L + i;
        signed char narrow = -i;
        NOTE("prov", "plain", "0", "-4@%0 -8@%1 -1@%2 8@%3", "r"(i), "m"(wide), "q"(narrow), "r"(text));
        if (guard) NOTE("prov", "guarded", "guard", "4@%0", "ri"(i * 10));
        once(i);
        NOTE("prov", "twice", "0", "4@$77", "r"(0));
        NOTE("other", "plain", "0", "", "r"(0));
    }
    return 0;
}
"""
PYTHON = "/usr/bin/python3.11"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    if not has("uprobe"):
        pytest.skip("this kernel has no uprobes")
    if os.uname().machine != "x86_64":
        pytest.skip("the notes are written for x86-64")
    compiler = shutil.which("gcc") or pytest.skip("no gcc here")
    folder = tmp_path_factory.mktemp("usdt")
    (folder / "noted.c").write_text(SOURCE)
    subprocess.run([compiler, "-O1", "-o", str(folder / "noted"), str(folder / "noted.c")], check=True)
    return str(folder / "noted")


def probee(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "probee", "-q", "-e", script, *words], capture_output=True, text=True, check=False, timeout=200
    )


def lines(script: str, program: str) -> list[str]:
    done = probee(script, "-c", program)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line]


def test_arguments_come_from_registers_and_memory_with_their_size_and_sign(program):
    script = f'usdt:{program}:prov:plain {{ printf("%d %lld %d %s\\n", arg0, arg1, arg2, str(arg3)) }}'
    found = [line.split() for line in lines(script, program)]
    assert [row[:3] for row in found] == [[str(i), str(10**12 + i), str(-i)] for i in range(5)]
    assert found[-1][3] == "hello"  # the first time its page may not be there yet


def test_a_guarded_probe_fires_since_its_semaphore_is_counted_up(program):
    assert lines(f"usdt:{program}:prov:guarded {{ @ = sum(arg0) }}", program) == ["@: 100"]


def test_a_probe_of_several_places_has_each_places_own_arguments(program):
    found = lines(f"usdt:{program}:twice {{ @[arg0] = count() }}", program)
    assert sorted(found) == [*(f"@[{i}]: 1" for i in range(5)), "@[77]: 5"]
    assert lines(f"usdt:{program}:twice {{ @ = count() }}", program) == ["@: 10"]


def test_the_provider_tells_probes_of_one_name_apart(program):
    assert lines(f"usdt:{program}:other:plain {{ @ = count() }}", program) == ["@: 5"]
    assert lines(f"usdt:{program}:plain {{ @ = count() }}", program) == ["@: 10"]


def test_a_pattern_means_every_probe_that_matches(program):
    found = lines(f"usdt:{program}:prov:* {{ @[probe] = count() }}", program)
    assert sorted(found) == [
        f"@[usdt:{program}:prov:guarded]: 5", f"@[usdt:{program}:prov:plain]: 5", f"@[usdt:{program}:prov:twice]: 10",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("usdt:PROGRAM:prov:plain { print(arg4) }", "usdt probe prov:plain has no arg4"),
        ("usdt:PROGRAM:prov:plian { }", "Did you mean: plain?"),
        ("usdt:/bin/true:no:probe { }", "No matches for usdt /bin/true:no:probe"),
        ("usdt:/no/such:a:b { }", "usdt target file '/no/such' does not exist or is not executable"),
    ],
)
def test_what_is_not_there_is_an_error(program, script, said):
    done = probee(script.replace("PROGRAM", program))
    assert (done.returncode, said in done.stderr) == (1, True), done.stderr


def test_pythons_own_probes_tell_what_it_imports(tmp_path):
    if not os.path.exists(PYTHON) or b".note.stapsdt" not in Path(PYTHON).read_bytes():
        pytest.skip(f"no {PYTHON} with USDT probes here")
    (tmp_path / "imports.py").write_text("import calendar")
    script = f'usdt:{PYTHON}:python:import__find__load__start /str(arg0) == "calendar"/ {{ @ = count() }}'
    assert lines(script, f"{PYTHON} {tmp_path}/imports.py") == ["@: 1"]
