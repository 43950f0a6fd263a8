"""Every event is printed or counted as lost: a million of them, and a ring of one page."""

from __future__ import annotations

import re
import sys

import pytest

from probee.lab import Guest
from session import PROBEE, end, start

# dd writes its bytes one by one to fd 1: as many events as it is told, whatever else the machine does
EVENTS = """
tracepoint:syscalls:sys_enter_write /comm == "dd" && args.fd == 1 && args.count == 1/ { printf("event\\n"); }
"""
LOST = re.compile(r"Total lost event count: (\d+)")


def run(guest: Guest, n_events: int, **env: str) -> tuple[int, int]:
    """Return how many of the events were printed, and how many were reported as lost."""
    with start(guest, "-o", "/tmp/events", "-e", EVENTS, env=env, timeout_s=600) as job:
        guest.run(f"dd if=/dev/zero of=/dev/null bs=1 count={n_events} status=none", timeout_s=300).check()
        result = end(job)
    printed = int(guest.run("grep -c '^event$' /tmp/events").stdout)
    lost = LOST.search(result.stderr)
    return printed, int(lost[1]) if lost else 0


@pytest.mark.kernels("6.12")
def test_a_million_events_are_printed_or_counted(guest: Guest) -> None:
    printed, lost = run(guest, 1_000_000)
    assert printed + lost == 1_000_000
    assert printed > 0


@pytest.mark.kernels("5.10", "6.12")
def test_a_ring_of_one_page_loses_and_says_how_many(guest: Guest) -> None:
    printed, lost = run(guest, 200_000, BPFTRACE_PERF_RB_PAGES="1")
    assert printed + lost == 200_000
    assert lost > 0
    assert printed > 0


@pytest.mark.kernels("5.10", "6.12")
@pytest.mark.parametrize("n_keys", [100])
def test_a_full_map_counts_what_it_refuses(guest: Guest, n_keys: int) -> None:
    program = "BEGIN { $i = (int64)0; while ($i < 150) { @[$i] = 1; $i++; } exit(); }"
    result = guest.run(
        ["env", f"BPFTRACE_MAX_MAP_KEYS={n_keys}", *PROBEE, "-e", program], timeout_s=60
    )
    assert len(re.findall(r"^@\[\d+\]: 1$", result.stdout, re.MULTILINE)) == n_keys
    assert "Map full; can't update element" in result.stderr


NESTED = """
kprobe:vfs_read /comm == "dd"/ { $i = (uint64)0; while ($i < 4000) { $i++; } @reads++; }
kprobe:hrtimer_forward { @timer++; }
profile:us:200 { @samples++; }
"""


@pytest.mark.kernels("6.12", "7.3")
def test_what_a_sampling_probe_finds_the_kernel_too_busy_for_is_shown_as_missed(guest: Guest) -> None:
    question = "from probee.kernel.features.feature import has; print(has('link_missed_count'))"
    if guest.run([sys.executable, "-c", question]).check().stdout.strip() != "True":
        pytest.skip("this kernel does not tell what a link missed (Linux does since 6.7)")
    with start(guest, "-e", NESTED) as job:
        guest.run("dd if=/dev/zero of=/dev/null bs=1 count=50000 status=none", timeout_s=120).check()
        result = end(job)
    missed = re.search(r"WARNING: (\d+) hits were missed", result.stderr)
    assert missed is not None, result.stderr
    assert int(missed[1]) > 0
    assert "@reads: 5" in result.stdout
