"""Reading maps: order, top and div, scalar maps, aggregations."""

from __future__ import annotations

from struct import pack

import pytest
from runtime_names import Names

from probee.model.spec import MapSpec, MapType
from probee.model.value import Field, ValueType, integer, string
from probee.runtime.snapshot import MapReader

S64, U64 = integer(8, signed=True), integer(8, signed=False)


def plain(key: ValueType, value: ValueType, *pairs: tuple[bytes, bytes], **more):
    spec = MapSpec("@x", MapType.HASH, key.size, value.size, 64, key=key, value=value)
    return MapReader(spec, Names(), 2).snapshot(list(pairs), **more).items()


def merged(aggregation: str, parameters: tuple, *pairs: tuple[bytes, bytes], key: ValueType | None = U64, **more):
    spec = MapSpec(
        "@x", MapType.PERCPU_HASH, 8, 8, 64, key=key, aggregation=aggregation, aggregation_parameters=parameters,
        scalar=key is None,
    )  # fmt: skip
    return MapReader(spec, Names(), 2).snapshot(list(pairs), **more)


def u64(*words: int) -> bytes:
    return pack(f"<{len(words)}Q", *[word & 2**64 - 1 for word in words])


def test_integers_are_sorted_by_value_and_ties_by_key():
    pairs = [(u64(1), u64(9)), (u64(3), u64(5)), (u64(2), u64(5))]
    assert plain(U64, U64, *pairs) == [(2, 5), (3, 5), (1, 9)]


def test_signed_values_are_sorted_as_signed():
    assert plain(U64, S64, (u64(1), u64(1)), (u64(2), u64(-1))) == [(2, -1), (1, 1)]


def test_other_values_are_sorted_by_key():
    text = string(8)
    pairs = [(b"b".ljust(8, b"\0"), b"x".ljust(8, b"\0")), (b"a".ljust(8, b"\0"), b"y".ljust(8, b"\0"))]
    assert plain(text, text, *pairs) == [(b"a", b"y"), (b"b", b"x")]


def test_integer_keys_sort_as_signed_ones():
    text = string(8)
    pairs = [(u64(2), b"x" * 8), (u64(-1), b"x" * 8)]
    assert [key for key, _ in plain(U64, text, *pairs)] == [2**64 - 1, 2]


def test_tuple_keys_sort_field_by_field():
    key = ValueType("tuple", 16, fields=(Field("", 0, S64), Field("", 8, string(8))))
    pairs = [(pack("<q8s", number, word), b"v" * 8) for number, word in ((2, b"a"), (1, b"b"), (1, b"a"))]
    assert [key for key, _ in plain(key, string(8), *pairs)] == [(1, b"a"), (1, b"b"), (2, b"a")]


def test_top_keeps_the_last_rows_and_div_divides_toward_zero():
    pairs = [(u64(n), u64(n * 10 - 25)) for n in range(5)]
    assert plain(U64, S64, *pairs, top=2, div=10) == [(3, 0), (4, 1)]
    assert plain(U64, S64, *pairs, top=9, div=10)[0] == (0, -2)


def test_counts_and_sums_add_up_over_cpus():
    assert merged("count", (0,), (u64(1), u64(2, 3)), (u64(2), u64(1, 0))).items() == [(2, 1), (1, 5)]
    assert merged("sum", (1,), (u64(1), u64(-2, 1))).items() == [(1, -1)]


@pytest.mark.parametrize("aggregation", ["min", "max"])
def test_min_and_max_are_sorted_as_the_numbers_that_they_are(aggregation):
    pairs = [(u64(1), u64(-1, 1, 0, 0)), (u64(2), u64(5, 1, 0, 0)), (u64(3), u64(-7, 1, 0, 0))]
    assert merged(aggregation, (1,), *pairs).items() == [(3, -7), (1, -1), (2, 5)]
    assert merged(aggregation, (0,), *pairs).items() == [(2, 5), (3, 2**64 - 7), (1, 2**64 - 1)]


def test_averages_are_sorted_by_average_and_shown_as_stats():
    pairs = [(u64(1), u64(30, 3, 0, 0)), (u64(2), u64(4, 1, 6, 1))]
    found = merged("avg", (1,), *pairs)
    assert (found.form, found.items()) == ("stats", [(2, 5), (1, 10)])


def test_stats_have_count_average_and_total_and_only_the_average_is_divided():
    found = merged("stats", (1,), (u64(1), u64(30, 3, 10, 1)), div=10)
    assert found.items() == [(1, {"count": 4, "average": 1, "total": 40})]


def test_histograms_are_sorted_by_their_total():
    pairs = [(u64(1, 3), u64(2, 3)), (u64(2, 3), u64(1, 0)), (u64(2, 4), u64(1, 1))]
    found = merged("hist", (1, 0), *pairs)
    assert [(key, value.total) for key, value in found.items()] == [(2, 3), (1, 5)]
    assert found.form == "hist"


def test_a_scalar_histogram_has_the_key_none():
    found = merged("lhist", (1, 0, 100, 10), (u64(3), u64(2, 3)), key=None)
    assert found.scalar
    assert found[None].buckets[0].count == 5


def test_a_series_takes_its_newest_epoch_from_all_keys():
    pairs = [(u64(1, 2), u64(5, 1, 7, 0, 0, 0)), (u64(2, 4), u64(6, 1, 9, 0, 0, 0))]
    found = merged("tseries", (1, 100, 5, ""), *pairs)
    assert [(key, value.points) for key, value in found.items()] == [
        (1, [(700, 5), (800, None), (900, None)]),
        (2, [(900, 6)]),
    ]


@pytest.mark.parametrize(
    "aggregation, zero", [("count", 0), ("avg", 0), ("max", 0), ("stats", {"count": 0, "average": 0, "total": 0})]
)
def test_an_unset_scalar_aggregation_shows_zero(aggregation, zero):
    spec = MapSpec("@x", MapType.PERCPU_HASH, 8, 16, 1, aggregation=aggregation, aggregation_parameters=(1,), scalar=True)
    assert MapReader(spec, Names(), 2).unset() == zero


def test_an_unset_scalar_shows_the_zero_of_its_type():
    record = ValueType("record", 16, fields=(Field("a", 0, S64), Field("b", 8, string(8))))
    spec = MapSpec("@x", MapType.HASH, 8, 16, 1, value=record, scalar=True)
    assert MapReader(spec, Names(), 2).unset() == {"a": 0, "b": b""}
