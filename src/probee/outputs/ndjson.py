"""JSON output: one object per line, the record types of bpftrace's `-f json`.

Everything of the trace goes to `out`, losses and warnings of the script included; only what is wrong in user space, such as a
file that cat() cannot read, is text on `err`.  Separators are bpftrace's: `", "` and `": "` in objects, a bare `,` in arrays.
"""

from __future__ import annotations

import os

from probee.errors import Source, span_range
from probee.model import event as events
from probee.model.snapshot import Histogram, MapSnapshot, TimeSeries
from probee.model.text import json_form, json_number, json_string, text_form

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, BinaryIO


class JsonOutput:
    """Writes events; `flush_each` flushes `out` after every list of events."""

    def __init__(
        self, out: BinaryIO, err: BinaryIO, source: Source, *, trailer: str = "..", quiet: bool = False, flush_each: bool = True
    ) -> None:
        self._out = out
        self._err = err
        self._source = source
        self._trailer = trailer
        self._quiet = quiet
        self._flush_each = flush_each
        self._lost = 0

    def write(self, batch: Iterable[events.Event]) -> None:
        """Write events in order."""
        lines: list[str] = []
        for event in batch:
            form = _FORMS.get(event.kind)
            if form is not None:
                lines.extend(form(self, event))
            elif isinstance(event, events.Problem):
                self._complain(f"{event.severity.upper()}: {event.text}")
        if lines:
            self._out.write(("\n".join(lines) + "\n").encode("utf-8", "replace"))
            if self._flush_each:
                self._out.flush()

    def close(self) -> None:
        """Write what concludes the output; the streams stay open."""
        self._out.flush()
        if self._lost:
            self._complain(f"WARNING: Total lost event count: {self._lost}")

    def _complain(self, text: str) -> None:
        self._err.write((text + "\n").encode("utf-8", "surrogateescape"))
        self._err.flush()

    def _attached(self, event: events.Attached) -> list[str]:
        if self._quiet:
            return []
        return [f'{{"type": "attached_probes", "count": {event.count}, "data": {{"probes": {event.count}}}}}']

    def _printf(self, event: events.Printf) -> list[str]:
        return [data_line("printf", json_string(event.text))]

    def _text(self, event: events.Text) -> list[str]:
        return [data_line("syscall" if event.function == "system" else event.function, json_string(event.text))]

    def _value(self, event: events.Value) -> list[str]:
        value = json_form(event.type, trailer=self._trailer)(event.value)
        if event.key_type is None:
            return [data_line("value", value)]
        key = json_key(text_form(event.key_type, trailer=self._trailer)(event.key))
        return [data_line("map", f"{{{json_string(event.name)}: {{{key}: {value}}}}}")]

    def _map(self, event: events.Map) -> list[str]:
        return map_lines(event.snapshot, trailer=self._trailer)

    def _maps_at_exit(self, event: events.MapsAtExit) -> list[str]:
        return [line for snapshot in event.snapshots for line in map_lines(snapshot, trailer=self._trailer)]

    def _lost_events(self, event: events.Lost) -> list[str]:
        self._lost += event.count
        return [f'{{"type": "lost_events", "count": {event.count}, "data": {{"events": {event.count}}}}}']

    def _test_result(self, event: events.TestResult) -> list[str]:
        from probee.outputs.trial import said_text

        said = json_string(said_text(event, self._source, trailer=self._trailer))
        passed = "true" if event.passed[-1] else "false"
        result = f'{{"duration": {event.duration_ns}, "passed": {passed}, "output": {said}}}'
        return [data_line("test_result", f"{{{json_string(event.names[event.index])}: {result}}}")]

    def _benchmark_result(self, event: events.BenchmarkResult) -> list[str]:
        result = f'{{"average": {event.average_ns}, "iters": {event.iterations}}}'
        return [data_line("benchmark_result", f"{{{json_string(event.names[event.index])}: {result}}}")]

    def _message(self, event: events.Message) -> list[str]:
        kind = "errorf" if event.severity == "error" else "warnf"
        return [f'{{"type": "{kind}", "msg": {json_string(event.text)}{self._place(event.span)}}}']

    def _runtime_warning(self, event: events.RuntimeWarning) -> list[str]:
        if not event.helper:
            return [f'{{"type": "runtime_error", "msg": {json_string(event.text)}{self._place(event.span)}}}']
        message = json_string(os.strerror(-event.code))
        return [
            f'{{"type": "helper_error", "msg": {message}, "helper": "{event.helper}", "retcode": {event.code}'
            f"{self._place(event.span)}}}"
        ]

    def _place(self, span: int) -> str:
        start, _ = span_range(span)
        line, column = self._source.position(start)
        return f', "filename": {json_string(self._source.name_at(start))}, "line": {line}, "col": {column}'


def data_line(kind: str, data: str) -> str:
    return f'{{"type": "{kind}", "data": {data}}}'


def json_key(text: str) -> str:
    """Return a map key as the name of a member: without a tuple's parentheses and without any blank."""
    if len(text) >= 2 and text[0] == "(" and text[-1] == ")":
        text = text[1:-1]
    return json_string(text.replace(" ", ""))


def map_lines(snapshot: MapSnapshot, *, trailer: str = "..") -> list[str]:
    """Return the line of a map; none when it is empty."""
    if not snapshot.rows:
        return []
    value = _value_form(snapshot, trailer)
    if snapshot.scalar:
        data = value(snapshot.rows[0][1])
    else:
        key = text_form(snapshot.key, trailer=trailer) if snapshot.key is not None else str
        data = "{" + ", ".join([f"{json_key(key(found))}: {value(item)}" for found, item in snapshot.rows]) + "}"
    return [data_line(snapshot.form, f"{{{json_string(snapshot.name)}: {data}}}")]


def _value_form(snapshot: MapSnapshot, trailer: str) -> Callable[[Any], str]:
    if snapshot.form == "hist":
        return histogram_json
    if snapshot.form == "tseries":
        return series_json
    if snapshot.form == "stats":
        return _stats_json
    return json_form(snapshot.value, trailer=trailer)


def _stats_json(value: Any) -> str:
    if not isinstance(value, dict):
        return json_number(value)
    return "{" + ", ".join([f'"{name}": {json_number(number)}' for name, number in value.items()]) + "}"


def histogram_json(histogram: Histogram) -> str:
    """Return the buckets; both bounds are part of a bucket here, an open end is left out."""
    return f"[{','.join([_bucket(b.low, b.high, b.count) for b in histogram.buckets])}]"


def _bucket(low: int | None, high: int | None, count: int) -> str:
    parts = []
    if low is not None:
        parts.append(f'"min": {json_number(low)}')
    if high is not None:
        parts.append(f'"max": {json_number(high - 1)}')
    parts.append(f'"count": {count}')
    return "{" + ", ".join(parts) + "}"


def series_json(series: TimeSeries) -> str:
    """Return the points that have a value, their times in UTC."""
    points = [f'{{"interval_start":"{_utc(ns)}","value":{value}}}' for ns, value in series.points if value is not None]
    return f"[{','.join(points)}]"


def _utc(ns: int) -> str:
    import time

    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(seconds))}.{rest:09d}"


_FORMS: dict[str, Callable[..., list[str]]] = {
    "attached": JsonOutput._attached,
    "printf": JsonOutput._printf,
    "text": JsonOutput._text,
    "value": JsonOutput._value,
    "map": JsonOutput._map,
    "maps_at_exit": JsonOutput._maps_at_exit,
    "lost": JsonOutput._lost_events,
    "test_result": JsonOutput._test_result,
    "benchmark_result": JsonOutput._benchmark_result,
    "message": JsonOutput._message,
    "runtime_warning": JsonOutput._runtime_warning,
}
