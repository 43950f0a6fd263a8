"""Compile time: CPU of compile(text, target) in a warm interpreter for every script here, and the instructions that come out.

    python benchmarks/compile_time.py [--runs N] [--target FILE] [--update] [--check] [--scripts DIRECTORY]

Two kernels: the one that the unit tests build, small and the same everywhere, and a stock kernel's target file (FILE, or what
a lab guest wrote into the cache), whose times count.  Instruction counts are compared with baseline.json; --update writes it.
PROBEE_BENCH_SMALL=1: few runs, no guest; the stock kernel is left out when its file is not there yet.  Exit status 1: a script
does not compile, or, with --check, takes longer than it may.
"""

from __future__ import annotations

import gc
import glob
import json
import os
import sys
import time

from measure import median

from probee.compiler.compile import compile
from probee.errors import CompileError, ProbeeError, Source
from probee.formats.target import FileTarget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BASELINE = os.path.join(ROOT, "benchmarks", "baseline.json")
SCRIPTS = ("examples/bpftrace/*.bt", "benchmarks/scripts/*.bt")
SMALL = os.environ.get("PROBEE_BENCH_SMALL") == "1"
KERNEL = "6.12"
BUDGET_MS = 50

Counts = dict[str, dict[str, int]]  # script → probe → instructions


def main(argv: list[str]) -> int:
    runs = int(_option(argv, "--runs", "3" if SMALL else "9"))
    if "--scripts" in argv:
        return _measure_others(_option(argv, "--scripts", ""), runs, _option(argv, "--target", ""))
    baseline = _read_baseline()
    slow, broken = 0, 0
    for title, make in _targets(_option(argv, "--target", "")):
        more_slow, more_broken = _measure(title, make, runs, baseline)
        slow, broken = slow + more_slow, broken + more_broken
    if "--update" in argv:
        with open(BASELINE, "w") as file:
            json.dump(baseline, file, indent=1, sort_keys=True)
            file.write("\n")
    return int(broken > 0 or (slow > 0 and "--check" in argv))


def _option(argv: list[str], name: str, default: str) -> str:
    return argv[argv.index(name) + 1] if name in argv else default


# -- kernels


def _targets(path: str) -> list[tuple[str, Callable[[], FileTarget]]]:
    """Return (name, maker of fresh Targets) of each kernel."""
    sys.path.append(os.path.join(ROOT, "tests"))
    from target_fixture import build_target

    found: list[tuple[str, Callable[[], FileTarget]]] = [("the kernel of the unit tests", build_target)]
    path = path or stock_target()
    if path:
        found.append((f"Linux {FileTarget(path).release}", lambda: FileTarget(path)))
    return found


def stock_target() -> str:
    """Return the target file of a stock kernel, made in a guest if need be; "" without one."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = os.path.join(base, "probee", "benchmarks")
    path = os.path.join(folder, f"{KERNEL}.target")
    if not os.path.exists(path) and not SMALL:
        try:
            _dump(folder, path)
        except ProbeeError as error:
            print(f"no stock kernel to compile for: {error}")
    return path if os.path.exists(path) else ""


def _dump(folder: str, path: str) -> None:
    from probee.errors import LabError
    from probee.lab import Guest

    os.makedirs(folder, mode=0o700, exist_ok=True)
    print(f"writing {KERNEL}'s target file in a guest ...", file=sys.stderr)
    with Guest(KERNEL, rw=[folder]) as guest:
        done = guest.run([sys.executable, "-m", "probee", "target", "dump", f"{path}.new"], timeout_s=600, cwd=ROOT)
    if done.status:
        raise LabError(done.stderr)
    os.rename(f"{path}.new", path)


# -- scripts


def _measure(title: str, make: Callable[[], FileTarget], runs: int, baseline: dict[str, Counts]) -> tuple[int, int]:
    """Compile everything for one kernel and print it; return how many scripts took too long, and how many failed."""
    known = baseline.get(make().release, {})
    print(f"\n{title}: CPU of compile(), median of {runs}, budget {BUDGET_MS} ms; instructions of its programs")
    counts: Counts = {}
    slow, broken = 0, 0
    for path in sorted(path for pattern in SCRIPTS for path in glob.glob(os.path.join(ROOT, pattern))):
        name = os.path.relpath(path, ROOT)
        with open(path) as file:
            text = file.read()
        try:
            took, counts[name] = _compile(text, name, make, runs)
        except CompileError as error:
            print(f"FAIL  {name}\n{error.at(Source(name, text)).report()}")
            broken += 1
            continue
        slow += took > BUDGET_MS
        _show(name, took, counts[name], known.get(name, {}))
    _sum_up(counts, known)
    baseline[make().release] = counts
    return slow, broken


def _measure_others(directory: str, runs: int, target: str) -> int:
    """Compile somebody else's scripts for the stock kernel and print each, slowest last, and the median."""
    title, make = _targets(target)[-1]
    print(f"{title}: CPU of compile(), median of {runs}")
    took: list[tuple[float, str]] = []
    for path in sorted(glob.glob(os.path.join(directory, "*.bt"))):
        name = os.path.basename(path)
        with open(path) as file:
            text = file.read()
        try:
            took.append((_compile(text, name, make, runs, unsafe=True)[0], name))
        except ProbeeError as error:
            print(f"----           {name}: {str(error).splitlines()[0]}")
    for ms, name in sorted(took):
        print(f"{'ok  ' if ms <= BUDGET_MS else 'OVER'}  {ms:5.1f} ms  {name}")
    print(f"median of {len(took)}: {median([ms for ms, _ in took]):.1f} ms")
    return 0


def _compile(
    text: str, name: str, make: Callable[[], FileTarget], runs: int, **options: object
) -> tuple[float, dict[str, int]]:
    """Return the median CPU time in ms, and instructions by probe; the first compile, which imports, does not count."""
    times = []
    for _ in range(runs + 1):
        target = make()
        gc.collect()
        start = time.process_time()
        spec = compile(text, target, {"name": name, **options})
        times.append((time.process_time() - start) * 1e3)
    counts: dict[str, int] = {}
    for program in spec.programs:
        counts[program.probe] = counts.get(program.probe, 0) + len(program.instructions) // 8
    return median(times[1:]), counts


def _show(name: str, took: float, counts: dict[str, int], known: dict[str, int]) -> None:
    total = sum(counts.values())
    change = _change(total, sum(known.values())) if known else "new"
    print(f"{'ok  ' if took <= BUDGET_MS else 'OVER'}  {took:5.1f} ms  {total:5} {change:>8}  {name}")
    for probe, count in counts.items():
        print(f"                 {count:6} {_change(count, known[probe]) if probe in known else 'new':>8}      {probe}")


def _change(count: int, before: int) -> str:
    return "=" if count == before else f"{count - before:+}"


def _sum_up(counts: Counts, known: Counts) -> None:
    """Print the change over all scripts that both have."""
    both = [name for name in counts if name in known]
    now, before = (sum(sum(part[name].values()) for name in both) for part in (counts, known))
    if before:
        percent = 100 * (now - before) / before
        print(f"all together {now} instructions, {now - before:+} ({percent:+.1f} %) against the baseline")


def _read_baseline() -> dict[str, Counts]:
    try:
        with open(BASELINE) as file:
            found: dict[str, Counts] = json.load(file)
            return found
    except OSError:
        return {}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
