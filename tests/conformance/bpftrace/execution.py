"""Runs one case: what comes before, the command, what comes after, and its time limits.

As upstream's engine does it: ten seconds until the probes are attached, then TIMEOUT; both are multiplied by a factor for
slow machines.  Then SIGTERM to the command's session, a second, SIGKILL.  One thing differs, to be quick where the factor
is large: a case that has printed all that it ought to is given its unmultiplied TIMEOUT to end by itself.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import launch
from case import Case
from judge import Result, judge, satisfied

ATTACH_S = 10.0
SETTLE_S = 3.0  # at least, after all that is expected was printed
NOTIFY = "__BPFTRACE_NOTIFY_PROBES_ATTACHED"


class Bench:
    """What all cases share: upstream's tests directory, the launcher for shells, and how slow this machine is."""

    def __init__(self, tests: Path, launcher: Path, *, factor: float, cache: str) -> None:
        self.tests = tests
        self.launcher = launcher
        self.factor = factor
        self.environment = {NOTIFY: "1", "PATH": os.environ.get("PATH", ""), "XDG_CACHE_HOME": cache}

    def run(self, case: Case) -> Result:
        """Run a case and judge it."""
        started = time.monotonic()
        result = _Execution(self, case).run()
        result.seconds = round(time.monotonic() - started, 2)
        return result

    def output_of(self, argv: list[str]) -> str:
        """Return what a bpftrace command prints."""
        pid, pipe = launch.spawn(argv, cwd=self.tests, environment=self.environment)
        with open(pipe, "rb") as file:
            text = file.read().decode("utf-8", "backslashreplace")
        os.waitpid(pid, 0)
        return text


class NotReady(Exception):
    """What has to come before a case did not come."""


class _Execution:
    def __init__(self, bench: Bench, case: Case) -> None:
        self.bench = bench
        self.case = case
        self.others: list[subprocess.Popen[bytes]] = []  # BEFORE and AFTER
        self.inside: list[str] = []  # what puts a command into the case's own pid namespace
        self.output = b""
        self.attached = self.settled = self.timed_out = False
        self.deadline = 0.0

    def run(self) -> Result:
        try:
            self._shell("SETUP")
            self._start_befores()
            status = self._run_command()
        except NotReady as error:
            return Result("failed", str(error))
        finally:
            for process in self.others:
                _end(process)
            with contextlib.suppress(NotReady):
                self._shell("CLEANUP")
        return judge(self.case, self._text(), status, self.bench.tests, timed_out=self.timed_out)

    def _text(self) -> str:
        return self.output.decode("utf-8", "backslashreplace").replace("\r\n", "\n")

    # What comes before and after.

    def _shell(self, directive: str) -> None:
        command = self.case.given.get(directive)
        if command is not None:
            done = subprocess.run([launch.SHELL, "-c", command], capture_output=True, check=False, cwd=self.bench.tests)
            if done.returncode:
                raise NotReady(f"{directive} failed: {(done.stderr or done.stdout).decode(errors='replace')[-200:]}")

    def _start_befores(self) -> None:
        befores = self.case.befores
        if "NEW_PIDNS" in self.case.given:
            unshare = ["unshare", "--fork", "--pid", "--mount-proc", "-r", "--kill-child", "--", *befores[0].split()]
            first = self._popen(unshare)
            child = self._wait(lambda: (_children(first.pid) or [0])[0], befores[0])
            self.inside = ["nsenter", "-p", "-m", "-t", str(child)]
            befores = [" ".join([*self.inside, *map(self._absolute, before.split())]) for before in befores[1:]]
        for before in befores:
            try:
                process = self._popen(before.split())
            except OSError as error:
                raise NotReady(f"BEFORE did not start: {error}") from None
            name = os.path.basename(before.split()[-1])[:15]
            self._wait(lambda process=process, name=name: _comm(process.pid) == name or _has_child(process.pid, name), before)

    def _absolute(self, word: str) -> str:
        return os.path.normpath(self.bench.tests / word)

    def _wait(self, ready: Callable[[], int], before: str) -> int:
        limit = time.monotonic() + self.case.timeout_s * self.bench.factor
        while not (found := ready()):
            if time.monotonic() > limit:
                raise NotReady(f"BEFORE did not start: {before}")
            time.sleep(0.02)
        return found

    def _popen(self, command: list[str] | str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command, shell=isinstance(command, str), executable=launch.SHELL if isinstance(command, str) else None,
            cwd=self.bench.tests, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.others.append(process)
        return process

    def _start_after(self) -> None:
        after = self.case.given.get("AFTER")
        if after is not None:
            self._popen([*self.inside, *map(self._absolute, after.split())] if self.inside else after)

    # The command.

    def _command(self) -> list[str] | str:
        case = self.case
        if "PROG" in case.given:
            argv = launch.words(case.given["PROG"], json=bool(case.expects) and case.expects[0][0] == "EXPECT_JSON")
            return argv if not self.inside else shlex.join([*self.inside, str(self.bench.launcher), *argv])
        run = case.given["RUN"]
        if "{{BEFORE_PID}}" in run:
            run = run.replace("{{BEFORE_PID}}", str(self.others[0].pid))
        argv = launch.plain_words(run)
        if argv is not None and not self.inside:
            return argv
        return " ".join([*self.inside, run.replace("{{BPFTRACE}}", f"{self.bench.launcher} {launch.FLAG}")])

    def _run_command(self) -> int:
        environment = {"test": self.case.name, **self.bench.environment, **self.case.environment}
        pid, pipe = launch.spawn(self._command(), cwd=self.bench.tests, environment=environment)
        self.deadline = time.monotonic() + ATTACH_S * self.bench.factor
        try:
            while chunk := self._chunk(pid, pipe):
                self._take(chunk)
        finally:
            os.close(pipe)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def _chunk(self, pid: int, pipe: int) -> bytes:
        """Wait for output; b"" at its end, or when the time was up and the command has had its chance to end."""
        while True:
            left = self.deadline - time.monotonic()
            if left > 0 and select.select([pipe], [], [], left)[0]:
                return os.read(pipe, 65536)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL if self.timed_out else signal.SIGTERM)
            if self.timed_out:
                return b""
            self.timed_out, self.deadline = True, time.monotonic() + self.bench.factor

    def _take(self, chunk: bytes) -> None:
        self.output += chunk
        notice = f"{NOTIFY}\n".encode()
        if not self.attached and notice in self.output:
            self.attached = True
            self.deadline = time.monotonic() + self.case.timeout_s * self.bench.factor
            if self.case.is_exact:
                self.output = self.output.partition(notice)[2]
            self._start_after()
        if self.attached and not self.settled and not self.timed_out and satisfied(self.case, self._text(), self.bench.tests):
            self.settled = True
            self.deadline = min(self.deadline, time.monotonic() + max(self.case.timeout_s, SETTLE_S))


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _comm(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().rstrip("\n")
    except OSError:
        return ""


def _children(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def _has_child(pid: int, name: str) -> bool:
    return any(_comm(child) == name or _has_child(child, name) for child in _children(pid))
