"""Measuring inside of a lab guest: a benchmark sends itself there, with what is asked for as JSON, and prints JSON back.

Guests are emulated: only ratios between what was measured in the same one mean something.  There, probee runs from a copy
in memory, since opening our many small files over 9p would be most of the time.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from probee.lab import Guest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROBEE = [sys.executable, "-m", "probee"]


class GuestMissing(Exception):
    """Why nothing can be measured in a guest."""


def option(argv: list[str], name: str, default: str) -> str:
    return argv[argv.index(name) + 1] if name in argv else default


@contextmanager
def booted(kernel: str, connect: str = "") -> Iterator[Guest]:
    """Yield a guest of this kernel, or that of a lab server."""
    from probee.errors import LabError
    from probee.lab import Guest

    try:
        with Guest(kernel, connect=connect) as guest:
            yield guest
    except LabError as error:
        raise GuestMissing(str(error)) from None


def measure_in(guest: Guest, script: str, asked: dict[str, Any], timeout_s: float = 100_000) -> Any:
    """Run `script --measure ASKED` there and return what it printed; GuestMissing says what went wrong."""
    command = [sys.executable, os.path.abspath(script), "--measure", json.dumps(asked)]
    result = guest.run(command, timeout_s=timeout_s, cwd=ROOT)
    if result.status:
        raise GuestMissing((result.stderr or result.stdout).strip()[-2000:] or f"exit status {result.status}")
    return json.loads(result.stdout.splitlines()[-1])


def asked_for(argv: list[str]) -> dict[str, Any] | None:
    """Return what is to be measured here, None when this is the process outside of the guest."""
    return json.loads(option(argv, "--measure", "null"))  # type: ignore[no-any-return]


@contextmanager
def copied() -> Iterator[dict[str, str]]:
    """Yield an environment in which probee is a copy in memory, with a cache of its own."""
    from measure import environment

    with tempfile.TemporaryDirectory(prefix="probee-bench-") as copy:
        shutil.copytree(f"{ROOT}/src/probee", f"{copy}/probee")  # with its compiled modules
        yield environment(PYTHONPATH=copy, XDG_CACHE_HOME=f"{copy}/cache")
