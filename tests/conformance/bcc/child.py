"""What a forked child does: it is one unittest method of upstream's, or one of upstream's tools.

Commands of the smoke tests, which upstream starts by `timeout` in a shell, are forked from here, with limits that fit the
machine; any other command of a test is run as it stands.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path
from typing import Any

from process import usage, wait
from upstream import Case

SETTLE_S = 1.5  # without spending processor time, after something was attached
BUSY_S = 12.0  # after the last link, of a program that never rests
TOOL_S = 10.0
_TIMEOUT = re.compile(r"timeout -s (\w+) (?:-k (\d+)s )?(\d+)s (.*?) > /dev/null$", re.DOTALL)


def run_method(case: Case, tests: Path, shared: Any, factor: float) -> dict[str, object]:
    """Run one method as unittest does; return its result."""
    path = tests / f"{case.suite}.py"
    sys.argv = [str(path), *case.arguments]
    sys.path.insert(0, str(tests))
    _prepare(shared)
    real = subprocess.call

    def call(command: Any, *rest: Any, **more: Any) -> int:
        limited = isinstance(command, str) and _TIMEOUT.match(command)
        return _limited(command, shared, factor) if limited else real(command, *rest, **more)

    subprocess.call = call  # type: ignore[assignment]
    outcome = unittest.TestResult()
    try:
        module = _imported(path, case.suite)
        suite = unittest.defaultTestLoader.loadTestsFromName(case.name, module)
    except unittest.SkipTest as skip:
        return {"status": "skipped", "why": str(skip)}
    except BaseException as error:
        return {"status": "failed", "why": f"import: {error!r}"[:300]}
    suite.run(outcome)
    if outcome.skipped:
        return {"status": "skipped", "why": outcome.skipped[0][1]}
    if bad := outcome.errors + outcome.failures:
        text = bad[0][1]
        sys.stderr.write(f"\n{text}")
        return {"status": "failed", "why": text.strip().splitlines()[-1][:200]}
    return {"status": "passed", "why": "upstream expects a failure" if outcome.expectedFailures else ""}


def _imported(path: Path, name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_tool(case: Case, tests: Path, shared: Any, factor: float) -> dict[str, object]:
    """Run a tool that no smoke test runs; it passes when it attached something, and ended in order."""
    disks = sorted(os.listdir("/sys/block"))
    values = {"pid": os.getpid(), "file": os.path.realpath("/proc/self/exe"), "disk": f"/dev/{disks[0] if disks else 'sda'}"}
    os.chdir(tests.parents[1] / "tools")  # where some look for what belongs to them
    words = [f"./{case.name}.py", *(word.format(**values) for word in case.arguments)]
    _prepare(shared)
    status = _command(shlex.join(words), "INT", TOOL_S, TOOL_S, shared, factor, quiet=False)
    if status not in (0, 124):
        return {"status": "failed", "why": f"exit status {status}"}
    if not shared[0] and not shared[1] and case.name not in ("bpflist", "tplist"):
        return {"status": "failed", "why": "nothing was loaded or attached"}
    return {"status": "passed", "why": ""}


def _prepare(shared: Any) -> None:
    """Let `bcc` be ours, and count what is loaded and attached."""
    from probee.bcc.alias import install
    from probee.bcc.core import Core
    from probee.bcc.module import Module

    install()
    keep, load = Core.keep, Module.load

    def counted_keep(*arguments: Any, **more: Any) -> Any:
        shared.add(0)
        return keep(*arguments, **more)

    def counted_load(*arguments: Any, **more: Any) -> Any:
        done = load(*arguments, **more)
        shared.add(1)
        return done

    Core.keep, Module.load = counted_keep, counted_load  # type: ignore[method-assign]


def _limited(command: str, shared: Any, factor: float) -> int:
    """Do what a shell with `timeout` would, in this machine's time."""
    found = _TIMEOUT.match(command)
    assert found is not None
    kind, kill, seconds, words = found.groups()
    return _command(words, kind, float(seconds), float(kill or 0), shared, factor, quiet=True)


def _command(words: str, kind: str, limit: float, kill: float, shared: Any, factor: float, *, quiet: bool) -> int:
    """Run a command, send it a signal when its time is up; return what `timeout` returns.

    `limit` and `kill` are in seconds of an ordinary machine; without `kill` the command is to end by itself.
    """
    pid = os.fork()
    if not pid:
        os.setpgid(0, 0)
        if quiet:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        _become_tool(words)
    status = wait(pid, limit * factor, settled=_Settled(pid, shared) if kill else None)
    if status is not None:
        return status if status >= 0 else 128 - status
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.Signals[f"SIG{kind}"])
    status = wait(pid, kill * factor)
    if status is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return 137
    return 137 if kind == "KILL" else 124


class _Settled:
    """Says when a command has attached something and waits."""

    def __init__(self, pid: int, shared: Any) -> None:
        self._pid = pid
        self._shared = shared
        self._spent = self._links = -1
        self._changed = self._linked = time.monotonic()

    def __call__(self) -> bool:
        now, spent, links = time.monotonic(), usage(self._pid), self._shared[0]
        if spent != self._spent:
            self._spent, self._changed = spent, now
        if links != self._links:
            self._links, self._linked = links, now
        if not links:
            return now - self._changed > SETTLE_S * 10  # it waits for something else
        return now - self._changed > SETTLE_S or now - self._linked > BUSY_S


def _become_tool(words: str) -> None:
    """Be a tool in Python, in this interpreter; run anything else by a shell."""
    argv = shlex.split(words)
    if not argv[0].endswith(".py"):
        os.execv("/bin/bash", ["bash", "-c", words])
    status = 1
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    try:
        from probee.cli.bcc import main

        main(argv)
    except SystemExit as done:
        status = done.code if isinstance(done.code, int) else int(done.code is not None)
        if isinstance(done.code, str):
            sys.stderr.write(f"{done.code}\n")
    except BaseException:
        sys.excepthook(*sys.exc_info())
    with contextlib.suppress(BaseException):
        import atexit

        atexit._run_exitfuncs()
        sys.stdout.flush()
    os._exit(status)
