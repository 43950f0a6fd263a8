"""JSON output: one object per line, as bpftrace writes them."""

from __future__ import annotations

import json
from io import BytesIO

import pytest

from probee.errors import Source, make_span
from probee.model import event as events
from probee.model.snapshot import Bucket, Histogram, MapSnapshot, TimeSeries
from probee.model.value import Field, ValueType, integer, string
from probee.outputs.ndjson import JsonOutput, map_lines

S64 = integer(8, signed=True)
PAIR = ValueType("tuple", 16, fields=(Field("", 0, S64), Field("", 8, string(8))))


def written(*batch, **options) -> tuple[str, str]:
    out, err = BytesIO(), BytesIO()
    writer = JsonOutput(out, err, Source("stdin", "begin {\n  printf(1) }"), **options)
    writer.write(batch)
    writer.close()
    return out.getvalue().decode(), err.getvalue().decode()


@pytest.mark.parametrize(
    "event, line",
    [
        (events.Attached(3), '{"type": "attached_probes", "count": 3, "data": {"probes": 3}}'),
        (events.Printf.of('a "b"\n'), '{"type": "printf", "data": "a \\"b\\"\\n"}'),
        (events.Value(S64, 5), '{"type": "value", "data": 5}'),
        (events.Value(PAIR, (1, b"x")), '{"type": "value", "data": [1,"x"]}'),
        (events.Value(S64, 5, name="@m", key_type=PAIR, key=(1, b"x")), '{"type": "map", "data": {"@m": {"1,x": 5}}}'),
        (events.Text("time", "1:2:3\n"), '{"type": "time", "data": "1:2:3\\n"}'),
        (events.Text("join", "a,b"), '{"type": "join", "data": "a,b"}'),
        (events.Text("cat", "x"), '{"type": "cat", "data": "x"}'),
        (events.Text("system", "a b\n"), '{"type": "syscall", "data": "a b\\n"}'),
        (
            events.Message("error", "bad", make_span(10, 12)),
            '{"type": "errorf", "msg": "bad", "filename": "stdin", "line": 2, "col": 3}',
        ),
        (
            events.Message("warning", "bad", make_span(0, 2)),
            '{"type": "warnf", "msg": "bad", "filename": "stdin", "line": 1, "col": 1}',
        ),
        (
            events.RuntimeWarning("x", make_span(10, 12), helper="probe_read_user", code=-14),
            '{"type": "helper_error", "msg": "Bad address", "helper": "probe_read_user", "retcode": -14, '
            '"filename": "stdin", "line": 2, "col": 3}',
        ),
        (
            events.RuntimeWarning("Divide", make_span(0, 1)),
            '{"type": "runtime_error", "msg": "Divide", "filename": "stdin", "line": 1, "col": 1}',
        ),
        (events.Lost(7, "ring_full"), '{"type": "lost_events", "count": 7, "data": {"events": 7}}'),
    ],
)  # fmt: skip
def test_an_event_is_one_line(event, line):
    assert written(event)[0] == line + "\n"
    json.loads(line)


def snapshot(rows, *, form="map", key=None, value=S64):
    return MapSnapshot("@x", form, key, value, rows, scalar=key is None)


HISTOGRAM = Histogram([Bucket(None, 0, 1), Bucket(0, 1, 2), Bucket(2048, 4096, 3, "2K", "4K"), Bucket(4096, None, 4)])


@pytest.mark.parametrize(
    "shown, data",
    [
        (snapshot([(None, 5)]), '{"type": "map", "data": {"@x": 5}}'),
        (snapshot([(1, 2), (3, 4)], key=S64), '{"type": "map", "data": {"@x": {"1": 2, "3": 4}}}'),
        (snapshot([((1, b"a b"), 2)], key=PAIR), '{"type": "map", "data": {"@x": {"1,ab": 2}}}'),
        (snapshot([(1, 7)], key=S64, form="stats"), '{"type": "stats", "data": {"@x": {"1": 7}}}'),
        (
            snapshot([(None, {"count": 3, "average": 2, "total": 6})], form="stats"),
            '{"type": "stats", "data": {"@x": {"count": 3, "average": 2, "total": 6}}}',
        ),
        (
            snapshot([(None, HISTOGRAM)], form="hist"),
            '{"type": "hist", "data": {"@x": [{"max": -1, "count": 1},{"min": 0, "max": 0, "count": 2},'
            '{"min": 2048, "max": 4095, "count": 3},{"min": 4096, "count": 4}]}}',
        ),
        (snapshot([(None, Histogram([]))], form="hist"), '{"type": "hist", "data": {"@x": []}}'),
        (
            snapshot([(1, TimeSeries([(500_000_000, 1), (600_000_000, None), (700_000_000, -2)]))], form="tseries", key=S64),
            '{"type": "tseries", "data": {"@x": {"1": [{"interval_start":"1970-01-01 00:00:00.500000000","value":1},'
            '{"interval_start":"1970-01-01 00:00:00.700000000","value":-2}]}}}',
        ),
    ],
)
def test_a_map_is_one_line(shown, data):
    assert map_lines(shown) == [data]
    json.loads(data)


def test_an_empty_map_is_no_line():
    assert map_lines(snapshot([], key=S64)) == []
    assert written(events.MapsAtExit([snapshot([]), snapshot([(None, 5)])]))[0] == '{"type": "map", "data": {"@x": 5}}\n'


def test_losses_and_problems_are_also_told_on_the_other_stream():
    _, err = written(events.Lost(7, "ring_full"), events.Problem("no file"))
    assert err == "ERROR: no file\nWARNING: Total lost event count: 7\n"


def test_quiet_says_nothing_about_attaching():
    assert written(events.Attached(3), quiet=True)[0] == ""
