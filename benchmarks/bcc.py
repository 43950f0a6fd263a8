"""BCC programs: time, memory and instructions from C text to loaded programs, beside bcc itself where there is one.

    python benchmarks/bcc.py [--texts DIR] [--bcc-root DIR] [--runs N] [--filter TEXT]

Without --texts, the C programs of our own tests; DIR holds texts that tests/conformance/bcc/harvest.py wrote, of which each
program's first is taken that compiles for this kernel.  --bcc-root is a root directory with bcc and kernel headers in it
(debootstrap's, say), entered by chroot with mounts of our own.  Each program is compiled and loaded by a process of its own,
cold (no cached object), and by probee once more cached; nothing is attached.  Functions of types that the kernel may refuse to
both (fentry and the like) are compiled and not loaded.  Programs that need a process with USDT probes are left out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
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
    chosen = [(name, texts) for name, texts in cases.items() if wanted in name][: 3 if SMALL else None]
    with tempfile.TemporaryDirectory() as work:
        bcc = Peer(root, work) if root else None
        for name, texts in chosen:
            row = _row(name, texts, bcc, work, runs)
            if row is not None:
                rows.append(row)
                _show(row)
    _summary("tools" if folder else "programs", [row for row in rows if "/" not in row.name])
    _summary("examples", [row for row in rows if "/" in row.name])
    return 0


def _option(argv: list[str], name: str, default: str) -> str:
    return argv[argv.index(name) + 1] if name in argv else default


Case = dict[str, Any]


def _own() -> dict[str, list[Case]]:
    sys.path.insert(0, str(ROOT / "tests"))
    from c_corpus import PROGRAMS

    return {name: [{"text": text, "cflags": []}] for name, text in PROGRAMS.items()}


def _harvested(folder: str) -> dict[str, list[Case]]:
    """Return the texts of each program, in the order to try them: made for a whole kernel, without options, in full."""
    found: dict[str, list[Case]] = {}
    cases = [json.loads(path.read_text()) for path in sorted(Path(folder).glob("*.json"))]
    for case in sorted(cases, key=lambda c: (c["mode"] != "target", len(c["arguments"]), -len(c["text"]))):
        found.setdefault(case["program"], []).append(case)
    return dict(sorted(found.items()))


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

    def cpu_ratio(self, which: str) -> float:
        return self.samples["bcc"].cpu_ms / self.samples[which].cpu_ms

    def memory_ratio(self, which: str) -> float:
        return self.samples[which].peak_mb / self.samples["bcc"].peak_mb

    def size_ratio(self) -> float:
        """Return how many instructions our functions have for one of bcc's, 0 when they have none in common."""
        ours, theirs = self.sizes["cold"], self.sizes["bcc"]
        shared = ours.keys() & theirs.keys()
        return sum(ours[name] for name in shared) / sum(theirs[name] for name in shared) if shared else 0.0


def _row(name: str, texts: list[Case], bcc: Peer | None, work: str, runs: int) -> Row | None:
    plain = "".join(char if char.isalnum() else "_" for char in name)
    path = Path(work, f"{plain}.json")
    why = _choose(texts, path)
    if why:
        print(f"{name}: left out: {why}")
        return None
    text = path.read_text()
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
            if said["refused"] and not samples[1:]:
                print(f"{name}: {which}: not loaded: {said['refused']}")
        if samples:
            row.samples[which] = measure.median_sample(samples)
    return row


def _choose(texts: list[Case], path: Path) -> str:
    """Write the first text that compiles here into a file; return why there is none.

    That is done by a process of its own: this one must stay small (measure.py).
    """
    child = os.fork()
    if not child:
        case, why = _first_that_compiles(texts)
        path.write_text(json.dumps(case) if case is not None else why)
        os._exit(case is None)
    _, status = os.waitpid(child, 0)
    return path.read_text() if status else ""


def _first_that_compiles(texts: list[Case]) -> tuple[Case | None, str]:
    from probee.compiler.compile import compile_c
    from probee.errors import ProbeeError
    from probee.kernel.target import LiveTarget

    why = ""
    for case in texts:
        try:
            spec = compile_c(case["text"], LiveTarget(), {"cflags": case["cflags"]})
        except ProbeeError as error:
            why = why or str(error)
            continue
        types = {program.name: program.type for program in spec.programs}
        only = [name for name, type in types.items() if type not in LOADABLE]
        return {"text": case["text"], "cflags": case["cflags"], "types": types, "only_compiled": only}, ""
    return None, why


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


def _summary(title: str, rows: list[Row]) -> None:
    """Print the medians, as ratios where there is a peer, and the worst."""
    for which in ("cold", "cached", "bcc"):
        taken = [row.samples[which] for row in rows if which in row.samples]
        if taken:
            one = measure.median_sample(taken)
            what = f"{one.wall_ms:.0f} ms, {one.cpu_ms:.0f} ms of CPU, {one.peak_mb:.0f} MB"
            print(f"{title}, {which}: median of {len(taken)} programs {what}")
    both = [row for row in rows if "bcc" in row.samples and "cold" in row.samples]
    for which in ("cold", "cached"):
        measured = [row for row in both if which in row.samples]
        _tell(f"{title}, {which}: CPU, bcc's / ours", {r.name: r.cpu_ratio(which) for r in measured}, worst=min)
        _tell(f"{title}, {which}: memory, ours / bcc's", {r.name: r.memory_ratio(which) for r in measured}, worst=max)
    _tell(f"{title}: instructions, ours / bcc's", {r.name: r.size_ratio() for r in both if r.size_ratio()}, worst=max)


def _tell(what: str, ratios: dict[str, float], worst: Callable[..., float]) -> None:
    if ratios:
        ranked = sorted(ratios.items(), key=lambda item: item[1], reverse=worst is max)
        worse = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ranked[:8])
        print(f"{what}: median of {len(ratios)} {measure.median(list(ratios.values())):.2f}; worst {worse}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
