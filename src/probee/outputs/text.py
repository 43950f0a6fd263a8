"""Text output, as bpftrace writes it: events to one stream, what is about the trace itself to the other.

Printed values, maps and the texts of printf go to `out`; "Attached", losses, warnings and errors to `err`.  Both are binary
streams: bytes that are not UTF-8 pass through unchanged.
"""

from __future__ import annotations

from probee.errors import Source, excerpt, locate
from probee.model import event as events
from probee.model.text import text_form

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import BinaryIO


class TextOutput:
    """Writes events; `flush_each` flushes `out` after every list of events."""

    def __init__(
        self, out: BinaryIO, err: BinaryIO, source: Source, *, trailer: str = "..", quiet: bool = False,
        warnings: bool = True, flush_each: bool = True,
    ) -> None:  # fmt: skip
        self._out = out
        self._err = err
        self._source = source
        self._trailer = trailer
        self._quiet = quiet
        self._warnings = warnings
        self._flush_each = flush_each
        self._lost = 0

    def write(self, batch: Iterable[events.Event]) -> None:
        """Write events in order."""
        texts: list[str] = []
        append = texts.append
        for event in batch:
            if event.kind == "printf":
                append(event.text)  # type: ignore[attr-defined]  # a Printf
            else:
                form = _FORMS.get(event.kind)
                if form is not None:
                    append(form(self, event))
                else:
                    self._write_out(texts)
                    texts.clear()
                    self._note(event)
        self._write_out(texts)

    def _write_out(self, texts: list[str]) -> None:
        if texts:
            self._out.write("".join(texts).encode("utf-8", "surrogateescape"))
            if self._flush_each:
                self._out.flush()

    def close(self) -> None:
        """Write what concludes the output; the streams stay open."""
        self._out.flush()
        if self._lost:
            self._complain(f"WARNING: Total lost event count: {self._lost}")

    # -- what goes to out

    def _value(self, event: events.Value) -> str:
        text = text_form(event.type, trailer=self._trailer)(event.value)
        if event.key_type is None:
            return text + "\n"
        key = text_form(event.key_type, trailer=self._trailer)(event.key)
        return f"{event.name}[{bare_key(key)}]: {text}\n"

    def _map(self, event: events.Map) -> str:
        from probee.outputs.chart import map_text

        return map_text(event.snapshot, trailer=self._trailer)

    def _maps_at_exit(self, event: events.MapsAtExit) -> str:
        shown = [snapshot for snapshot in event.snapshots if snapshot.rows]
        if not shown:
            return "\n\n"
        from probee.outputs.chart import map_text

        return "\n\n" + "".join([map_text(snapshot, trailer=self._trailer) for snapshot in shown])

    def _text(self, event: events.Text) -> str:
        if event.function == "join" or (event.function == "system" and not event.text.endswith("\n")):
            return event.text + "\n"
        return event.text

    def _test_result(self, event: events.TestResult) -> str:
        from probee.outputs.trial import report_text, said_text

        return report_text(event, said_text(event, self._source, trailer=self._trailer))

    def _benchmark_result(self, event: events.BenchmarkResult) -> str:
        from probee.outputs.trial import benchmark_text

        return benchmark_text(event)

    # -- what goes to err

    def _note(self, event: events.Event) -> None:
        note = _NOTES.get(event.kind)
        text = note(self, event) if note is not None else ""
        if text:
            self._complain(text)

    def _complain(self, text: str) -> None:
        self._out.flush()
        self._err.write((text + "\n").encode("utf-8", "surrogateescape"))
        self._err.flush()

    def _attached(self, event: events.Attached) -> str:
        return "" if self._quiet else f"Attached {event.count} probe{'' if event.count == 1 else 's'}"

    def _lost_events(self, event: events.Lost) -> str:
        self._lost += event.count
        return f"Lost {event.count} events"

    def _message(self, event: events.Message) -> str:
        severity = event.severity.upper()
        return "\n".join([f"{self._place(event.span)}{severity}: {event.text}", *self._parents(event.parents, severity)])

    def _problem(self, event: events.Problem) -> str:
        return f"{event.severity.upper()}: {event.text}"

    def _runtime_warning(self, event: events.RuntimeWarning) -> str:
        lines = [f"{self._place(event.span)}WARNING: {event.text}"]
        if event.helper:
            lines.append(f"Additional Info - helper: {event.helper}, retcode: {event.code}")
        if event.span:
            lines.append(excerpt(self._source, event.span))
        return "\n".join([*lines, *self._parents(event.parents, "WARNING")])

    def _parents(self, spans: tuple[int, ...], severity: str) -> list[str]:
        return [f"{locate(self._source, span)}: {severity}: expanded from\n{excerpt(self._source, span)}" for span in spans]

    def _place(self, span: int) -> str:
        return f"{locate(self._source, span)}: " if span else ""


def bare_key(text: str) -> str:
    """Return a key's text without the parentheses that a tuple has."""
    return text[1:-1] if len(text) >= 2 and text[0] == "(" and text[-1] == ")" else text


_FORMS: dict[str, Callable[..., str]] = {
    "value": TextOutput._value,
    "map": TextOutput._map,
    "maps_at_exit": TextOutput._maps_at_exit,
    "text": TextOutput._text,
    "test_result": TextOutput._test_result,
    "benchmark_result": TextOutput._benchmark_result,
}
_NOTES: dict[str, Callable[..., str]] = {
    "attached": TextOutput._attached,
    "lost": TextOutput._lost_events,
    "message": TextOutput._message,
    "problem": TextOutput._problem,
    "runtime_warning": TextOutput._runtime_warning,
}
