"""What an event costs: the time that an empty program adds to what is probed, for each kind of probe, beside bpftrace's.

    python benchmarks/probe_cost.py [--runs N] [--no-guest] [--kernel 6.12] [--connect SOCKET]

Here, only in a program of our own (probe_cost.c, compiled with gcc) and by its pid; all kinds in a lab guest, whose figures
count as ratios only.  PROBEE_BENCH_SMALL=1: one short run, no guest, no download.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile

import inside
import measure
import peer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

SMALL = os.environ.get("PROBEE_BENCH_SMALL") == "1"
SOURCE = os.path.join(inside.ROOT, "benchmarks", "probe_cost.c")
FUNCTION = "__x64_sys_umask"
# name → what is done, attach points; PROGRAM and FUNCTION are put in.  A pattern takes a link for many where there is one.
KERNEL = {
    "kprobe": ("umask", ("kprobe:FUNCTION",)),
    "kretprobe": ("umask", ("kretprobe:FUNCTION",)),
    "kprobe, multi": ("umask", ("kprobe:FUNCTIO*",)),
    "kretprobe, multi": ("umask", ("kretprobe:FUNCTIO*",)),
    "kprobe and kretprobe, session": ("umask", ("kprobe:FUNCTIO*", "kretprobe:FUNCTIO*")),
    "fentry": ("umask", ("fentry:FUNCTION",)),
    "fexit": ("umask", ("fexit:FUNCTION",)),
    "tracepoint": ("umask", ("tracepoint:syscalls:sys_enter_umask",)),
    "rawtracepoint": ("umask", ("rawtracepoint:sys_enter",)),
}
USER = {
    "uprobe": ("call", ("uprobe:PROGRAM:called",)),
    "uretprobe": ("call", ("uretprobe:PROGRAM:called",)),
    "uprobe, multi": ("call", ("uprobe:PROGRAM:calle*",)),
    "usdt": ("usdt", ("usdt:PROGRAM:bench:announced",)),
    "watchpoint": ("write", ("watchpoint:ADDRESS:8:w",)),
}
KINDS = {**KERNEL, **USER}
CALLS = {"umask": 4_000, "call": 400, "usdt": 400, "write": 400}


def main(argv: list[str]) -> int:
    asked = inside.asked_for(argv)
    if asked is not None:
        with inside.copied() as env:
            print(json.dumps(_measure(asked["kinds"], asked["peer"], asked["runs"], env, own=False)))
        return 0
    if shutil.which("gcc") is None:
        print("what is probed is compiled with gcc, which is not here")
        return 0
    runs = int(inside.option(argv, "--runs", "1" if SMALL else "3"))
    peer.own_mounts()
    command = _peer()
    kinds = () if os.geteuid() else USER
    print(f"an empty program on this machine, Linux {os.uname().release}: the fastest of {runs} runs, taking turns")
    _show(_measure(kinds, command, runs, measure.environment(), own=True))
    if not SMALL and "--no-guest" not in argv:
        _guest(inside.option(argv, "--kernel", "6.12"), inside.option(argv, "--connect", ""), command, runs)
    return 0


def _peer() -> list[str]:
    try:
        return peer.find_peer(fetch=not SMALL)
    except peer.PeerMissing as error:
        print(f"no peer to compare with: {error}")
        return []


def _guest(kernel: str, connect: str, command: list[str], runs: int) -> None:
    try:
        with inside.booted(kernel, connect) as guest:
            print(f"\nin a guest, Linux {guest.version}, the fastest of {runs}: only the ratios mean something")
            for kinds in (KERNEL, USER):
                asked = {"kinds": list(kinds), "peer": command, "runs": runs}
                _show(inside.measure_in(guest, __file__, asked))
    except inside.GuestMissing as error:
        print(f"\nno guest to measure in: {error}")


def _show(found: dict[str, dict[str, float | str]]) -> None:
    print(f"  {'':32}{'nothing ns':>12}{'probee ns':>12}{'bpftrace ns':>13}{'ratio':>8}")
    for kind, row in found.items():
        ours, theirs = row["probee"], row.get("bpftrace", "")
        ratio = f"{ours / theirs:8.2f}" if isinstance(ours, float) and isinstance(theirs, float) and theirs > 0 else ""
        print(f"  {kind:32}{row['nothing']:12.1f}{_number(ours):>12}{_number(theirs):>13}{ratio}")


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.0f}"


# -- measuring


class Program:
    """What is probed, waiting to be told what to do."""

    def __init__(self, path: str) -> None:
        self._process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.path = path
        pid, self.address = self._line().split()
        self.pid = int(pid)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def ns(self, kind: str) -> float:
        """Return what one call of a kind takes."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{kind} {CALLS[kind] // (10 if SMALL else 1)}\n")
        return float(self._line())

    def close(self) -> None:
        self._process.communicate()


def _measure(kinds: Any, command: list[str], runs: int, env: dict[str, str], *, own: bool) -> dict[str, Any]:
    """Return kind → {"nothing": ns of a call without a probe, tool: ns that its probe adds, or why not}."""
    tools = {"probee": inside.PROBEE, **({"bpftrace": command} if command else {})}
    found = {}
    with tempfile.TemporaryDirectory(prefix="probee-bench-") as folder:
        path = f"{folder}/probe_cost"
        subprocess.run(["gcc", "-O1", "-o", path, SOURCE], check=True)
        program = Program(path)
        for kind in kinds:
            found[kind] = _cost(kind, program, tools, runs, env, own=own)
        program.close()
    return found


def _cost(
    kind: str, program: Program, tools: dict[str, list[str]], runs: int, env: dict[str, str], *, own: bool
) -> dict[str, Any]:  # fmt: skip
    done, places = KINDS[kind]
    row: dict[str, Any] = {"nothing": program.ns(done)}
    samples: dict[str, list[float]] = {tool: [] for tool in tools}
    for _ in range(runs):
        for tool, taken in samples.items():
            try:
                measure.trace([*tools[tool], *_words(places, program, own=own)], env,
                              lambda taken=taken: taken.append(program.ns(done)))  # type: ignore[misc]  # fmt: skip
            except measure.Failed as error:
                row[tool] = "no"
                print(f"{kind}, {tool}: {error.why}", file=sys.stderr)
    return row | {tool: min(taken) - row["nothing"] for tool, taken in samples.items() if taken}


def _words(places: tuple[str, ...], program: Program, *, own: bool) -> Iterator[str]:
    """Return the arguments: natively, a pid keeps everybody else out."""
    put_in = {"PROGRAM": program.path, "ADDRESS": program.address, "FUNCTION": FUNCTION, "FUNCTIO*": f"{FUNCTION[:-1]}*"}
    script = " ".join(f"{place} {{ }}" for place in places)
    for name, text in put_in.items():
        script = script.replace(name, text)
    yield from ("-e", script)
    if own or script.startswith("watchpoint"):
        yield from ("-p", str(program.pid))


if __name__ == "__main__":
    os.chdir(inside.ROOT)
    sys.exit(main(sys.argv[1:]))
