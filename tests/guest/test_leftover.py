"""However probee ends, no program, map, link or probe of its stays in the kernel."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest

from probee.lab import Guest
from session import start

SCRIPT = """
kprobe:vfs_read { @reads[comm] = count(); }
kretprobe:vfs_read { @size = hist(retval); }
tracepoint:syscalls:sys_enter_write { @writes[pid] = count(); }
interval:s:1 { @seconds++; }
"""
GONE_S = 5.0


def objects(guest: Guest) -> set[str]:
    """Return all BPF objects in the guest's kernel, and the kprobes that tracefs knows."""
    program = Path(__file__).with_name("objects.py")
    found = set(guest.run([sys.executable, str(program)]).check().stdout.split())
    return found | {f"kprobe_event {line}" for line in guest.run("cat /sys/kernel/tracing/kprobe_events").stdout.splitlines()}


@pytest.mark.kernels("5.10", "6.12", "7.3")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_of_ours_stays_in_the_kernel(guest: Guest, number: signal.Signals) -> None:
    before = objects(guest)
    with start(guest, "-e", SCRIPT) as job:
        during = objects(guest) - before
        assert {word.split(":")[0] for word in during} >= {"prog", "map"}, "the test would not notice anything"
        job.signal(number)
        result = job.wait(timeout_s=60)
    assert result.status == (0 if number != signal.SIGKILL else 128 + signal.SIGKILL)
    end = time.monotonic() + GONE_S
    while (left := objects(guest) - before) and time.monotonic() < end:
        time.sleep(0.2)
    assert not left


@pytest.mark.kernels("6.1")
def test_what_takes_long_to_detach_keeps_nobody_waiting(guest: Guest) -> None:
    """Probes one by one, which the kernel is slow to part with: the results are there, and another process does the rest."""
    probes = "wc -l < /sys/kernel/debug/kprobes/list"
    with start(guest, "-e", "kprobe:tcp_c*,kprobe:tcp_s* { @ = count(); } end { printf(\"end\\n\"); }") as job:
        attached = int(guest.run(probes).check().stdout)
        job.signal(signal.SIGINT)
        result = job.wait(timeout_s=60)
    left = int(guest.run(probes).check().stdout)
    assert (result.status, "end\n" in result.stdout) == (0, True)
    assert attached > 50
    assert left > attached // 4, "the test would not notice anything"
    end = time.monotonic() + 60
    while int(guest.run(probes).check().stdout) and time.monotonic() < end:
        time.sleep(0.5)
    assert time.monotonic() < end
