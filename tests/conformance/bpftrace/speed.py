"""How slow this machine is: one number, by which all time limits are multiplied."""

from __future__ import annotations

import time

NOMINAL_S = 0.03  # what the loop takes on an ordinary machine of 2025 with CPython 3.11


def measure() -> float:
    """Return how many times longer than on an ordinary machine a fixed loop of Python takes here; at least 1."""
    return round(max(min(_loop() for _ in range(3)) / NOMINAL_S, 1.0), 1)


def _loop() -> float:
    started = time.perf_counter()
    total = 0
    for index in range(1_000_000):
        total += index & 7
    return time.perf_counter() - started
