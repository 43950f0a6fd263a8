"""The agent in the guest: what can be told of it outside."""

from __future__ import annotations

import time
from types import SimpleNamespace

from probee.lab import agent


def test_a_deadline_in_many_years_is_waited_for_in_pieces() -> None:
    task = SimpleNamespace(deadline=time.monotonic() + 1e12, status=None, outputs=[1])
    server = SimpleNamespace(tasks={1: task})
    assert agent.Agent.check_deadlines(server) == agent.LONGEST_WAIT_MS  # type: ignore[arg-type]


def test_a_deadline_that_is_near_is_waited_for() -> None:
    task = SimpleNamespace(deadline=time.monotonic() + 2, status=None, outputs=[1])
    found = agent.Agent.check_deadlines(SimpleNamespace(tasks={1: task}))  # type: ignore[arg-type]
    assert found is not None and 1000 < found <= 2001
