"""Whose mappings a session listens to, and what it says of reports that were lost."""

from __future__ import annotations

import os
import threading

import pytest

from probee.model.spec import LinkSpec, ObjectSpec
from probee.runtime.loss import left_undone
from probee.runtime.symbol import MOST_THREADS, threads_to_hear


def spec_with(*kinds: str) -> ObjectSpec:
    links = tuple(LinkSpec(kind, f"{kind}_1", kind, {}) for kind in kinds)
    return ObjectSpec(programs=(), maps=(), links=links)


@pytest.mark.parametrize("kinds", [("uprobe",), ("begin", "uretprobe", "usdt", "end"), ("watchpoint", "interval")])
def test_probes_in_a_command_concern_it_alone(kinds: tuple[str, ...]) -> None:
    assert threads_to_hear(spec_with(*kinds), 7, 0) == [7]


@pytest.mark.parametrize("kinds", [("profile",), ("uprobe", "kprobe"), ("tracepoint",)])
def test_other_probes_beside_a_command_concern_everybody(kinds: tuple[str, ...]) -> None:
    assert threads_to_hear(spec_with(*kinds), 7, 0) == []


def test_without_a_process_everybody_is_heard() -> None:
    assert threads_to_hear(spec_with("uprobe"), 0, 0) == []


def test_what_runs_in_our_own_process_needs_nobody() -> None:
    assert threads_to_hear(spec_with("begin", "interval", "iter"), 0, 0) is None


def test_all_threads_of_a_process_are_heard_unless_there_are_too_many() -> None:
    found = threads_to_hear(spec_with("profile", "uprobe"), 0, os.getpid())
    assert found is not None and os.getpid() in found
    ended = threading.Event()
    threads = [threading.Thread(target=ended.wait) for _ in range(MOST_THREADS)]
    for thread in threads:
        thread.start()
    many = threads_to_hear(spec_with("profile", "uprobe"), 0, os.getpid())
    ended.set()
    for thread in threads:
        thread.join()
    assert many == []


def test_reports_that_were_lost_are_said_to_be() -> None:
    assert left_undone(0, 0, 0) == []
    assert left_undone(0, 0, 3) == ["3 reports of what processes mapped were lost: some that have exited may lack names"]
