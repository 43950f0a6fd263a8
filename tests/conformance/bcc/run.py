"""Runs the unittest methods of a bcc checkout, and its tools, against our `bcc`; prints tables.

    BCC_SRC=checkout python tests/conformance/bcc/run.py --guest 6.12            all, in a lab guest that is booted for it
    BCC_SRC=checkout python tests/conformance/bcc/run.py --connect SOCKET        in the guest of `probee lab serve`
    BCC_SRC=checkout python tests/conformance/bcc/run.py --filter test_clang     some, on this machine

Upstream's tests want the packages pyroute2 (before 0.8) and netaddr, and programs that send packets: from BCC_SITE and the
directory `bcc-bin` beside it, or the cache, where --setup puts them (the programs, where there is apt-get).
What each case did last is kept; --failed runs again what did not pass.
"""

from __future__ import annotations

import argparse
import compileall
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from table import tables
from upstream import Case, cases_of, idle_methods, tool_names

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "probee-conformance"
SITE = Path(os.environ.get("BCC_SITE") or CACHE / "bcc-site")
PROGRAMS = ("iputils-ping", "iputils-arping", "iperf", "netperf")  # Debian's; the last is in non-free
PACKAGES = ("pyroute2<0.8", "netaddr", "setuptools<81")
_MARK = "RESULT "

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bench import Bench

Report = Callable[[Case, dict], None]


def main() -> int:
    options = _options()
    checkout = Path(options.checkout).resolve()
    if options.setup:
        return _setup()
    if not (checkout / "tests" / "python").is_dir():
        sys.exit("BCC_SRC must name a checkout of bcc")
    cases = cases_of(checkout)
    if options.inside:
        wanted = json.loads(Path(options.inside).read_text())
        _run_here([case for case in cases if case.ident in wanted], checkout, _send, options.jobs)
        return 0
    cases = [case for case in cases if re.search(options.filter, case.ident)]
    if options.list:
        print("\n".join(f"{case.ident} {' '.join(case.arguments)}".rstrip() for case in cases) + f"\n{len(cases)} cases")
        return 0
    return _run(cases, checkout, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--guest", default="", metavar="KERNEL", help="run in a lab guest")
    parser.add_argument("--connect", default="", metavar="SOCKET", help="run in the guest of this lab server")
    parser.add_argument("--filter", default="", help="only cases whose file.Class.method, or tools.name, matches")
    parser.add_argument("--failed", action="store_true", help="run only what did not pass last; the rest counts as it was")
    parser.add_argument("--list", action="store_true", help="print the cases, do not run them")
    parser.add_argument("--table", action="store_true", help="run nothing; print the tables of what was run last")
    parser.add_argument("--setup", action="store_true", help="put the packages that upstream's tests want into the cache")
    parser.add_argument("--checkout", default=os.environ.get("BCC_SRC", ""), help="of bcc (default: $BCC_SRC)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="run so many cases at once (some disturb each other)")
    parser.add_argument("-v", action="store_true", help="show the output of what failed")
    parser.add_argument("--inside", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def _setup() -> int:
    """Put packages and programs into the cache; return the exit status."""
    done = subprocess.run([sys.executable, "-m", "pip", "install", "--target", str(SITE), *PACKAGES], check=False).returncode
    programs = SITE.parent / "bcc-bin"
    programs.mkdir(parents=True, exist_ok=True)
    for name in PROGRAMS if shutil.which("apt-get") else ():
        subprocess.run(["apt-get", "download", name], cwd=programs, check=False)
    for package in programs.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(package), str(programs)], check=True)
        package.unlink()
    return done


def _run(cases: list[Case], checkout: Path, options: argparse.Namespace) -> int:
    where = options.guest or ("guest" if options.connect else "native")
    path = CACHE / f"bcc-results-{where}.json"
    kept: dict[str, dict] = json.loads(path.read_text()) if path.exists() else {}
    passed = {ident for ident, result in kept.items() if result["status"] == "passed"}
    todo = [] if options.table else [case for case in cases if not (options.failed and case.ident in passed)]

    def report(case: Case, result: dict) -> None:
        kept.update(_keep(path, case.ident, result))
        line = f"{result['status']:<8} {case.ident} {result['seconds']} s, {result['links']} attached"
        print(f"{line}: {result['why']}" if result["why"] else line, flush=True)
        if options.v and result["status"] == "failed":
            print(result["output"], flush=True)

    CACHE.mkdir(parents=True, exist_ok=True)
    if todo and (options.guest or options.connect):
        _run_in_guest(todo, checkout, report, options)
    elif todo:
        _run_here(todo, checkout, report, options.jobs)
    kept = json.loads(path.read_text()) if path.exists() else {}
    done = [(case, kept[case.ident]) for case in cases if case.ident in kept]
    idle = idle_methods(checkout / "tests" / "python" / "test_tools_smoke.py")
    print(tables(done, tool_names(checkout) if not options.filter else [], idle))
    return int(any(result["status"] == "failed" for _, result in done))


def _keep(path: Path, ident: str, result: dict) -> dict[str, dict]:
    """Write a result beside the others, of which another run may have changed some; return all."""
    with open(path, "a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        kept: dict[str, dict] = {**(json.loads(text) if text else {}), ident: result}
        file.truncate(0)
        file.write(json.dumps(kept, indent=0))
    return kept


def _run_here(cases: list[Case], checkout: Path, report: Report, jobs: int = 1) -> None:
    sys.path.insert(0, str(SITE))
    sys.path.append(str(Path(__file__).parents[1] / "bpftrace"))
    os.environ["BCC_SITE"] = str(SITE)
    from bench import Bench
    from speed import measure

    factor = measure()
    print(f"time limits × {factor:g} (measured)", file=sys.stderr, flush=True)
    directory = tempfile.mkdtemp(prefix="conformance-")  # not TemporaryDirectory: a forked program's end would remove it
    os.environ["XDG_CACHE_HOME"] = f"{directory}/cache"
    try:
        bench = Bench(checkout, Path(directory), factor=factor)
        if jobs > 1:
            _share_out(cases, bench, jobs, report)
        for case in cases if jobs <= 1 else ():
            report(case, bench.run(case))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _share_out(cases: list[Case], bench: Bench, jobs: int, report: Report) -> None:
    """Run cases in several processes; a byte in a pipe is a case that nobody has taken."""
    from bench import Shared

    told, tell = os.pipe()
    os.write(tell, bytes(len(cases)))
    os.close(tell)
    taken = Shared()
    pids = []
    for _ in range(jobs):
        pid = os.fork()
        if not pid:
            bench.shared = Shared()
            try:
                while os.read(told, 1):
                    taken.add(0)
                    case = cases[taken[0] - 1]
                    report(case, bench.run(case))
            finally:
                os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)


def _run_in_guest(cases: list[Case], checkout: Path, report: Report, options: argparse.Namespace) -> None:
    """Boot a guest, or use a lab server's, and run cases in it; what each did comes back as one line of JSON."""
    import probee
    from probee.lab import Guest

    compileall.compile_dir(str(Path(probee.__file__).parent), quiet=2)  # the guest cannot write beside the source
    by_ident = {case.ident: case for case in cases}
    rest = {"stdout": b"", "stderr": b""}

    def feed(stream: str, data: bytes) -> None:
        *lines, rest[stream] = (rest[stream] + data).split(b"\n")
        for line in (each.decode("utf-8", "replace") for each in lines):
            if line.startswith(_MARK):
                ident, result = json.loads(line[len(_MARK) :])
                report(by_ident[ident], result)
            elif line:
                print(f"guest: {line}", file=sys.stderr, flush=True)

    with tempfile.NamedTemporaryFile("w", dir=CACHE, prefix="job-", suffix=".json") as job:
        json.dump(list(by_ident), job)
        job.flush()
        os.fsync(job.fileno())
        with Guest(options.guest or "6.12", connect=options.connect) as guest:
            command = [sys.executable, str(Path(__file__).resolve()), "--inside", job.name, "--checkout", str(checkout)]
            command += ["--jobs", str(options.jobs)]
            guest.run(command, timeout_s=None, env={"BCC_SITE": str(SITE)}, stream=feed)


def _send(case: Case, result: dict) -> None:
    with open(f"{os.environ['XDG_CACHE_HOME']}.lock", "a", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # lines of several processes must not mix
        print(_MARK + json.dumps([case.ident, result]), flush=True)


if __name__ == "__main__":
    sys.exit(main())
