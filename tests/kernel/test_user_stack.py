"""User stacks and names from script to output: a C program of our own that lives long enough to be asked."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from probee.kernel.features.feature import has

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(240)]

# Between the calls nothing is left to a register: frames are whole wherever a probe fires.
SOURCE = r"""
#include <unistd.h>
#define KEEP asm volatile("" ::: "memory")
__attribute__((noinline)) int inner(int a) { KEEP; return a * 2; }
__attribute__((noinline)) int middle(int a) { int r = inner(a + 1); KEEP; return r + 1; }
__attribute__((noinline)) int outer(int a) { int r = middle(a); KEEP; return r + 2; }
int main(void) {
    int sum = 0;
    for (int i = 0; i < 3; i++) sum += outer(i);
    usleep(WAIT);
    return sum == -1;
}
"""


def compiled(tmp_path_factory, wait_us: int) -> str:
    if not has("uprobe"):
        pytest.skip("this kernel has no uprobes")
    compiler = shutil.which("gcc") or pytest.skip("no gcc here")
    folder = tmp_path_factory.mktemp("stack")
    (folder / "nested.c").write_text(SOURCE)
    command = [compiler, "-O1", "-fno-omit-frame-pointer", "-fPIE", "-pie", f"-DWAIT={wait_us}", "-o", str(folder / "nested")]
    subprocess.run([*command, str(folder / "nested.c")], check=True)
    return str(folder / "nested")


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> str:
    return compiled(tmp_path_factory, 3_000_000)


@pytest.fixture(scope="module")
def short_lived(tmp_path_factory) -> str:
    return compiled(tmp_path_factory, 0)


def output(script: str, program: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "probee", "-q", "-e", script, "-c", program],
        capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def names(lines: list[str]) -> list[str]:
    return [line.rpartition("+")[0] or line for line in lines]


def test_a_stack_names_the_functions_from_the_innermost_on(program):
    assert names(output(f'uretprobe:{program}:inner {{ printf("%s", ustack(3)); exit() }}', program)) == [
        "middle", "outer", "main",
    ]  # fmt: skip


def test_stacks_are_keys_and_are_named_when_the_program_has_ended(program):
    found = output(f"uretprobe:{program}:inner {{ @[ustack(2)] = count() }}", program)
    assert found[0] == "@["
    assert found[1].startswith("middle+")
    assert found[-1] == "]: 3"


def test_the_function_of_a_probe_has_a_name(program):
    assert output(f"uprobe:{program}:inner,uprobe:{program}:middle {{ @[func] = count() }}", program) == [
        "@[inner]: 3", "@[middle]: 3",
    ]  # fmt: skip


def test_an_address_has_a_name(program):
    assert output(f'uprobe:{program}:outer {{ @[usym(reg("ip"))] = count() }}', program) == ["@[outer]: 3"]


def test_the_perf_mode_names_the_file(program):
    (frame, *_) = output(f'uprobe:{program}:outer {{ printf("%s", ustack(perf, 1)); exit() }}', program)
    address, name, module = frame.split()
    assert int(address, 16) > 0
    assert (name, module) == ("outer+0", f"({program})")


def test_a_program_that_lives_a_millisecond_has_names(short_lived):
    found = output(f"uretprobe:{short_lived}:inner {{ @[ustack(3)] = count() }}", short_lived)
    assert len(found) == 15  # three calls from three places
    assert [names(found[at + 1 : at + 4]) for at in (0, 5, 10)] == [["middle", "outer", "main"]] * 3
