"""Measuring whole processes: wall time, CPU time (user and system, children included) and peak resident memory.

Machines are shared and noisy: cases take turns, medians are told, and CPU time is what budgets are about.  The peak is
ru_maxrss, which starts at the size of the process that spawned: keep this one small (no imports beyond what is needed).
"""

from __future__ import annotations

import os
import time

_UNWANTED = ("PYTHONDONTWRITEBYTECODE", "PYTHONPROFILEIMPORTTIME")

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Sample:
    """What one run took."""

    __slots__ = ("cpu_ms", "peak_mb", "status", "wall_ms")

    def __init__(self, wall_ms: float, cpu_ms: float, peak_mb: float, status: int) -> None:
        self.wall_ms = wall_ms
        self.cpu_ms = cpu_ms
        self.peak_mb = peak_mb
        self.status = status


class Case:
    """A command to measure; `prepare` runs before each time, unmeasured."""

    def __init__(self, name: str, words: Sequence[str], prepare: Callable[[], object] | None = None) -> None:
        self.name = name
        self.words = list(words)
        self.prepare = prepare


class Failed(Exception):
    """A command that ends with another status than 0 measures nothing; `why` is what it said."""

    def __init__(self, words: Sequence[str], status: int, output: str = "") -> None:
        errors = [line for line in output.splitlines() if "ERROR" in line]
        self.why = errors[0] if errors else output[-500:]
        super().__init__(f"{' '.join(words)}: exit status {status} {self.why}".rstrip())


def environment(**more: str) -> dict[str, str]:
    """Return our environment for a child, without what would forbid it to keep compiled modules."""
    kept = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
    return {**kept, **more}


def run(words: Sequence[str], env: Mapping[str, str]) -> Sample:
    """Run a command with its output thrown away."""
    silent = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    start = time.perf_counter()
    pid = os.posix_spawn(words[0], list(words), dict(env), file_actions=silent)
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - start
    cpu = usage.ru_utime + usage.ru_stime
    return Sample(wall * 1e3, cpu * 1e3, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status))


class Trace:
    """What one run of a tracer took: until it said that `count` probes are attached, in all, and from Ctrl-C to its end."""

    __slots__ = ("attach_s", "count", "cpu_s", "end_s", "output")

    def __init__(self, count: int, attach_s: float, cpu_s: float, end_s: float, output: str) -> None:
        self.count = count
        self.attach_s = attach_s
        self.cpu_s = cpu_s
        self.end_s = end_s
        self.output = output


def trace(words: Sequence[str], env: Mapping[str, str], stimulus: Callable[[], object] | None = None) -> Trace:
    """Run a tracer; when it is attached do what it is to see, and press Ctrl-C."""
    import re
    import signal

    read, write = os.pipe()
    files = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), *((os.POSIX_SPAWN_DUP2, write, fd) for fd in (1, 2))]
    start = time.perf_counter()
    pid = os.posix_spawn(words[0], list(words), dict(env), file_actions=files, setsigdef=[signal.SIGINT])
    os.close(write)
    output, found, attached = b"", None, start
    with open(read, "rb", buffering=0) as pipe:
        while data := pipe.read(65536):
            output += data
            if found is None and (found := re.search(rb"Attached (\d+) probe", output)):
                attached = time.perf_counter()
                if stimulus is not None:
                    stimulus()
                interrupted = time.perf_counter()
                os.kill(pid, signal.SIGINT)
    _, status, usage = os.wait4(pid, 0)
    if found is None or status:
        raise Failed(words, os.waitstatus_to_exitcode(status), output.decode(errors="replace"))
    ended = time.perf_counter() - interrupted
    return Trace(int(found[1]), attached - start, usage.ru_utime + usage.ru_stime, ended, output.decode(errors="replace"))


def interleave(cases: Sequence[Case], runs: int, env: Mapping[str, str]) -> dict[str, Sample]:
    """Run all cases in turn, `runs` times after one round that does not count; return the medians by name."""
    samples: dict[str, list[Sample]] = {case.name: [] for case in cases}
    for number in range(runs + 1):
        for case in cases:
            if case.prepare is not None:
                case.prepare()
            sample = run(case.words, env)
            if sample.status:
                raise Failed(case.words, sample.status)
            if number:
                samples[case.name].append(sample)
    return {name: median_sample(taken) for name, taken in samples.items()}


def median_sample(samples: Sequence[Sample]) -> Sample:
    wall, cpu, peak = ([getattr(s, name) for s in samples] for name in ("wall_ms", "cpu_ms", "peak_mb"))
    return Sample(median(wall), median(cpu), median(peak), 0)


def median(numbers: Sequence[float]) -> float:
    ranked, half = sorted(numbers), len(numbers) // 2
    return ranked[half] if len(ranked) % 2 else (ranked[half - 1] + ranked[half]) / 2
