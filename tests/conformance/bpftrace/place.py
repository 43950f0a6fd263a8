"""Runs a list of cases in one place: here, or in a lab guest that is booted for it.

In a guest the same program runs, told by a file which cases; what each did comes back as one line of JSON.
"""

from __future__ import annotations

import compileall
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import launch
from case import Case
from execution import Bench
from feature import Place
from isolation import names_processes, run_alone
from judge import Result
from scratch import cache_dir
from speed import measure
from tool import load_modules, second_chance

import probee

Report = Callable[[Case, Result], None]
_MARK = "RESULT "


class Here:
    """This machine, or the guest that this process runs in."""

    def __init__(self, tests: Path, *, guest: bool, factor: float = 0.0) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="conformance-")
        path = Path(self._directory.name)
        launch.preload()
        self.factor = factor or measure()
        self._bench = Bench(tests, launch.write_launcher(path), factor=self.factor, cache=str(path / "cache"))
        self._place = Place(tests, lambda: self._info, guest=guest)
        self._guest = guest

    @cached_property
    def _info(self) -> str:
        return self._bench.output_of(["--info"])

    def run(self, case: Case) -> Result:
        """Run a case, unless there is a reason not to."""
        skip = self._place.skip(case)
        if skip is not None:
            return Result("skipped", skip.why, excused=skip.excused)
        if not self._guest and names_processes(case):
            return run_alone(self._bench.run, case)
        result = self._bench.run(case)
        if case.suite == "tools" and result.status == "failed" and "AFTER" not in case.given:
            return second_chance(case, self._bench.run, self._bench.output_of) or result
        return result


def run_here(cases: list[Case], tests: Path, report: Report, *, guest: bool, factor: float = 0.0) -> None:
    """Run cases on this machine."""
    here = Here(tests, guest=guest, factor=factor)
    print(f"time limits × {here.factor:g} (measured)", file=sys.stderr, flush=True)
    if guest and any(case.suite == "tools" for case in cases):
        load_modules()
    for case in cases:
        report(case, here.run(case))


def run_in_guest(kernel: str, cases: list[Case], words: list[str], report: Report, *, connect: str = "") -> None:
    """Boot a guest, or use a lab server's, and run cases in it; `words` say again where the cases are read from."""
    from probee.lab import Guest

    compileall.compile_dir(str(Path(probee.__file__).parent), quiet=2)  # the guest cannot write beside the source
    by_ident = {case.ident: case for case in cases}
    lines = _Lines(lambda line: _take(line, by_ident, report))
    with _job_file([case.ident for case in cases]) as job, Guest(kernel, connect=connect) as guest:
        command = [sys.executable, str(Path(__file__).with_name("run.py")), "--inside", job, *words]
        guest.run(command, timeout_s=None, env={"XDG_CACHE_HOME": str(cache_dir().parent)}, stream=lines.feed)


@contextlib.contextmanager
def _job_file(idents: list[str]) -> Iterator[str]:
    with tempfile.NamedTemporaryFile("w", dir=cache_dir(), prefix="job-", suffix=".json") as file:
        json.dump(idents, file)
        file.flush()
        os.fsync(file.fileno())
        yield file.name


def _take(line: str, cases: dict[str, Case], report: Report) -> None:
    if line.startswith(_MARK):
        ident, values = json.loads(line[len(_MARK) :])
        report(cases[ident], Result.from_dict(values))
    elif line:
        print(f"guest: {line}", file=sys.stderr, flush=True)


def send(case: Case, result: Result) -> None:
    """Tell the machine outside what a case did."""
    print(_MARK + json.dumps([case.ident, result.as_dict()]), flush=True)


class _Lines:
    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._rest = {"stdout": b"", "stderr": b""}

    def feed(self, stream: str, data: bytes) -> None:
        *lines, self._rest[stream] = (self._rest[stream] + data).split(b"\n")
        for line in lines:
            self._take(line.decode("utf-8", "replace"))
