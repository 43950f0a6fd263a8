"""Attaching and detaching: how long until N functions are attached, and from Ctrl-C to the end, beside bpftrace.

    python benchmarks/attach.py [--runs N] [--kernels 6.12,6.1] [--numbers 1,100,1000,10000] [--connect SOCKET]

In lab guests, whose figures count as ratios only.  All functions at once go through one kprobe-multi link where the kernel has
it; each by a perf event with --no-feature kprobe_multi, which both sides understand.  PROBEE_BENCH_SMALL=1: nothing.
"""

from __future__ import annotations

import json
import os
import sys

import inside
import measure
import peer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SMALL = os.environ.get("PROBEE_BENCH_SMALL") == "1"
TOOLS = ("probee", "bpftrace")
WAYS = {"kprobe_multi": (), "perf events": ("--no-feature", "kprobe_multi")}
MOST_EVENTS = 100  # one by one, a thousand take minutes here
FIRST = "vfs_read"  # what one function is measured by


def main(argv: list[str]) -> int:
    asked = inside.asked_for(argv)
    if asked is not None:
        print(json.dumps(_measure(asked)))
        return 0
    if SMALL:
        print("attaching is measured in guests: not in a small run")
        return 0
    kernels = inside.option(argv, "--kernels", "6.12,6.1").split(",")
    numbers = [int(number) for number in inside.option(argv, "--numbers", "1,100,1000,10000").split(",")]
    try:
        command = peer.find_peer()
    except peer.PeerMissing as error:
        print(f"no peer to compare with: {error}")
        command = []
    for kernel in kernels:
        try:
            _kernel(kernel, inside.option(argv, "--connect", ""), command, numbers, int(inside.option(argv, "--runs", "3")))
        except inside.GuestMissing as error:
            print(f"\n{kernel}: {error}")
    return 0


def _kernel(kernel: str, connect: str, command: list[str], numbers: list[int], runs: int) -> None:
    with inside.booted(kernel, connect) as guest:
        print(f"\nLinux {guest.version}, medians of {runs}: only the ratios mean something")
        ways = list(WAYS)[0 if inside.measure_in(guest, __file__, {"way": ""}) else 1 :]
        for way in ways:
            print(f"\n{way:14}{'functions':>10}{'attached s':>12}{'CPU s':>8}{'Ctrl-C to end s':>17}"
                  f"{'ratios: attach':>16}{'CPU':>7}{'end':>7}")  # fmt: skip
            for number in numbers:
                if way == "kprobe_multi" or number <= MOST_EVENTS:
                    asked = {"way": way, "number": number, "runs": runs, "peer": command}
                    _show(inside.measure_in(guest, __file__, asked))


def _show(found: dict[str, list[float]]) -> None:
    ours = found["probee"]
    for tool, (count, attached, cpu, ended) in found.items():
        line = f"  {tool:12}{count:10.0f}{attached:12.2f}{cpu:8.2f}{ended:17.2f}"
        if tool != "probee":
            line += f"{ours[1] / attached:16.2f}{ours[2] / cpu:7.2f}{ours[3] / ended:7.2f}"
        print(line)


# -- in the guest


def _measure(asked: dict[str, Any]) -> dict[str, list[float]] | bool:
    """Return tool → (functions, seconds until they are attached, CPU seconds in all, seconds from Ctrl-C to the end).

    Without a way: whether there is kprobe_multi.
    """
    if not asked["way"]:
        from probee.kernel.features.feature import has

        return has("kprobe_multi")
    commands = {"probee": inside.PROBEE, "bpftrace": asked["peer"]}
    words = [*WAYS[asked["way"]], "-e", f"{_places(asked['number'])} {{ }}"]
    samples: dict[str, list[measure.Trace]] = {tool: [] for tool in TOOLS if commands[tool]}
    with inside.copied() as env:
        env |= {"BPFTRACE_MAX_PROBES": "1000000", "BPFTRACE_MISSING_PROBES": "warn"}
        for number in range(1 + asked["runs"]):
            for tool, taken in samples.items():
                run = measure.trace([*commands[tool], *words], env)
                if number:  # the first fills our object cache
                    taken.append(run)
    return {tool: [measure.median([getattr(run, name) for run in taken]) for name in ("count", "attach_s", "cpu_s", "end_s")]
            for tool, taken in samples.items()}  # fmt: skip


def _places(number: int) -> str:
    """Return attach points that mean about so many functions."""
    if number == 1:
        return f"kprobe:{FIRST}"
    with open("/sys/kernel/tracing/available_filter_functions") as file:
        names = {line.split()[0] for line in file}
    found: list[str] = []
    for length in (1, 2, 3):
        groups: dict[str, int] = {}
        for name in names:
            groups[name[:length]] = groups.get(name[:length], 0) + 1
        for prefix, size in sorted(groups.items(), key=lambda item: -item[1]):
            if size <= number and not prefix.startswith(tuple(found)) and prefix[0] != "_":
                found.append(prefix)
                number -= size
        if number < 20:
            break
    return ",".join(f"kprobe:{prefix}*" for prefix in found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
