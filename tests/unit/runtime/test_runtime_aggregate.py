"""Merging of per-CPU values, and the rows of histograms."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probee.runtime.aggregate import SeriesMerger, hist_bound, histogram, linear_histogram, merger


@pytest.mark.parametrize(
    "aggregation, signed, values, merged",
    [
        ("count", False, pack("<2Q", 3, 4), (7, 0)),
        ("sum", True, pack("<2q", -3, 4), (1, 0)),
        ("sum", False, pack("<2Q", 2**64 - 1, 2), (1, 0)),
        ("sum", True, pack("<2q", 2**63 - 1, 1), (-(2**63), 0)),
        ("min", True, pack("<qQqQ", -5, 1, -9, 0), (-5, 1)),  # the second one is not set
        ("min", False, pack("<QQQQ", 5, 1, 0, 1), (0, 1)),
        ("max", True, pack("<qQqQ", -5, 1, -9, 1), (-5, 1)),
        ("max", False, pack("<QQQQ", 2**64 - 1, 1, 1, 1), (2**64 - 1, 1)),
        ("max", True, pack("<qQqQ", 7, 0, 9, 0), (0, 0)),
        ("avg", True, pack("<qQqQ", -10, 2, 4, 1), (-6, 3)),
        ("stats", False, pack("<QQQQ", 10, 2, 4, 1), (14, 3)),
    ],
)
def test_the_values_of_all_cpus_become_one(aggregation, signed, values, merged):
    assert merger(aggregation, 2, signed=signed)(values) == merged


def bucket_of(number: int, k: int) -> int:
    """The bucket that a program counts a number in (reference: the docstring of aggregate.py)."""
    if number < 0:
        return 0
    if number < 1 << k:
        return number + 1
    shift = number.bit_length() - 1 - k
    return ((shift + 1) << k) + ((number >> shift) & (1 << k) - 1) + 1


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 5))
def test_a_number_lies_within_the_bounds_of_its_bucket(number, k):
    [row] = histogram({bucket_of(number, k): 1}, k).buckets
    assert row.count == 1
    assert (row.low is None) == (number < 0)
    assert (row.low or 0) <= number < row.high or number < 0


def rows(found) -> list[tuple]:
    return [(bucket.low_text, bucket.high_text, bucket.count) for bucket in found.buckets]


def test_a_histogram_runs_from_its_first_to_its_last_bucket():
    assert rows(histogram({3: 2, 5: 1}, 0)) == [("2", "4", 2), ("4", "8", 0), ("8", "16", 1)]


def test_buckets_without_a_count_do_not_widen_a_histogram():
    assert rows(histogram({1: 0, 3: 2, 9: 0}, 0)) == [("2", "4", 2)]
    assert rows(histogram({3: 0}, 0)) == []


def test_the_negative_bucket_has_no_lower_bound():
    [row] = histogram({0: 1}, 0).buckets
    assert (row.low, row.high) == (None, 0)


@pytest.mark.parametrize(
    "index, k, bound",
    [
        (0, 0, (0, "0")),
        (2, 0, (2, "2")),
        (3, 0, (4, "4")),
        (11, 0, (1024, "1K")),
        (12, 0, (2048, "2K")),
        (21, 0, (1 << 20, "1M")),
        (31, 0, (1 << 30, "1G")),
        (63, 0, (1 << 62, "4E")),
        (8, 2, (8, "8")),
        (9, 2, (10, "10")),
        (27, 2, (224, "224")),
        (81, 3, (4608, "4608")),  # the suffix goes by octave, not by value
    ],
)
def test_bounds_have_the_suffix_of_their_octave(index, k, bound):
    assert hist_bound(index, k) == bound


def test_a_linear_histogram_is_open_at_both_ends():
    found = linear_histogram({0: 1, 1: 2, 11: 3}, 0, 100, 10)
    assert rows(found)[:2] == [("None", "0", 1), ("0", "10", 2)]
    assert (found.buckets[-1].low, found.buckets[-1].high, found.buckets[-1].count) == (100, None, 3)
    assert len(found.buckets) == 12


@pytest.mark.parametrize(
    "step, number, text",
    [(1024, 2048, "2K"), (1024, 1 << 20, "1M"), (1000, 2000, "2000"), (1024, 0, "0"), (2048, -2048, "-2K")],
)
def test_linear_bounds_have_suffixes_only_for_whole_steps(step, number, text):
    found = linear_histogram({1: 1}, number, number + 4 * step, step)
    assert found.buckets[0].low_text == text


def test_division_leaves_the_rows_and_divides_the_counts():
    assert rows(histogram({3: 25, 5: 9}, 0, div=10)) == [("2", "4", 2), ("4", "8", 0), ("8", "16", 0)]


def series(function: str, *cpus: tuple[int, int, int], signed: bool = True) -> dict[int, int]:
    merging = SeriesMerger(len(cpus), (int(signed), 100, 5, function))
    return merging.merge(merging.slot(b"".join(pack("<qQQ" if signed else "<QQQ", *cpu) for cpu in cpus)))


@pytest.mark.parametrize(
    "function, value",
    [("", 20), ("avg", 3), ("min", 10), ("max", 20), ("sum", 30)],
)
def test_one_slot_of_a_series_is_merged_by_its_function(function, value):
    assert series(function, (10, 4, 7), (20, 5, 7)) == {7: value}


def test_epochs_are_kept_apart_and_cpus_that_never_wrote_do_not_count():
    assert series("sum", (10, 1, 7), (20, 1, 12), (5, 0, 0)) == {7: 10, 12: 20}
    assert series("min", (0, 0, 0), (20, 1, 12)) == {12: 20}


def test_a_series_starts_with_its_first_point_and_ends_with_the_newest_of_any_key():
    merging = SeriesMerger(1, (1, 100, 5, ""))
    assert merging.series({7: 1, 9: 2, 1: 9}, 10, 1000).points == [(1700, 1), (1800, None), (1900, 2), (2000, None)]
    assert merging.series({1: 9}, 10, 0).points == []
