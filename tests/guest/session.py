"""A probee in the guest: start a script, wait until it is attached, give it something to see, end it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from probee.lab import Guest, Job, Result

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "bpftrace"
PROBEE = [sys.executable, "-m", "probee"]
ATTACHED = re.compile(r"Attached \d+ probes?")
START_S = 90.0


def start(guest: Guest, *arguments: str, env: dict[str, str] | None = None, timeout_s: float = 240) -> Job:
    """Start probee in the guest and wait until its probes are attached."""
    job = guest.start([*PROBEE, *arguments], env=env, timeout_s=timeout_s, cwd=str(ROOT))
    try:
        job.wait_for(ATTACHED, timeout_s=START_S)
    except BaseException:
        job.kill()
        raise
    return job


def end(job: Job, number: int = 2) -> Result:
    """End probee by a signal, Ctrl-C's if none is named, and return all that it printed."""
    job.signal(number)
    return job.wait(timeout_s=START_S)
