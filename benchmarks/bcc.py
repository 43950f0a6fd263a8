"""BCC programs: time, memory and instructions from C text to loaded programs, beside bcc itself where there is one.

    python benchmarks/bcc.py [--texts DIR] [--bcc-root DIR] [--runs N] [--filter TEXT]

Without --texts, the C programs of our own tests; DIR holds texts that tests/conformance/bcc/harvest.py wrote.  --bcc-root is a
root directory with bcc and kernel headers in it (debootstrap's, say), entered by chroot with mounts of our own.  Each program
is compiled and loaded by a process of its own, cold (no cached object), and by probee once more cached; nothing is attached.
Programs for tracing functions (fentry and the like) are left out where the kernel refuses them to both.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import measure
import peer

ROOT = Path(__file__).resolve().parents[1]
SMALL = os.environ.get("PROBEE_BENCH_SMALL") == "1"
LOADABLE = (1, 2, 3, 5, 6, 7, 17)  # types of programs that load without a function that they are made for


def main(argv: list[str]) -> int:
    peer.own_mounts()
    runs = int(_option(argv, "--runs", "1"))
    folder, root = _option(argv, "--texts", ""), _option(argv, "--bcc-root", "")
    cases = _harvested(folder) if folder else _own()
    wanted = _option(argv, "--filter", "")
    rows = []
    with tempfile.TemporaryDirectory() as work:
        bcc = Peer(root, work) if root else None
        for name, case in [(name, case) for name, case in cases if wanted in name][: 3 if SMALL else None]:
            row = _row(name, case, bcc, work, runs)
            if row is not None:
                rows.append(row)
                _show(row)
    _summary(rows)
    return 0


def _option(argv: list[str], name: str, default: str) -> str:
    return argv[argv.index(name) + 1] if name in argv else default


def _own() -> list[tuple[str, dict[str, Any]]]:
    sys.path.insert(0, str(ROOT / "tests"))
    from c_corpus import PROGRAMS

    return [(name, {"text": text, "cflags": []}) for name, text in PROGRAMS.items()]


def _harvested(folder: str) -> list[tuple[str, dict[str, Any]]]:
    """Return one text of each program: the first."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(Path(folder).glob("*.json")):
        case = json.loads(path.read_text())
        found.setdefault(case["program"], case)
    return list(found.items())


class Peer:
    """bcc in a root of its own."""

    def __init__(self, root: str, work: str) -> None:
        self.root = root
        self.cases = Path(root, "tmp", "probee-bench")
        self.cases.mkdir(exist_ok=True)
        (self.cases / "bcc_load.py").write_text((ROOT / "benchmarks" / "bcc_load.py").read_text())
        headers = sorted(Path(root, "usr/src").glob("linux-headers-*"))
        modules = f"{root}/lib/modules/{os.uname().release}"
        build = next((path.name for path in headers if not path.name.endswith("-common")), "")
        source = next((path.name for path in headers if path.name.endswith("-common")), "")
        self.script = (
            f"mkdir -p {modules} && ln -sfn /usr/src/{build} {modules}/build && ln -sfn /usr/src/{source} {modules}/source;"
            f" for d in proc sys dev; do mount --bind /$d {root}/$d; done;"
            f" mount -t tracefs tracefs {root}/sys/kernel/tracing 2>/dev/null;"
            f' exec chroot {root} python3 /tmp/probee-bench/bcc_load.py "$1"'
        )

    def command(self, name: str, text: str) -> list[str]:
        (self.cases / f"{name}.json").write_text(text)
        return ["/usr/bin/unshare", "-m", "sh", "-c", self.script, "sh", f"/tmp/probee-bench/{name}.json"]


class Row:
    def __init__(self, name: str) -> None:
        self.name = name
        self.samples: dict[str, measure.Sample] = {}
        self.sizes: dict[str, dict[str, int]] = {}


def _row(name: str, case: dict[str, Any], bcc: Peer | None, work: str, runs: int) -> Row | None:
    types = _types(case)
    if not types:
        print(f"{name}: has no program that can be loaded here")
        return None
    text = json.dumps({"text": case["text"], "cflags": case["cflags"], "types": types})
    plain = "".join(char if char.isalnum() else "_" for char in name)
    path = Path(work, f"{plain}.json")
    path.write_text(text)
    ours = [sys.executable, "-m", "probee", "bcc", str(ROOT / "benchmarks" / "bcc_load.py"), str(path)]
    row = Row(name)
    commands = {"cold": ours, "cached": ours, **({"bcc": bcc.command(plain, text)} if bcc is not None else {})}
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "probee", "objects")
    for which, command in commands.items():
        samples = []
        for _ in range(runs):
            if which == "cold":
                _forget(cache)
            sample, said = _run(command)
            if said is None:
                print(f"{name}: {which} failed")
                break
            samples.append(sample)
            row.sizes[which] = said["sizes"]
        if samples:
            row.samples[which] = measure.median_sample(samples)
    return row


def _types(case: dict[str, Any]) -> dict[str, int]:
    """Return the programs that can be loaded on their own, with their types, as our compiler sees them."""
    from probee.compiler.compile import compile_c
    from probee.errors import ProbeeError
    from probee.kernel.target import LiveTarget

    try:
        spec = compile_c(case["text"], LiveTarget(), {"cflags": case["cflags"]})
    except ProbeeError:
        return {}
    return {program.name: program.type for program in spec.programs if program.type in LOADABLE}


def _forget(cache: Path) -> None:
    for path in cache.rglob("*") if cache.exists() else ():
        if path.is_file():
            path.unlink()


def _run(command: list[str]) -> tuple[measure.Sample, dict[str, Any] | None]:
    import time

    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out:
        child = subprocess.Popen(
            command, stdout=out, stderr=subprocess.DEVNULL, env=measure.environment(PYTHONPATH=str(ROOT / "src"))
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - start
        out.seek(0)
        lines = out.read().splitlines()
    sample = measure.Sample(wall * 1e3, (usage.ru_utime + usage.ru_stime) * 1e3, usage.ru_maxrss / 1024, child.returncode)
    return sample, json.loads(lines[-1]) if child.returncode == 0 and lines else None


def _show(row: Row) -> None:
    parts = [f"{which} {s.cpu_ms:.0f} ms CPU {s.peak_mb:.0f} MB" for which, s in row.samples.items()]
    sizes = [f"{sum(size.values())} insns" for which, size in row.sizes.items() if which in ("cold", "bcc")]
    print(f"{row.name}: {'; '.join(parts)}; {' against '.join(sizes)}", flush=True)


def _summary(rows: list[Row]) -> None:
    """Print the medians, as ratios where there is a peer."""
    for which in ("cold", "cached", "bcc"):
        taken = [row.samples[which] for row in rows if which in row.samples]
        if taken:
            one = measure.median_sample(taken)
            what = f"{one.wall_ms:.0f} ms, {one.cpu_ms:.0f} ms of CPU, {one.peak_mb:.0f} MB"
            print(f"{which}: median of {len(taken)} programs {what}")
    both = [row for row in rows if "bcc" in row.samples and "cold" in row.samples]
    if both:
        for which in ("cold", "cached"):
            measured = [row.samples for row in both if which in row.samples]
            cpu = measure.median([samples["bcc"].cpu_ms / samples[which].cpu_ms for samples in measured])
            memory = measure.median([row.samples[which].peak_mb / row.samples["bcc"].peak_mb for row in both])
            print(f"{which}: {cpu:.1f} times faster than bcc, {memory:.2f} of its memory (medians of ratios)")
        ratios = [
            sum(row.sizes["cold"][name] for name in shared) / sum(row.sizes["bcc"][name] for name in shared)
            for row in both
            if (shared := row.sizes["cold"].keys() & row.sizes["bcc"].keys())
        ]
        if ratios:
            print(f"instructions against bcc's (clang -O2): median {measure.median(ratios):.2f}, worst {max(ratios):.2f}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
