"""Times of the kernel's clocks as text."""

from __future__ import annotations

import time

import pytest

from probee.runtime.clock import BOOT, MONOTONIC, SW_TAI, TAI, format_time, leap_seconds, offset_ns

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    "format, rest, text",
    [("%f", 123_456_789, "123456"), ("%k", 5, "000000005"), ("%l", 12_345_678, "012"), ("a%%b", 0, "a%b")],
)
def test_parts_of_a_second_have_their_own_letters(format, rest, text):
    assert format_time(format, 5 * SECOND + rest, 0) == text


def test_times_are_local():
    assert format_time("%H:%M:%S", 1_000_000 * SECOND, 5 * SECOND) == time.strftime("%H:%M:%S", time.localtime(1_000_005))


@pytest.mark.parametrize("ns", [0, 999_999_999, 2**63])
def test_a_time_that_is_none_shows_so(ns):
    assert format_time("%S", ns, -ns if ns > SECOND else 0) == "(?)"


@pytest.mark.parametrize("clock, source", [(MONOTONIC, time.CLOCK_MONOTONIC), (BOOT, 7), (TAI, 11)])
def test_a_clock_plus_its_offset_is_now(clock, source):
    assert abs(time.clock_gettime_ns(source) + offset_ns(clock) - time.time_ns()) < SECOND


def test_sw_tai_differs_from_the_wall_clock_by_leap_seconds_only():
    assert offset_ns(SW_TAI) == -leap_seconds() * SECOND
