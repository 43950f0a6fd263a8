"""The demo's own machinery: a command that ended is not waited for."""

from __future__ import annotations

import time

import pytest

from probee.cli.here import HereJob
from probee.errors import UsageError


def test_what_a_command_said_before_it_ended_is_shown_at_once() -> None:
    before = time.monotonic()
    with HereJob(["sh", "-c", "echo it needs root"]) as job, pytest.raises(UsageError, match="it needs root"):
        job.wait_for("Attached", timeout_s=60)
    assert time.monotonic() - before < 30


def test_what_is_waited_for_is_found_in_order() -> None:
    with HereJob(["sh", "-c", "echo one; echo two; echo one"]) as job:
        for text in ("one", "two", "one"):
            job.wait_for(text, timeout_s=30)
        with pytest.raises(UsageError, match="'two' was not seen before the command ended"):
            job.wait_for("two", timeout_s=30)
