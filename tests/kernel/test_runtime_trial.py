"""Test and bench probes, and probes on our own signal, run for real: nothing is attached for them."""

from __future__ import annotations

import os
import threading

import pytest

from probee.api import compile, load
from probee.errors import AttachError, KernelError
from probee.model import event as events
from probee.runtime.session import Session

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="loading programs needs root"),
]


def results(script: str, mode: str) -> tuple[list[events.Event], int]:
    session = load(compile(script, mode=mode))
    with session:
        found = [event for batch in session.batches() for event in batch]
    return found, session.exit_status


def test_a_test_passes_or_fails_by_what_it_returns_says_and_exits_with() -> None:
    script = (
        'begin { printf("first\\n"); } test:good { printf("said"); } test:returns { return 1; } '
        'test:complains { errorf("x"); } test:exits { exit(3); } test:exits_well { exit(); } end { printf("last\\n"); }'
    )
    found, status = results(script, "test")
    tests = [event for event in found if isinstance(event, events.TestResult)]
    assert tests[-1].names == ("good", "returns", "complains", "exits", "exits_well")
    assert tests[-1].passed == (True, False, False, False, True)
    assert [event.text for event in tests[0].said if isinstance(event, events.Printf)] == ["said"]
    assert [event.text for event in found if isinstance(event, events.Printf)] == ["first\n", "last\n"]
    assert status == 1


def test_tests_that_all_pass_end_well_and_maps_are_not_printed() -> None:
    found, status = results("test:a { @x = 1; }", "test")
    assert status == 0
    assert not any(isinstance(event, events.Attached) for event in found)
    assert isinstance(found[-1], events.MapsAtExit) and not found[-1].snapshots


def test_a_benchmark_is_run_until_it_takes_a_millisecond() -> None:
    found, status = results('bench:a { @++; printf("never seen"); } bench:skipped { return 1; }', "bench")
    (result,) = [event for event in found if isinstance(event, events.BenchmarkResult)]
    assert (result.names, result.index) == (("a", "skipped"), 0)
    assert result.average_ns * result.iterations >= 1_000_000
    assert not any(isinstance(event, (events.Printf, events.Lost)) for event in found)
    assert status == 0


def test_a_benchmark_that_complains_fails() -> None:
    found, status = results('bench:a { errorf("no"); exit(1); }', "bench")
    assert [event.text for event in found if isinstance(event, events.Problem)] == ["Benchmark 'a' failed."]
    assert status == 1


def test_other_probes_are_left_out_of_tests_and_tests_of_everything_else() -> None:
    spec = compile("interval:s:1 { } test:a { } bench:b { }", mode="test")
    assert [link.kind for link in spec.links] == ["test"]
    assert [link.kind for link in compile("interval:s:1 { } test:a { } bench:b { }").links] == ["interval"]


@pytest.mark.parametrize(("kind", "what"), [("test", "test"), ("bench", "benchmark")])
def test_nothing_but_tests_says_how_to_run_them(kind: str, what: str) -> None:
    with pytest.raises(AttachError, match=f"No probes attached; use --{kind} to run {what} probes."):
        load(compile(f"{kind}:a {{ }}")).start()


def test_a_signal_runs_its_probes_in_order_and_the_session_waits_for_it() -> None:
    script = 'self:signal:SIGUSR1 { printf("first"); } self:signal:SIGUSR1 { printf("second"); exit(); }'
    session: Session = load(compile(script))
    timer = threading.Timer(0.2, session.signal)
    timer.start()
    texts = [event.text for event in session if isinstance(event, events.Printf)]
    timer.join()
    assert texts == ["first", "second"]


def test_a_verbose_session_needs_room_for_the_verifiers_log() -> None:
    spec = compile("config = { log_size = 2 } begin { print(1); }")
    with pytest.raises(KernelError) as caught:
        Session(spec, verbose=True).start()
    first, second = str(caught.value).splitlines()
    assert first == "Error loading BPF program for begin_1. Error code: -28 (No space left on device)."
    assert second.startswith("WARNING: Kernel log seems to be trimmed.")
    with load(spec) as session:
        assert session.running


def test_a_backlog_of_commands_does_not_keep_a_session_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probee.runtime.session.PATIENCE_S", 0.1)
    loop = "for ($i : 0..100) { system(\"sleep 0.01\"); }"
    session = load(compile(f"begin {{ {loop} }} interval:s:60 {{ }} end {{ system(\"echo end\"); }}", unsafe=True))
    session.start()
    session.stop()
    found = list(session)
    session.close()
    texts = [event.text for event in found if isinstance(event, events.Text)]
    assert texts[-1] == "end\n"
    assert len(texts) < 60
    assert any("were not run" in event.text for event in found if isinstance(event, events.Problem))
