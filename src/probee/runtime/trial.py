"""Trials: test and bench probes, which are run by test run instead of being attached to anything.

A test passes when its program returns 0, exit() was not called with another status, and errorf() said nothing.  A
benchmark is run more and more often until it takes a millisecond; what it says meanwhile is thrown away.
"""

from __future__ import annotations

import time

from probee.model import event as events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from probee.model.spec import LinkSpec
    from probee.runtime.session import Session

PACKET = bytes(14)  # an Ethernet header, the least that an XDP program runs on (Linux commit 6b3d638ca897)
LONG_ENOUGH_NS = 1_000_000
_STEPS = ((1_000, 1_000), (10_000, 100), (100_000, 10), (LONG_ENOUGH_NS, 2))  # below so many ns in all: so many times more


def trials(session: Session) -> Iterator[list[events.Event]]:
    """Run the probes that the session's mode is about; yield their results."""
    yield session.collect()[0]
    links = session.installed.of_kind(session.mode)
    run = _tests if session.mode == "test" else _benchmarks
    for result in run(session, links):
        yield [result]


def _tests(session: Session, links: list[LinkSpec]) -> Iterator[events.Event]:
    names = _names(links)
    passed: tuple[bool, ...] = ()
    failed = False
    for index, link in enumerate(links):
        if not session.running:
            return
        before = time.monotonic_ns()
        value = session.installed.programs[link.program].test_run().value
        duration_ns = time.monotonic_ns() - before
        said, status = session.collect()
        good = not value and not status and not _complained(said)
        passed = (*passed, good)
        failed = failed or not good
        yield events.TestResult(names, index, duration_ns, passed, said)
    session.exit_status = int(failed)


def _benchmarks(session: Session, links: list[LinkSpec]) -> Iterator[events.Event]:
    names = _names(links)
    failed = False
    for index, link in enumerate(links):
        iterations = 1
        while session.running:
            done = session.installed.programs[link.program].test_run(data=PACKET, repeat=iterations)
            said, status = session.collect()
            if done.value and not status:  # so a benchmark says that it cannot be run here
                break
            step = next((step for below, step in _STEPS if done.duration_ns * iterations < below), 0)
            if step:
                iterations *= step
                continue
            if status or _complained(said):
                failed = True
                yield events.Problem(f"Benchmark '{names[index]}' failed.")
            else:
                yield events.BenchmarkResult(names, index, done.duration_ns, iterations)
            break
    session.exit_status = int(failed)


def _names(links: list[LinkSpec]) -> tuple[str, ...]:
    return tuple([str(link.parameters.get("name", link.probe)) for link in links])


def _complained(said: list[events.Event]) -> bool:
    return any(
        isinstance(event, events.RuntimeWarning) or (isinstance(event, events.Message) and event.severity == "error")
        for event in said
    )
