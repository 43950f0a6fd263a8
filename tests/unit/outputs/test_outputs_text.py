"""Text output: the texts of every kind of event and map."""

from __future__ import annotations

import time
from io import BytesIO

import pytest

from probee.errors import Source, make_span
from probee.model import event as events
from probee.model.snapshot import Bucket, Histogram, MapSnapshot, TimeSeries
from probee.model.value import Field, Frame, StackValue, ValueType, integer, string
from probee.outputs.chart import map_text, series_text
from probee.outputs.text import TextOutput

S64, U64 = integer(8, signed=True), integer(8, signed=False)
PAIR = ValueType("tuple", 16, fields=(Field("", 0, S64), Field("", 8, string(8))))
NESTED = ValueType("tuple", 24, fields=(Field("", 0, S64), Field("", 8, PAIR)))
BARS = "@" * 52


def snapshot(rows, *, form="map", key=None, value=S64, name="@x"):
    return MapSnapshot(name, form, key, value, rows, scalar=key is None)


def written(*batch, **options) -> tuple[str, str]:
    out, err = BytesIO(), BytesIO()
    writer = TextOutput(out, err, Source("stdin", "begin { printf(1) }"), **options)
    writer.write(batch)
    writer.close()
    return out.getvalue().decode(), err.getvalue().decode()


@pytest.mark.parametrize(
    "rows, form, key, value, text",
    [
        ([(None, 5)], "map", None, S64, "@x: 5\n"),
        ([], "map", None, S64, ""),
        ([], "map", S64, S64, ""),
        ([(1, 2), (3, 4)], "map", S64, S64, "@x[1]: 2\n@x[3]: 4\n"),
        ([((1, b"a"), 2)], "map", PAIR, S64, "@x[1, a]: 2\n"),
        ([((1, (2, b"a")), 2)], "map", NESTED, S64, "@x[1, (2, a)]: 2\n"),
        ([(b"(x)", 2)], "map", string(8), S64, "@x[x]: 2\n"),  # bpftrace looks at the text only
        ([(1, (2, b"b"))], "map", S64, PAIR, "@x[1]: (2, b)\n"),
        ([(1, b"v")], "map", S64, string(8), "@x[1]: v\n"),
        ([(None, {"count": 3, "average": 2, "total": 6})], "stats", None, S64,
         "@x: { .count = 3, .average = 2, .total = 6 }\n"),
        ([(1, {"count": 3, "average": 2, "total": 6})], "stats", S64, S64,
         "@x[1]: { .count = 3, .average = 2, .total = 6 }\n"),
        ([(1, 7)], "stats", S64, S64, "@x[1]: 7\n"),
        ([(StackValue((Frame(1, "f", 2),), "bpftrace", user=False), 1)], "map", ValueType("kstack", 8), S64,
         "@x[\n        f+2\n]: 1\n"),
    ],
)  # fmt: skip
def test_a_map_is_lines_of_keys_and_values(rows, form, key, value, text):
    assert map_text(snapshot(rows, form=form, key=key, value=value)) == text


def test_a_histogram_has_a_row_per_bucket():
    histogram = Histogram([Bucket(None, 0, 1), Bucket(0, 1, 0), Bucket(1, 2, 4), Bucket(2048, 4096, 2, "2K", "4K")])
    assert map_text(snapshot([(None, histogram)], form="hist")) == (
        "@x:\n"
        f"(..., 0)               1 |{'@' * 13:<52}|\n"
        f"[0]                    0 |{'':<52}|\n"
        f"[1]                    4 |{BARS}|\n"
        f"[2K, 4K)               2 |{'@' * 26:<52}|\n"
        "\n"
    )


def test_keyed_histograms_have_a_blank_line_between():
    one = Histogram([Bucket(100, None, 1)])
    row = f"[100, ...)             1 |{BARS}|\n"
    text = map_text(snapshot([(1, one), (2, one)], form="hist", key=S64))
    assert text == f"@x[1]:\n{row}\n@x[2]:\n{row}\n"


def test_counts_of_eight_digits_and_more_keep_their_blank():
    histogram = Histogram([Bucket(1, 2, 123456789)])
    assert map_text(snapshot([(None, histogram)], form="hist")) == f"@x:\n[1]             123456789 |{BARS}|\n\n"


def test_a_zeroed_histogram_is_only_its_name():
    assert map_text(snapshot([(None, Histogram([]))], form="hist")) == "@x:\n\n"


@pytest.mark.parametrize("count, length", [(52, 52), (51, 51), (1, 1), (0, 0), (26, 26)])
def test_bars_are_cut_not_rounded(count, length):
    histogram = Histogram([Bucket(1, 2, 52), Bucket(2, 3, count)])
    assert f"|{'@' * length:<52}|\n\n" in map_text(snapshot([(None, histogram)], form="hist"))


def clock(ns: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(ns // 1_000_000_000))


def test_a_series_is_a_plot_down_the_page():
    points = [(ns, value) for ns, value in ((100_000_000, -5), (200_000_000, None), (300_000_000, 0), (400_000_000, 5))]
    lines = series_text(TimeSeries(points)).split("\n")
    blank = " " * 12
    assert lines == [
        f"{blank} -5{'':50}5",
        f"hh:mm:ss.ms  |{'_' * 51}|",
        f"{clock(0)}.100 *{'':25}.{'':25}| -5",
        f"{clock(0)}.200 |{'':25}.{'':25}| -",
        f"{clock(0)}.300 |{'':25}*{'':25}| 0",
        f"{clock(0)}.400 |{'':25}.{'':25}* 5",
        f"{blank} v{'_' * 51}v",
        f"{blank} -5{'':50}5",
        "",
    ]


@pytest.mark.parametrize(
    "interval, title, fraction",
    [
        (1_000_000_000, "hh:mm:ss |", ""),
        (1_500_000_000, "hh:mm:ss |", ""),
        (1_000_000, "hh:mm:ss.ms  |", ".000"),
        (1000, "hh:mm:ss.μs    |", ".000000"),  # bpftrace counts μ twice
        (1, "hh:mm:ss.ns        |", ".000000000"),
    ],
)
def test_the_time_column_fits_the_interval(interval, title, fraction):
    lines = series_text(TimeSeries([(0, 1), (interval, 2)])).split("\n")
    assert lines[1].startswith(title)
    assert lines[2].startswith(f"{clock(0)}{fraction} *")


@pytest.mark.parametrize(
    "value, signed, low, high", [(9, True, "8", "10"), (0, False, "0", "1"), (2**64 - 1, False, str(2**64 - 2), str(2**64 - 1))]
)
def test_a_single_value_gets_room_on_both_sides_within_64_bits(value, signed, low, high):
    points = [(0, value), (1_000_000_000, value)]
    assert series_text(TimeSeries(points, signed=signed)).split("\n")[0].split() == [low, high]


def test_a_series_without_points_says_so():
    assert map_text(snapshot([(None, TimeSeries([]))], form="tseries")) == "@x:\n<no data>\n"


def test_events_are_written_in_order_each_to_its_stream():
    out, err = written(
        events.Attached(1),
        events.Printf.of("a"),
        events.Printf.of("b\n"),
        events.Value(PAIR, (1, b"x")),
        events.Value(S64, 5, name="@m", key_type=PAIR, key=(1, b"x")),
        events.Text("time", "12:00:00\n"),
        events.Text("join", "ls -l"),
        events.Text("cat", "no newline"),
        events.Text("system", "out"),
        events.Text("system", "out\n"),
        events.Map(snapshot([(None, 5)])),
        events.Exit(0),
    )
    assert out == "ab\n(1, x)\n@m[1, x]: 5\n12:00:00\nls -l\nno newlineout\nout\n@x: 5\n"
    assert err == "Attached 1 probe\n"


def test_maps_at_exit_follow_two_newlines():
    snapshots = [snapshot([(None, 5)]), snapshot([], name="@y"), snapshot([(1, 2)], key=S64, name="@z")]
    assert written(events.MapsAtExit(snapshots))[0] == "\n\n@x: 5\n@z[1]: 2\n"
    assert written(events.MapsAtExit([]))[0] == "\n\n"


def test_messages_have_the_place_but_not_the_line():
    span = make_span(8, 17)
    _, err = written(events.Message("error", "bad 1", span), events.Message("warning", "odd", span))
    assert err == "stdin:1:9-18: ERROR: bad 1\nstdin:1:9-18: WARNING: odd\n"


def test_runtime_warnings_have_the_place_the_helper_and_the_line():
    warning = events.RuntimeWarning("Can't delete.", make_span(8, 14), helper="map_delete_elem", code=-2)
    assert written(warning)[1] == (
        "stdin:1:9-15: WARNING: Can't delete.\nAdditional Info - helper: map_delete_elem, retcode: -2\n"
        "begin { printf(1) }\n        ~~~~~~\n"
    )


def test_losses_are_told_as_they_come_and_at_the_end():
    _, err = written(events.Lost(3, "ring_full"), events.Lost(4, "no_scratch"))
    assert err == "Lost 3 events\nLost 4 events\nWARNING: Total lost event count: 7\n"


def test_quiet_says_nothing_about_attaching():
    assert written(events.Attached(2), quiet=True) == ("", "")
    assert written(events.Attached(2)) == ("", "Attached 2 probes\n")


def test_problems_are_told_with_their_severity():
    assert written(events.Problem("failed to open file 'x'"))[1] == "ERROR: failed to open file 'x'\n"


def test_bytes_that_are_no_utf8_pass_through():
    out = BytesIO()
    writer = TextOutput(out, BytesIO(), Source("stdin", ""))
    writer.write([events.Printf.of(b"\xff\xfe".decode("utf-8", "surrogateescape"))])
    assert out.getvalue() == b"\xff\xfe"
