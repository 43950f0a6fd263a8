"""What a forked child does that is one unittest method of upstream's.

Commands of the smoke tests, which upstream starts by `timeout` in a shell, are forked from here, with limits that fit the
machine; any other command of a test is run as it stands.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Any

from command import prepare, run_command
from tool import reason
from upstream import Case

_TIMEOUT = re.compile(r"timeout -s (\w+) (?:-k (\d+)s )?(\d+)s (.*?) > /dev/null$", re.DOTALL)


def run_method(case: Case, tests: Path, shared: Any, factor: float) -> dict[str, object]:
    """Run one method as unittest does; return its result."""
    path = tests / f"{case.suite}.py"
    sys.argv = [str(path), *case.arguments]
    sys.path.insert(0, str(tests))
    prepare(shared)
    real = subprocess.call

    def call(command: Any, *rest: Any, **more: Any) -> int:
        limited = isinstance(command, str) and _TIMEOUT.match(command)
        return _limited(command, shared, factor) if limited else real(command, *rest, **more)

    subprocess.call = call  # type: ignore[assignment]
    subprocess._USE_VFORK = False  # type: ignore[attr-defined]  # upstream counts clone(2), which Python before 3.10 called
    outcome = unittest.TestResult()
    try:
        _let_failures_count()
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
        return {"status": "failed", "why": reason(text)}
    if outcome.unexpectedSuccesses or not outcome.testsRun:
        return {
            "status": "failed",
            "why": "it succeeds; upstream expects a failure" if outcome.testsRun else "there is no test",
        }
    return {"status": "passed", "why": "upstream expects a failure" if outcome.expectedFailures else ""}


def _let_failures_count() -> None:
    """Make upstream's `mayFail`, which swallows what a method raises, a decorator that does nothing."""
    importlib.import_module("utils").mayFail = lambda _message: lambda function: function


def _imported(path: Path, name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _limited(command: str, shared: Any, factor: float) -> int:
    """Do what a shell with `timeout` would, in this machine's time."""
    found = _TIMEOUT.match(command)
    assert found is not None
    kind, kill, seconds, words = found.groups()
    return run_command(words, kind, float(seconds), float(kill or 0), shared, factor, terminal=False).told
