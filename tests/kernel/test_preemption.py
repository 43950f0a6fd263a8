"""A uprobe's program that is preempted while it makes a record, by another thread's: both records are whole, none is missing.

Two threads share a CPU; one of them has a real-time priority and wakes up thousands of times in the other's way.  Records have
the time at their beginning and at their end, so that those that were made inside of others can be told.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from probee.kernel.features.feature import has

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(240)]

SOURCE = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
static volatile int ended;
static int n_urgent;
__attribute__((noinline)) int work(int who, int number, const char *text) { asm volatile("" ::: "memory"); return who + *text; }
static void *urgent(void *unused) {
    struct timespec pause = {0, 150000};
    char text[200];
    memset(text, 'b', sizeof text - 1);
    text[sizeof text - 1] = 0;
    while (!ended) {
        nanosleep(&pause, 0);
        work(2, n_urgent++, text);
    }
    return unused;
}
int main(void) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(sched_getcpu(), &cpus);
    sched_setaffinity(0, sizeof cpus, &cpus);
    pthread_t thread;
    struct sched_param priority = {10};
    char text[200];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 0;
    pthread_create(&thread, 0, urgent, 0);
    if (pthread_setschedparam(thread, SCHED_FIFO, &priority)) return 3;
    for (int i = 0; i < CALLS; i++) work(1, i, text);
    ended = 1;
    pthread_join(thread, 0);
    printf("calls %d\n", CALLS + n_urgent);
    return 0;
}
"""
CALLS = 10_000
LINE = re.compile(r"(\d+) ([12]) (\d+) (a{199}|b{199}) (a{199}|b{199}) (\d+)")


def preemptible() -> bool:
    """Return whether this kernel lets a task be preempted in the kernel."""
    try:
        chosen = Path("/sys/kernel/debug/sched/preempt").read_text()
    except OSError:
        return False
    return "(full)" in chosen or "(lazy)" in chosen


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    if not has("uprobe"):
        pytest.skip("this kernel has no uprobes")
    if os.geteuid():
        pytest.skip("a real-time priority needs root")
    compiler = shutil.which("gcc") or pytest.skip("no gcc here")
    folder = tmp_path_factory.mktemp("preempted")
    (folder / "two.c").write_text(SOURCE)
    command = [compiler, "-O1", "-pthread", f"-DCALLS={CALLS}", "-o", str(folder / "two"), str(folder / "two.c")]
    subprocess.run(command, check=True)
    return str(folder / "two")


@pytest.mark.parametrize("pages", [0, 16])
def test_every_record_is_whole_and_accounted_for(program, pages):
    values = "nsecs, arg0, arg1, str(arg2, 200), str(arg2, 200), nsecs"
    script = f'uprobe:{program}:work {{ printf("%llu %d %d %s %s %llu\\n", {values}) }}'
    environment = {**os.environ, **({"BPFTRACE_PERF_RB_PAGES": str(pages)} if pages else {})}
    done = subprocess.run(
        [sys.executable, "-m", "probee", "-q", "-e", script, "-c", program],
        capture_output=True, text=True, check=False, timeout=200, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown = [line for line in done.stdout.splitlines() if line and not line.startswith("calls ")]
    (calls,) = re.findall(r"^calls (\d+)$", done.stdout, re.MULTILINE)
    records = [LINE.fullmatch(line) for line in shown]
    assert [line for line, found in zip(shown, records, strict=True) if not found] == []
    whole = [(int(found[1]), int(found[6]), int(found[2]), int(found[3]), found[4], found[5]) for found in records if found]
    assert all(first == second == "?ab"[who] * 199 for _, _, who, _, first, second in whole)
    for who in (1, 2):
        numbers = [number for _, _, found, number, _, _ in whole if found == who]
        assert numbers == sorted(set(numbers))
    lost = sum(int(count) for count in re.findall(r"Total lost event count: (\d+)", done.stderr))
    assert len(whole) + lost == int(calls)
    if not pages:
        assert lost == 0
    if preemptible():
        assert nested(whole) > 0


def nested(records: list[tuple[int, int, int, int, str, str]]) -> int:
    """Return how many records of the urgent thread were made while one of the other was being made."""
    spans = sorted((begin, end) for begin, end, who, *_ in records if who == 1)
    urgent = sorted((begin, end) for begin, end, who, *_ in records if who == 2)
    count = at = 0
    for begin, end in urgent:
        while at < len(spans) and spans[at][1] < begin:
            at += 1
        count += at < len(spans) and spans[at][0] <= begin and end <= spans[at][1]
    return count
