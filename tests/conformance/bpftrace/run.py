"""Runs the runtime cases of a bpftrace checkout, and its ready-made tools, against probee; prints tables.

    BPFTRACE_SRC=checkout python tests/conformance/bpftrace/run.py                     what attaches to nothing but ourselves
    BPFTRACE_SRC=checkout python tests/conformance/bpftrace/run.py --guest 6.12        the rest, in a lab guest

A case that was run since probee last changed is not run again; --again runs it, --failed runs only what failed last.
README.md beside this file tells how it works.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from case import Case, number, parse, read_cases
from judge import Result
from place import run_here, run_in_guest, send
from rung import GUEST, NATIVE, RUNGS, rung
from scratch import cache_dir, not_built, scratch
from stimulus import stimulated
from store import Store
from table import tables
from tool import tool_cases

IN_GUEST = bool(os.environ.get("LAB"))


def main() -> int:
    options = _options()
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:{cache_dir() / 'bin'}"  # for programs that cases call
    checkout = Path(options.checkout)
    if options.cases:
        tests, cases = Path(options.cases), _own(Path(options.cases))
    elif (checkout / "tests" / "runtime").is_dir():
        place = scratch(checkout.resolve())
        tests = place / "tests"
        cases = number([*read_cases(tests), *tool_cases(place / "tools"), *stimulated(place / "tools")])
        if options.list == "programs":
            print("\n".join(not_built(place)))
            return 0
    else:
        sys.exit("BPFTRACE_SRC must name a checkout of bpftrace")
    if options.inside:
        wanted = set(json.loads(Path(options.inside).read_text()))
        run_here([case for case in cases if case.ident in wanted], tests, send, guest=True)
        return 0
    cases = [case for case in cases if _is_wanted(case, options)]
    if options.list:
        return _list(cases)
    return _run(cases, tests, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--guest", default="", metavar="KERNEL", help="run in a lab guest")
    parser.add_argument("--connect", default="", metavar="SOCKET", help="run in the guest of this lab server")
    parser.add_argument("--rungs", default="", help=f"which rungs (default: {','.join(NATIVE)}; in a guest {','.join(GUEST)})")
    parser.add_argument("--filter", default="", help="only cases whose suite.name matches this regular expression")
    parser.add_argument("--failed", action="store_true", help="run only what did not pass last; the rest counts as it was")
    parser.add_argument("--again", action="store_true", help="run even what was run since probee last changed")
    parser.add_argument("--list", nargs="?", const="cases", choices=("cases", "programs"), help="print the cases, not run")
    parser.add_argument("--cases", default="", metavar="DIRECTORY", help="run the cases of this directory instead")
    parser.add_argument("--checkout", default=os.environ.get("BPFTRACE_SRC", ""), help="of bpftrace (default: $BPFTRACE_SRC)")
    parser.add_argument("--json", default="", metavar="FILE", help="write what each case did to this file")
    parser.add_argument("--report", default="", metavar="FILE", help="write failing cases, whole, to this file")
    parser.add_argument("-v", action="store_true", help="show the output of what failed")
    parser.add_argument("--skipped", action="store_true", help="list what was skipped")
    parser.add_argument("--inside", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def _own(directory: Path) -> list[Case]:
    return number([case for path in sorted(directory.glob("*.case")) for case in parse(path.stem, path.read_text())])


def _is_wanted(case: Case, options: argparse.Namespace) -> bool:
    in_guest = IN_GUEST or options.guest or options.connect
    default = RUNGS if options.cases else GUEST if in_guest else NATIVE
    rungs = options.rungs.split(",") if options.rungs else default
    if unknown := set(rungs) - set(RUNGS):
        sys.exit(f"no such rung: {', '.join(sorted(unknown))}; there are {', '.join(RUNGS)}")
    return rung(case) in rungs and bool(re.search(options.filter, case.ident))


def _list(cases: list[Case]) -> int:
    for case in cases:
        print(f"{rung(case):<3} {case.ident}")
    print(f"{len(cases)} cases")
    return 0


def _run(cases: list[Case], tests: Path, options: argparse.Namespace) -> int:
    where = options.guest or ("guest" if IN_GUEST or options.connect else "native")
    store = Store(f"own-{where}" if options.cases else where, tests)
    results: dict[str, Result] = {}
    for case in cases:
        kept = store.last(case) if options.failed else None if options.again else store.fresh(case)
        if kept is not None and not (options.failed and kept.status != "passed"):
            results[case.ident] = kept
    if results:
        print(f"{len(results)} of {len(cases)} are not run again", file=sys.stderr)

    missing = [case for case in cases if case.ident not in results]

    def report(case: Case, result: Result) -> None:
        results[case.ident] = result
        if len(results) % 25 == 0:
            print(f"{len(results)} of {len(cases)} done", file=sys.stderr, flush=True)
            store.save()
        store.keep(case, result)
        if result.status == "failed":
            print(f"FAILED   {case.ident}: {result.why}", flush=True)
        elif result.status == "skipped" and options.skipped:
            print(f"skipped  {case.ident}: {result.why}", flush=True)
        if result.status == "failed" and options.v:
            print(whole(case, result))

    try:
        if missing and (options.guest or options.connect):
            run_in_guest(options.guest or "6.12", missing, _source(options), report, connect=options.connect)
        elif missing:
            run_here(missing, tests, report, guest=IN_GUEST)
    finally:
        store.save()
    return _finish([(case, results[case.ident]) for case in cases if case.ident in results], options)


def _source(options: argparse.Namespace) -> list[str]:
    """Return the options that say where the cases are read from, for a run elsewhere."""
    if options.cases:
        return ["--cases", str(Path(options.cases).resolve())]
    return ["--checkout", str(Path(options.checkout).resolve())]


def _finish(done: list[tuple[Case, Result]], options: argparse.Namespace) -> int:
    failed = [(case, result) for case, result in done if result.status == "failed"]
    if options.json:
        Path(options.json).write_text(json.dumps({case.ident: result.as_dict() for case, result in done}))
    if options.report:
        Path(options.report).write_text("\n".join(whole(case, result) for case, result in failed))
    print(tables(done))
    return 1 if failed else 0


def whole(case: Case, result: Result) -> str:
    """Return all that there is to know about a failure."""
    return f"=== {rung(case)} {case.ident}: {result.why}\n--- case\n{case.everything}\n--- printed\n{result.output}\n"


if __name__ == "__main__":
    sys.exit(main())
