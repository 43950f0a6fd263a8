"""The demo's own machinery: a command that ended is not waited for, one that does not end is killed."""

from __future__ import annotations

import time

import pytest

from probee.cli import here
from probee.cli.here import Here, HereJob
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


def test_bytes_that_are_no_text_are_shown_and_what_follows_is_found() -> None:
    with HereJob(["printf", "a\\377\\nfoo\\n"]) as job:
        job.wait_for("foo", timeout_s=30)
        assert job.wait(timeout_s=30).stdout == "a\\xff\nfoo\n"


def test_a_command_that_does_not_end_is_killed_and_told_with_its_output() -> None:
    with HereJob(["sh", "-c", "echo still here; exec sleep 600"]) as job:
        job.wait_for("still", timeout_s=30)
        with pytest.raises(UsageError, match=r"did not end within 0\.1 s; its output:\nstill here"):
            job.wait(timeout_s=0.1)
        assert job._process.returncode == -9


@pytest.mark.parametrize(("command", "ends"), [("echo done", True), ("exec sleep 600", False)])
def test_nothing_of_a_command_that_was_run_stays(command: str, ends: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[HereJob] = []

    class Noted(HereJob):
        def __init__(self, words: list[str]) -> None:
            super().__init__(words)
            jobs.append(self)

    monkeypatch.setattr(here, "HereJob", Noted)
    monkeypatch.setattr(here, "READY_S", 30 if ends else 0.1)
    if ends:
        assert Here().run(command).check().stdout == "done\n"
    else:
        with pytest.raises(UsageError, match="did not end"):
            Here().run(command)
    process = jobs[0]._process
    assert process.returncode is not None
    assert process.stdout is not None and process.stdout.closed
