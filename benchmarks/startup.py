"""Start-up: wall time, CPU time and peak memory of probee without its object cache (cold) and with it, and of bpftrace.

    python benchmarks/startup.py [--runs N] [--no-guest] [--kernel 6.12] [--check]

Here, only what attaches to nothing of anybody else's: begin, timers.  System-wide scripts attach and end at once
(--dry-run) in a lab guest, whose figures count as ratios only.  PROBEE_BENCH_SMALL=1: few runs, no guest, no download.
With --check, being over a budget (here, not in the guest) is exit status 1.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile

import measure
import peer

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCRIPTS = "benchmarks/scripts"
NATIVE = (("begin", ("-e", "BEGIN { exit(); }")), ("heartbeat, attached only", ("--dry-run", f"{SCRIPTS}/heartbeat.bt")))
GUEST = (
    ("begin", ("-e", "BEGIN { exit(); }")),
    ("opensnoop", ("--dry-run", "examples/bpftrace/opensnoop.bt")),
    ("kprobe with struct walks", ("--dry-run", f"{SCRIPTS}/task_walk.bt")),
)
SMALL = os.environ.get("PROBEE_BENCH_SMALL") == "1"
# Budgets: CPU against bpftrace's, MB of memory, ms of CPU for the parts of a cached start.
CACHED_RATIO, COLD_RATIO, CACHED_MB = 0.3, 0.6, 35
PARTS_MS = {"interpreter": 15, "imports": 25, "work": 40}

Row = dict[str, measure.Sample]


def main(argv: list[str]) -> int:
    runs = int(_option(argv, "--runs", "5" if SMALL else "15"))
    if "--measure" in argv:  # in the guest, for the process outside
        return _measure_here(json.loads(_option(argv, "--measure", "{}")))
    peer.own_mounts()
    command = _peer(fetch=not SMALL)
    failed = False
    print(f"start-up on this machine, Linux {os.uname().release}: medians of {runs} runs, taking turns")
    for name, words in NATIVE:
        row = _cases(words, command, runs)
        _show(name, row)
        failed |= _judge(row)
    failed |= _parts(runs)
    if not SMALL and "--no-guest" not in argv:
        _guest(_option(argv, "--kernel", "6.12"), command, max(3, runs // 5))
    return int(failed and "--check" in argv)


def _option(argv: list[str], name: str, default: str) -> str:
    return argv[argv.index(name) + 1] if name in argv else default


def _peer(*, fetch: bool) -> list[str]:
    try:
        command = peer.find_peer(fetch=fetch)
    except peer.PeerMissing as error:
        print(f"no peer to compare with: {error}")
        return []
    print(f"peer: {peer.version(command)}")
    return command


# -- one script


def _cases(words: tuple[str, ...], peer_command: list[str], runs: int) -> Row:
    """Measure one script: "cold", "cached" and "peer", with a cache directory of their own."""
    with tempfile.TemporaryDirectory(prefix="probee-bench-") as cache:
        ours = [sys.executable, "-m", "probee", *words]
        cases = [
            measure.Case("cold", ours, lambda: shutil.rmtree(f"{cache}/probee/objects", ignore_errors=True)),
            measure.Case("cached", ours),
        ]
        if peer_command:
            cases.append(measure.Case("peer", [*peer_command, *words]))
        return measure.interleave(cases, runs, measure.environment(XDG_CACHE_HOME=cache))


def _show(name: str, row: Row) -> None:
    print(f"\n{name}")
    print(f"  {'':8}{'wall ms':>9}{'CPU ms':>9}{'MB':>7}{'CPU/bpftrace':>15}")
    for kind, sample in row.items():
        ratio = f"{sample.cpu_ms / row['peer'].cpu_ms:.2f}" if "peer" in row and kind != "peer" else ""
        label = "bpftrace" if kind == "peer" else kind
        print(f"  {label:8}{sample.wall_ms:9.0f}{sample.cpu_ms:9.0f}{sample.peak_mb:7.0f}{ratio:>15}")


def _judge(row: Row) -> bool:
    """Print the verdicts; return whether one of them is bad."""
    verdicts = [(f"memory, cached: {row['cached'].peak_mb:.0f} MB of {CACHED_MB}", row["cached"].peak_mb <= CACHED_MB)]
    if "peer" in row:
        for kind, budget in (("cached", CACHED_RATIO), ("cold", COLD_RATIO)):
            ratio = row[kind].cpu_ms / row["peer"].cpu_ms
            verdicts.append((f"CPU, {kind}: {ratio:.2f} of bpftrace's, budget {budget}", ratio <= budget))
    for text, good in verdicts:
        print(f"  {'ok  ' if good else 'OVER'} {text}")
    return not all(good for _, good in verdicts)


# -- the parts of a cached start


def _parts(runs: int) -> bool:
    """Print what the CPU time of a cached start goes into; return whether a part is over its budget."""
    words = NATIVE[0][1]
    with tempfile.TemporaryDirectory(prefix="probee-bench-") as cache:
        env = measure.environment(XDG_CACHE_HOME=cache)
        whole_words = [sys.executable, "-m", "probee", *words]
        modules = _imported([*whole_words], env)
        end = "__import__('os')._exit(0)"  # as our command ends
        program = f"for name in {modules!r}: __import__(name)\n{end}"
        cases = [
            measure.Case("interpreter", [sys.executable, "-c", end]),
            measure.Case("with imports", [sys.executable, "-c", program]),
            measure.Case("whole", whole_words),
        ]
        medians = measure.interleave(cases, runs, env)
    interpreter, imports, whole = (medians[name].cpu_ms for name in ("interpreter", "with imports", "whole"))
    parts = {"interpreter": interpreter, "imports": imports - interpreter, "work": whole - imports}
    print(f"\nparts of a cached start, CPU ms ({len(modules)} modules beyond the interpreter's own)")
    for name, value in parts.items():
        print(f"  {'ok  ' if value <= PARTS_MS[name] else 'OVER'} {name:12}{value:6.1f} of {PARTS_MS[name]}")
    return any(value > PARTS_MS[name] for name, value in parts.items())


def _imported(words: list[str], env: dict[str, str]) -> list[str]:
    """Return the modules that a command imports beyond those of `python -c pass`, in the order in which they were ready."""
    measure.run(words, env)  # fills the object cache
    plain = set(_import_times([sys.executable, "-X", "importtime", "-c", "pass"], env))
    found = _import_times([words[0], "-X", "importtime", *words[1:]], env)
    return [name for name in found if name not in plain]


def _import_times(words: list[str], env: dict[str, str]) -> list[str]:
    import subprocess

    lines = subprocess.run(words, env=env, capture_output=True, text=True, check=True).stderr.splitlines()
    rows = [line.split("|") for line in lines if line.startswith("import time:")]
    return [row[2].strip() for row in rows[1:]]


# -- in a guest


def _guest(kernel: str, peer_command: list[str], runs: int) -> None:
    from probee.errors import LabError
    from probee.lab import Guest

    try:
        with Guest(kernel) as guest:
            print(f"\nstart-up in a guest, Linux {guest.version}, medians of {runs}: only the ratios mean something")
            for name, words in GUEST:
                asked = json.dumps({"words": words, "peer": peer_command, "runs": runs})
                script = os.path.abspath(__file__)
                result = guest.run([sys.executable, script, "--measure", asked], timeout_s=1200, cwd=ROOT)
                if result.status:
                    print(f"{name}: {result.stderr or result.stdout}")
                    continue
                row = {kind: measure.Sample(*sample) for kind, sample in json.loads(result.stdout).items()}
                _show(name, row)
                _judge(row)
    except LabError as error:
        print(f"\nno guest to measure in: {error}")


def _measure_here(asked: dict[str, object]) -> int:
    """Measure in the guest, from a copy in its memory: opening our many small files over 9p would be most of the time."""
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(f"{ROOT}/src/probee", f"{copy}/probee")
        os.environ["PYTHONPATH"] = copy
        row = _cases(tuple(asked["words"]), list(asked["peer"]), int(asked["runs"]))  # type: ignore[arg-type, call-overload]
    print(json.dumps({kind: [s.wall_ms, s.cpu_ms, s.peak_mb, s.status] for kind, s in row.items()}))
    return 0


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main(sys.argv[1:]))
