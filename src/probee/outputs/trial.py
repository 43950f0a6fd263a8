"""Results of test and bench probes as text, and what a test has said as one string."""

from __future__ import annotations

from io import BytesIO

from probee.errors import Source
from probee.model import event as events

GREEN, RED, PLAIN = "\033[32m", "\033[31m", "\033[0m"
NAME_WIDTH, TIME_WIDTH = 40, 15
_UNITS = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns"))


def said_text(result: events.TestResult, source: Source, *, trailer: str) -> str:
    """Return what a test wrote to either stream, in order."""
    from probee.outputs.text import TextOutput

    stream = BytesIO()
    TextOutput(stream, stream, source, trailer=trailer, flush_each=False).write(result.said)
    return stream.getvalue().decode("utf-8", "surrogateescape")


def report_text(result: events.TestResult, said: str) -> str:
    """Return the lines about one test; the first one's begin with the head of the report, the last one's end with its sum."""
    name, passed = result.names[result.index], result.passed[-1]
    lines = [] if result.index else [_line(GREEN, "==========", f"Running {len(result.names)} tests.")]
    lines.append(_line(GREEN, " RUN      ", name))
    scale, unit = next(((scale, unit) for scale, unit in _UNITS if result.duration_ns >= scale), (1, "ns"))
    if not passed:
        lines += [line for line in said.split("\n") if line]
    how = (GREEN, "       OK ") if passed else (RED, "  FAILED  ")
    lines.append(_line(*how, f"{name} ({result.duration_ns // scale} {unit})"))
    if result.index == len(result.names) - 1:
        lines += _sum(result)
    return "".join([f"{line}\n" for line in lines])


def _sum(result: events.TestResult) -> list[str]:
    failed = [name for name, passed in zip(result.names, result.passed, strict=True) if not passed]
    lines = [
        _line(GREEN, "==========", f"{_tests(len(result.names))} ran."),
        _line(GREEN, "  PASSED  ", f"{_tests(len(result.names) - len(failed))}."),
    ]
    if failed:
        lines.append(_line(RED, "  FAILED  ", f"{_tests(len(failed))}, listed below:"))
        lines += [_line(RED, "  FAILED  ", name) for name in failed]
    return lines


def _tests(count: int) -> str:
    return f"{count} {'test' if count == 1 else 'tests'}"


def _line(colour: str, tag: str, rest: str) -> str:
    return f"{colour}[{tag}]{PLAIN} {rest}"


def benchmark_text(result: events.BenchmarkResult) -> str:
    """Return the row of one benchmark, the first one's with the head of the table."""
    width = max(NAME_WIDTH, *[len(name) for name in result.names]) + 1
    head = ""
    if not result.index:
        head = f"{'Benchmark':<{width}}{'Time(ns)':<{TIME_WIDTH}}Iterations\n"
        head += "-" * (len(head) - 1) + "\n"
    return f"{head}{result.names[result.index]:<{width}}{result.average_ns:<{TIME_WIDTH}}{result.iterations}\n"
