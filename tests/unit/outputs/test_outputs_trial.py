"""Results of test and bench probes as text and JSON."""

from __future__ import annotations

from io import BytesIO

from probee.errors import Source
from probee.model import event as events
from probee.outputs.ndjson import JsonOutput
from probee.outputs.text import TextOutput

SOURCE = Source("stdin", 'test:a { errorf("no"); }')
SAID: list[events.Event] = [events.Printf.of("out\n"), events.Message("error", "no", 9 << 24 | 12)]


def written(writer_type: type, *found: events.Event) -> str:
    stream = BytesIO()
    writer_type(stream, stream, SOURCE).write(found)
    return stream.getvalue().decode()


def test_passing_tests_are_silent_and_failing_ones_show_what_they_said() -> None:
    text = written(
        TextOutput,
        events.TestResult(("good", "bad"), 0, 999, (True,), SAID),
        events.TestResult(("good", "bad"), 1, 2_500_000, (True, False), SAID),
    )
    assert text == (
        "\033[32m[==========]\033[0m Running 2 tests.\n"
        "\033[32m[ RUN      ]\033[0m good\n"
        "\033[32m[       OK ]\033[0m good (999 ns)\n"
        "\033[32m[ RUN      ]\033[0m bad\n"
        "out\n"
        "stdin:1:10-22: ERROR: no\n"
        "\033[31m[  FAILED  ]\033[0m bad (2 ms)\n"
        "\033[32m[==========]\033[0m 2 tests ran.\n"
        "\033[32m[  PASSED  ]\033[0m 1 test.\n"
        "\033[31m[  FAILED  ]\033[0m 1 test, listed below:\n"
        "\033[31m[  FAILED  ]\033[0m bad\n"
    )


def test_json_of_a_test_has_what_it_said() -> None:
    assert written(JsonOutput, events.TestResult(("a",), 0, 12, (False,), SAID)) == (
        '{"type": "test_result", "data": {"a": {"duration": 12, "passed": false, '
        '"output": "out\\nstdin:1:10-22: ERROR: no\\n"}}}\n'
    )


def test_benchmarks_are_a_table() -> None:
    names = ("a", "b" * 45)
    text = written(TextOutput, *(events.BenchmarkResult(names, index, 17, 2000) for index in (0, 1)))
    assert text.splitlines() == [
        f"{'Benchmark':<46}Time(ns)       Iterations",
        "-" * (46 + 15 + 10),
        f"{'a':<46}17             2000",
        f"{'b' * 45} 17             2000",
    ]


def test_json_of_a_benchmark() -> None:
    assert written(JsonOutput, events.BenchmarkResult(("a",), 0, 17, 2000)) == (
        '{"type": "benchmark_result", "data": {"a": {"average": 17, "iters": 2000}}}\n'
    )
