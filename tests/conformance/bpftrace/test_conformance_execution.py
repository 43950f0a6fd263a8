"""How one case is run: with shell commands that play bpftrace's part."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from case import Case, parse
from execution import NOTIFY, Bench
from isolation import run_alone

ATTACHED = f"echo {NOTIFY}"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    launcher = tmp_path / "bpftrace"
    launcher.write_text("#!/bin/sh\nshift\nexec \"$@\"\n")  # without the flag that each command gets
    launcher.chmod(0o755)
    return Bench(tmp_path, launcher, factor=1, cache=str(tmp_path))


def one(text: str) -> Case:
    (case,) = parse("suite", f"NAME x\n{text}")
    return case


def test_output_and_status_are_judged(bench: Bench) -> None:
    both = one("RUN {{BPFTRACE}} sh -c 'echo out; echo err >&2; exit 3' | cat\nEXPECT out\nEXPECT err")
    assert bench.run(both).status == "passed"
    assert bench.run(one("RUN echo 1; exit 3\nEXPECT 1\nRETURN_CODE 3")).status == "passed"
    assert bench.run(one("RUN echo 1; exit 3\nEXPECT 1")).status == "failed"


def test_the_environment_is_the_cases_own(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOT_PASSED_ON", "1")
    result = bench.run(one("RUN env\nENV GIVEN=yes\nEXPECT GIVEN=yes\nEXPECT test=x\nEXPECT_REGEX_NONE NOT_PASSED_ON"))
    assert result.status == "passed", result.output


def test_after_comes_once_the_probes_are_attached(bench: Bench, tmp_path: Path) -> None:
    wait = f"until [ -e {tmp_path}/done ]; do sleep 0.05; done; echo late"
    case = one(f"RUN [ -e done ] && echo early; {ATTACHED}; {wait}\nAFTER touch done\nEXPECT late\nEXPECT_NONE early")
    result = bench.run(case)
    assert result.status == "passed", result.output


def test_before_runs_and_its_pid_is_told(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "waiter").write_text("#!/bin/sh\nsleep 30\n")
    (tmp_path / "waiter").chmod(0o755)
    result = bench.run(one("RUN cat /proc/{{BEFORE_PID}}/comm\nBEFORE ./waiter\nEXPECT waiter"))
    assert result.status == "passed", result.output


def test_what_had_to_come_before_and_did_not_is_a_failure(bench: Bench) -> None:
    result = bench.run(one("RUN true\nSETUP echo no >&2; exit 1\nEXPECT 1"))
    assert (result.status, result.why) == ("failed", "SETUP failed: no\n")
    assert bench.run(one("RUN echo 1\nBEFORE ./nothing\nTIMEOUT 1\nEXPECT 1")).why.startswith("BEFORE did not start: ")


def test_cleanup_comes_last_whatever_happened(bench: Bench, tmp_path: Path) -> None:
    bench.run(one("RUN exit 1\nCLEANUP touch cleaned\nEXPECT 1"))
    assert (tmp_path / "cleaned").exists()


def test_a_command_that_does_not_end_is_judged_by_what_it_printed(bench: Bench) -> None:
    started = time.monotonic()
    late = bench.run(one(f"RUN {ATTACHED}; echo 1; sleep 60\nTIMEOUT 1\nEXPECT_REGEX 1\nEXPECT_NONE 2"))
    assert late.status == "passed"
    stubborn = bench.run(one(f"RUN trap '' TERM; {ATTACHED}; echo 1; sleep 60\nTIMEOUT 1\nEXPECT 2"))
    assert (stubborn.status, stubborn.why[:10]) == ("failed", "time is up")
    assert time.monotonic() - started < 10


def test_what_was_printed_before_the_attach_notice_is_not_compared_whole(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "wanted").write_text("after\n")
    assert bench.run(one(f"RUN echo before; {ATTACHED}; echo after\nEXPECT_FILE wanted")).status == "passed"


@pytest.mark.skipif(os.geteuid() != 0, reason="a new pid namespace needs root")
def test_a_case_alone_sees_only_its_own_processes(bench: Bench) -> None:
    result = run_alone(bench.run, one("RUN ps -e --no-headers | wc -l\nEXPECT_REGEX ^[1-6]$"))
    assert result.status == "passed", result.output


@pytest.mark.skipif(os.geteuid() != 0, reason="a new pid namespace needs root")
def test_all_of_a_case_runs_in_the_pid_namespace_that_it_wants(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "waiter").write_text("#!/bin/sh\nsleep 30\n")
    (tmp_path / "waiter").chmod(0o755)
    case = one("RUN cat /proc/1/comm\nNEW_PIDNS\nBEFORE ./waiter\nEXPECT waiter")
    result = bench.run(case)
    assert result.status == "passed", result.output + result.why
