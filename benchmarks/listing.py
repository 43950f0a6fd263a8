"""Listing: the time of -l and -lv, beside bpftrace's.

    python benchmarks/listing.py [--runs N] [--no-guest] [--kernel 6.12] [--target FILE] [--connect SOCKET] [--check]

Here, of a recorded kernel (FILE, or the one that compile_time.py has a guest write): the budget is 2 s of CPU for all probes
of a kernel.  In a lab guest, of the running kernel, beside bpftrace: ratios only.  PROBEE_BENCH_SMALL=1: few runs, no guest.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import compile_time
import inside
import measure
import peer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SMALL = os.environ.get("PROBEE_BENCH_SMALL") == "1"
BUDGET_MS = 2000
LISTS = {
    "all": ("-l",),
    "all, with arguments": ("-lv",),
    "functions of a subsystem": ("-l", "kprobe:tcp_*"),
    "tracepoints, with fields": ("-lv", "tracepoint:*"),
    "functions of the C library": ("-l", "uprobe:/lib/x86_64-linux-gnu/libc.so.6:*"),
}


def main(argv: list[str]) -> int:
    asked = inside.asked_for(argv)
    if asked is not None:
        with inside.copied() as env:
            print(json.dumps(_measure(LISTS[asked["list"]], asked["peer"], asked["runs"], env)))
        return 0
    runs = int(inside.option(argv, "--runs", "3"))
    over = _recorded(inside.option(argv, "--target", "") or compile_time.stock_target(), runs)
    if not SMALL and "--no-guest" not in argv:
        _guest(inside.option(argv, "--kernel", "6.12"), inside.option(argv, "--connect", ""), runs)
    return int(over and "--check" in argv)


def _recorded(target: str, runs: int) -> bool:
    """Measure the lists of a recorded kernel; return whether the budget is exceeded."""
    if not target:
        print("no recorded kernel to list: compile_time.py makes one")
        return False
    env = measure.environment()
    print(f"listing a recorded kernel ({os.path.basename(target)}), medians of {runs}")
    over = False
    for name in ("all", "all, with arguments"):
        words = [*inside.PROBEE, "--target", target, *LISTS[name]]
        sample = measure.interleave([measure.Case("", words)], runs, env)[""]
        probes = _probes(words, env)
        over |= name == "all" and sample.cpu_ms > BUDGET_MS
        print(f"  {name:28}{probes:8} probes{sample.wall_ms:8.0f} ms{sample.cpu_ms:8.0f} ms of CPU{sample.peak_mb:6.0f} MB")
    print(f"  {'OVER' if over else 'ok  '} all: {BUDGET_MS} ms of CPU")
    return over


def _probes(words: list[str], env: dict[str, str]) -> int:
    """Return how many probes a list has: the lines that are not indented."""
    listed = subprocess.run(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    return sum(bool(line.strip()) and not line.startswith(b" ") for line in listed.split(b"\n"))


# -- in a guest


def _guest(kernel: str, connect: str, runs: int) -> None:
    try:
        command = peer.find_peer()
        with inside.booted(kernel, connect) as guest:
            print(f"\nin a guest, Linux {guest.version}, medians of {runs}: only the ratios mean something")
            print(f"  {'':28}{'probes':>8}{'bpftrace':>10}{'CPU s':>8}{'bpftrace':>10}{'ratio':>7}{'wall':>7}")
            for name in LISTS:
                row = inside.measure_in(guest, __file__, {"peer": command, "runs": runs, "list": name})
                print(f"  {name:28}{row['count'][0]:8}{row['count'][1]:10}{row['cpu'][0] / 1e3:8.2f}{row['cpu'][1] / 1e3:10.2f}"
                      f"{row['cpu'][0] / row['cpu'][1]:7.2f}{row['wall'][0] / row['wall'][1]:7.2f}")  # fmt: skip
    except (inside.GuestMissing, peer.PeerMissing) as error:
        print(f"\nno comparison: {error}")


def _measure(words: tuple[str, ...], command: list[str], runs: int, env: dict[str, str]) -> dict[str, Any]:
    """Return {"count", "cpu", "wall"} of our list and of bpftrace's."""
    tools = {"probee": [*inside.PROBEE, *words], "bpftrace": [*command, *words]}
    samples = measure.interleave([measure.Case(tool, line) for tool, line in tools.items()], runs, env)
    return {
        "count": [_probes(line, env) for line in tools.values()],
        "cpu": [sample.cpu_ms for sample in samples.values()],
        "wall": [sample.wall_ms for sample in samples.values()],
    }


if __name__ == "__main__":
    os.chdir(inside.ROOT)
    sys.exit(main(sys.argv[1:]))
