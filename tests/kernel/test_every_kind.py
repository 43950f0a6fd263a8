"""Every kind of probe at once, on a program that calls what is probed a known number of times with known arguments.

One script and one run for all that a kernel can do, so that each of the kernels that we support can be asked in seconds.
"""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from probee.errors import CompileError
from probee.kernel.features.feature import has
from probee.kernel.target import LiveTarget
from script_run import lines

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(600)]

CALLS = 7
SOURCE = r"""
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>
#define NOTE(name, semaphore, arguments, ...) \
    __asm__ volatile("990: nop\n .pushsection .note.stapsdt,\"\",\"note\"\n .balign 4\n" \
        ".4byte 992f-991f, 994f-993f, 3\n 991: .asciz \"stapsdt\"\n 992: .balign 4\n" \
        "993: .8byte 990b, 0, " semaphore "\n .asciz \"every\"\n .asciz \"" name "\"\n .asciz \"" arguments "\"\n" \
        "994: .balign 4\n .popsection\n" :: __VA_ARGS__)
volatile unsigned short guard __attribute__((section(".probes")));
static char text[] = "hello";
__attribute__((noinline)) int work(int a, long b, const char *s) { __asm__ volatile(""); return a + (int)b + s[0]; }
__attribute__((noinline)) int innermost(int a) { __asm__ volatile("" ::: "memory"); return a * 2; }
__attribute__((noinline)) int between(int a) { int r = innermost(a); __asm__ volatile("" ::: "memory"); return r + 1; }
int main(void) {
    void *fixed = (void *)0x10000000;
    volatile long *place = mmap(fixed, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    int sum = text[0];
    for (int i = 0; i < CALLS; i++) {
        sum += work(i, 100 + i, text) + between(i);
        NOTE("plain", "0", "-4@%0 8@%1", "r"(-i), "r"(text));
        if (guard) NOTE("guarded", "guard", "4@%0", "r"(i * 10));
        kill(getpid(), 1000 + i);
        *place = i;
    }
    return sum == 1;
}
"""
SIGNALS = sum(1000 + number for number in range(CALLS))
KILL = "__x64_sys_kill"
OURS = "/pid == cpid/"
# What a script says of a kind, and what comes of it.
KERNEL = {
    f"kprobe:{KILL} {OURS} {{ @kprobe = count(); @kprobe_sum = sum(((struct pt_regs *)arg0)->si); }}":
        {"@kprobe": CALLS, "@kprobe_sum": SIGNALS},
    f"kretprobe:{KILL} {OURS} {{ @kretprobe[(int64)retval] = count(); }}": {"@kretprobe[-22]": CALLS},
    f"kprobe:{KILL[:-1]}*,kprobe:__x64_sys_getpri* {OURS} {{ @kprobes = count(); }}": {"@kprobes": CALLS},
    f"kretprobe:{KILL[:-1]}* {OURS} {{ @kretprobes[(int64)retval, func] = count(); }}": {f"@kretprobes[-22, {KILL}]": CALLS},
    f"tracepoint:syscalls:sys_enter_kill {OURS} {{ @tracepoint = sum(args.sig); }}": {"@tracepoint": SIGNALS},
    f"tracepoint:syscalls:sys_exit_kill {OURS} {{ @tracepoint_ret[args.ret] = count(); }}": {"@tracepoint_ret[-22]": CALLS},
    "rawtracepoint:sys_enter /pid == cpid && args.id == 62/ { @rawtracepoint = sum(args.regs.si); }":
        {"@rawtracepoint": SIGNALS},
    f"fentry:{KILL} {OURS} {{ @fentry = sum(args.regs.si); }}": {"@fentry": SIGNALS},
    f"fexit:{KILL} {OURS} {{ @fexit[retval] = sum(args.regs.si); }}": {"@fexit[-22]": SIGNALS},
}  # fmt: skip
USER = {
    'uprobe:PROGRAM:work { @uprobe[str(arg2, 16)] = sum(arg1); @uprobe_0 = sum(arg0); }':
        {"@uprobe[hello]": 100 * CALLS + sum(range(CALLS)), "@uprobe_0": sum(range(CALLS))},
    "uretprobe:PROGRAM:work { @uretprobe = sum((int32)retval); }":
        {"@uretprobe": (100 + ord("h")) * CALLS + 2 * sum(range(CALLS))},
    "uprobe:PROGRAM:*ermos* { @uprobes[func] = count(); }": {"@uprobes[innermost]": CALLS},
    "uprobe:PROGRAM:work,uprobe:PROGRAM:between { @several[probetype] = count(); }": {"@several[uprobe]": 2 * CALLS},
    'usdt:PROGRAM:every:plain { @usdt[str(arg1, 16)] = sum((int64)arg0); }': {"@usdt[hello]": -sum(range(CALLS))},
    "usdt:PROGRAM:every:guarded { @guarded = sum(arg0); }": {"@guarded": 10 * sum(range(CALLS))},
    "uretprobe:PROGRAM:innermost { @stack[ustack(2)] = count(); }": {},  # looked at by itself
}  # fmt: skip


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    if os.uname().machine != "x86_64":
        pytest.skip("the program and what is probed are x86-64's")
    compiler = shutil.which("gcc") or pytest.skip("no gcc here")
    folder = tmp_path_factory.mktemp("every")
    (folder / "every.c").write_text(SOURCE)
    command = [compiler, "-O1", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls", f"-DCALLS={CALLS}"]
    subprocess.run([*command, "-o", str(folder / "every"), str(folder / "every.c")], check=True)
    return str(folder / "every")


def counts(lines: list[str]) -> dict[str, int]:
    return {key: int(value) for key, _, value in (line.rpartition(": ") for line in lines) if value.lstrip("-").isdigit()}


def expected(parts: dict[str, dict[str, int]]) -> dict[str, int]:
    return {key: value for results in parts.values() for key, value in results.items()}


def test_each_kind_in_the_kernel_fires_once_a_call_with_its_arguments(program: str, kprobes: None, tracefs: str) -> None:
    assert counts(lines(" ".join(KERNEL), command=[program])) == expected(KERNEL)


def test_each_kind_in_a_program_fires_once_a_call_with_its_arguments(program: str) -> None:
    if not has("uprobe"):
        pytest.skip("this kernel has no uprobes")
    said = lines(" ".join(USER).replace("PROGRAM", program), command=[program])
    found = counts(said)
    assert found.pop("]") == CALLS  # the stack
    assert found == expected(USER)
    first = said.index("@stack[")
    assert [line.strip().partition("+")[0] for line in said[first + 1 : first + 3]] == ["between", "main"]


def test_a_session_runs_at_both_ends_of_a_call(program: str, kprobes: None) -> None:
    """Where the kernel has sessions this is one link; elsewhere two."""
    script = (
        f"kprobe:{KILL[:-1]}* {OURS} {{ @in = count(); }} kretprobe:{KILL[:-1]}* {OURS} {{ @out[(int64)retval] = count(); }}"
    )
    assert lines(script, command=[program]) == [f"@in: {CALLS}", f"@out[-22]: {CALLS}"]


def test_a_watchpoint_fires_once_a_write(program: str) -> None:
    """By itself: an emulated machine takes a step over a uprobe's instruction for another write."""
    assert lines("watchpoint:0x10000000:8:w { @ = count(); }", command=[program]) == [f"@: {CALLS}"]


def test_a_walk_over_tasks_meets_each_once() -> None:
    if LiveTarget().type_named("struct", "bpf_iter__task") is None:
        pytest.skip("this kernel has no iterators")
    assert lines(f"iter:task /ctx.task.pid == {os.getpid()}/ {{ @[ctx.task.tgid] = count(); }}") == [f"@[{os.getpid()}]: 1"]


# -- programs that are somebody else's

PYTHON = "/usr/bin/python3.11"
BASH = "/bin/bash"


def test_pythons_own_probes_tell_what_it_imports(tmp_path: Path) -> None:
    if not os.path.exists(PYTHON) or b".note.stapsdt" not in Path(PYTHON).read_bytes():
        pytest.skip(f"no {PYTHON} with USDT probes here")
    (tmp_path / "imports.py").write_text("import calendar\nimport gc\ngc.collect(2)\n")
    script = (
        f'usdt:{PYTHON}:python:import__find__load__start /str(arg0) == "calendar"/ {{ @started = count(); }}'
        f'usdt:{PYTHON}:python:import__find__load__done /str(arg0) == "calendar"/ {{ @done[arg1] = count(); }}'
        f"usdt:{PYTHON}:python:gc__start /arg0 == 2/ {{ @collected = count(); }}"
    )
    found = counts(lines(script, command=[PYTHON, "-S", "-E", str(tmp_path / "imports.py")]))
    assert (found["@started"], found["@done[1]"]) == (1, 1)
    assert found["@collected"] >= 1


@pytest.fixture
def shell() -> Iterator[tuple[int, int]]:
    """A bash on a terminal of its own, of another user where this is root: (its pid, the terminal's other end)."""
    if not os.path.exists(BASH):
        pytest.skip(f"no {BASH} here")
    controller, terminal = pty.openpty()
    as_nobody = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    with subprocess.Popen(
        [BASH, "--norc", "--noprofile", "-i"], stdin=terminal, stdout=terminal, stderr=terminal, cwd="/",
        start_new_session=True, env={"PS1": "ready> ", "PATH": "/usr/bin:/bin", "HOME": "/", "TERM": "dumb"}, **as_nobody,
    ) as bash:  # type: ignore[call-overload]  # fmt: skip
        os.close(terminal)
        seen = b""
        while b"ready> " not in seen:
            seen += os.read(controller, 4096)
        yield bash.pid, controller
        bash.kill()
    os.close(controller)


def test_what_another_user_types_into_a_bash_is_seen(shell: tuple[int, int]) -> None:
    """As everybody's first uretprobe has it: readline returns the line."""
    bash, terminal = shell
    script = (
        f'uretprobe:{BASH}:readline {{ printf("%d %d %s\\n", pid, uid, str(retval)); if (++@ == 2) {{ exit(); }} }}'
    )
    command = [sys.executable, "-m", "probee", "-e", script, "-p", str(bash)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        assert tracer.stderr.readline() == "Attached 1 probe\n"
        os.write(terminal, b"# bash has been in readline since before\r")
        os.write(terminal, b"echo one two\r")
        os.write(terminal, b": the  last\r")
        try:
            said, _ = tracer.communicate(timeout=60)
        finally:
            tracer.terminate()
    assert tracer.returncode == 0
    uid = 65534 if os.geteuid() == 0 else os.geteuid()
    assert said.splitlines()[:2] == [f"{bash} {uid} echo one two", f"{bash} {uid} : the  last"]


def test_a_probe_on_nothing_is_refused_on_every_kernel(program: str) -> None:
    for place in (f"uprobe:{program}:no_such", f"usdt:{program}:every:no_such"):
        with pytest.raises(CompileError, match="No matches for"):
            lines(f"{place} {{ }}", command=[program])
