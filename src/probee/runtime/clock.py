"""Clocks of the kernel against the wall clock, and strftime with bpftrace's extensions.

Programs read CLOCK_MONOTONIC, CLOCK_BOOTTIME or CLOCK_TAI in nanoseconds; sw_tai is the boot clock plus an offset that user
space measured (late constant "sw_tai_offset_ns").
"""

from __future__ import annotations

import time

CLOCK_BOOTTIME, CLOCK_TAI = 7, 11
MONOTONIC, BOOT, TAI, SW_TAI = range(4)


def offset_ns(clock: int) -> int:
    """Return nanoseconds since 1970 minus the clock's reading, from the tightest of a few tries."""
    if clock == SW_TAI:
        return -leap_seconds() * 1_000_000_000
    source = {MONOTONIC: time.CLOCK_MONOTONIC, TAI: CLOCK_TAI}.get(clock, CLOCK_BOOTTIME)
    return min((_measure(source) for _ in range(3)), key=lambda pair: pair[0])[1]


def _measure(source: int) -> tuple[int, int]:
    """Return (how long it took, offset)."""
    before = time.time_ns()
    reading = time.clock_gettime_ns(source)
    after = time.time_ns()
    return after - before, (before + after) // 2 - reading


def leap_seconds() -> int:
    """Return how many seconds TAI is ahead of UTC, as far as this machine's clock was told (often 0)."""
    return round((time.clock_gettime_ns(CLOCK_TAI) - time.time_ns()) / 1_000_000_000)


def sw_tai_offset_ns() -> int:
    """Return what must be added to the boot clock to get TAI."""
    return offset_ns(BOOT) + leap_seconds() * 1_000_000_000


def format_time(format: str, ns: int, offset: int) -> str:
    """Return the local time `ns + offset` nanoseconds after 1970; %f %k %l are micro-, nano- and milliseconds."""
    seconds, rest = divmod(ns + offset, 1_000_000_000)
    if not seconds:
        return "(?)"
    for extension, text in (("%f", f"{rest // 1000:06d}"), ("%k", f"{rest:09d}"), ("%l", f"{rest // 1_000_000:03d}")):
        format = format.replace(extension, text)
    try:
        return time.strftime(format, time.localtime(seconds))
    except (ValueError, OverflowError):
        return "(?)"
