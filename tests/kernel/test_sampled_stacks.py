"""A thousand samples of loops that are known, compiled by gcc and just in time: they have the right names."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("kprobes"), pytest.mark.timeout(240)]

N_SAMPLES = 1000
RIGHT = 0.99

LOOP = r"""
#define FUNCTION __attribute__((noinline, noclone)) void
#define KEEP asm volatile("" ::: "memory")
FUNCTION inner(void) { for (volatile int i = 0; i < 200000; i++) KEEP; }
FUNCTION middle(void) { inner(); KEEP; }
FUNCTION outer(void) { middle(); KEEP; }
int main(void) {
    for (;;) outer();
}
"""

# Three functions, written as bytes: push %rbp; mov %rsp,%rbp; (call the next | count %ecx down to 0); pop %rbp; ret
JIT = r"""
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
static const unsigned char inner[] = {0x55, 0x48, 0x89, 0xe5, 0xb9, 0, 0, 0x20, 0, 0xff, 0xc9, 0x75, 0xfc, 0x5d, 0xc3};
static const unsigned char caller[] = {0x55, 0x48, 0x89, 0xe5, 0xe8, 0xb7, 0xff, 0xff, 0xff, 0x5d, 0xc3}; /* 64 bytes below */
int main(void) {
    unsigned char *code = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char path[64];
    memcpy(code, inner, sizeof inner);
    memcpy(code + 64, caller, sizeof caller);
    memcpy(code + 128, caller, sizeof caller);
    mprotect(code, 4096, PROT_READ | PROT_EXEC);
    snprintf(path, sizeof path, "/tmp/perf-%d.map", getpid());
    FILE *map = fopen(path, "w");
    fprintf(map, "%lx 40 jit:inner\n%lx 40 jit:middle\n%lx 40 jit:outer\n", (long)code, (long)code + 64, (long)code + 128);
    fclose(map);
    for (;;) ((void (*)(void))(code + 128))();
}
"""


def compiled(folder: Path, name: str, source: str) -> str:
    compiler = shutil.which("gcc") or pytest.skip("no gcc here")
    (folder / f"{name}.c").write_text(source)
    command = [compiler, "-O1", "-fno-omit-frame-pointer", "-fPIE", "-pie", "-o", str(folder / name)]
    subprocess.run([*command, str(folder / f"{name}.c")], check=True)
    return str(folder / name)


def sampled(program: str) -> list[tuple[list[str], int]]:
    """Return the stacks of a program that has ended, innermost function first, and how often each was seen."""
    script = f"profile:hz:997 {{ @[ustack] = count(); @n++; if (@n == {N_SAMPLES}) {{ print(@n) }} }}"
    with subprocess.Popen([program]) as running:
        command = [sys.executable, "-u", "-m", "probee", "-q", "-f", "json", "-e", script, "-p", str(running.pid)]
        tracer = subprocess.Popen(command, stdout=-1, stderr=-1, text=True)
        assert tracer.stdout is not None
        assert '"@n"' in tracer.stdout.readline()  # there are enough
        running.kill()
        shown, problems = tracer.communicate(timeout=60)
    assert (tracer.returncode, problems) == (0, "")
    maps = [json.loads(line) for line in shown.splitlines()]
    stacks = next(found["data"]["@"] for found in maps if "@" in found.get("data", ()))
    return [(names_in(key), count) for key, count in stacks.items()]


def names_in(stack: str) -> list[str]:
    return [frame.strip().rpartition("+")[0] for frame in stack.strip().split("\n")]


def share_of(stacks: list[tuple[list[str], int]], names: list[str]) -> float:
    """Return how many of the samples, of which there must be enough, have these functions innermost."""
    total = sum(count for _, count in stacks)
    assert total >= N_SAMPLES
    return sum(count for frames, count in stacks if frames[: len(names)] == names) / total


def test_samples_of_a_loop_in_c_have_the_right_names(tmp_path):
    program = compiled(tmp_path, "loop", LOOP)
    assert share_of(sampled(program), ["inner", "middle", "outer", "main"]) >= RIGHT


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the machine code is x86-64's")
def test_samples_of_code_made_at_run_time_have_the_right_names(tmp_path):
    program = compiled(tmp_path, "jit", JIT)
    assert share_of(sampled(program), ["jit:inner", "jit:middle", "jit:outer", "main"]) >= RIGHT


SHORT = r"""
#define FUNCTION __attribute__((noinline, noclone)) int
#define KEEP asm volatile("" ::: "memory")
FUNCTION inner(int a) { KEEP; return a * 2; }
FUNCTION middle(int a) { int r = inner(a + 1); KEEP; return r + 1; }
FUNCTION outer(int a) { int r = middle(a); KEEP; return r + 2; }
int main(void) { return outer(1) == 0; }
"""


def test_processes_that_are_gone_before_anyone_looks_have_names(tmp_path):
    program = compiled(tmp_path, "short", SHORT)
    script = f"uretprobe:{program}:inner {{ @[ustack(3)] = count(); }}"
    tracer = subprocess.Popen([sys.executable, "-u", "-m", "probee", "-e", script], stdout=-1, stderr=-1, text=True)
    assert tracer.stderr is not None
    assert tracer.stderr.readline().startswith("Attached")
    for _ in range(20):
        subprocess.run([program], check=True)
    tracer.send_signal(signal.SIGINT)
    shown, problems = tracer.communicate(timeout=60)
    stacks = [stack.partition("]: ") for stack in shown.strip().removeprefix("@[").split("\n@[")]
    assert problems == ""
    assert sum(int(count) for _, _, count in stacks) == 20
    assert {tuple(names_in(stack)) for stack, _, _ in stacks} == {("middle", "outer", "main")}
