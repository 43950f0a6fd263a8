"""Programs of all kinds, right and wrong: nothing but a CompileError comes out of compile(), and nothing takes long.

A short run is part of the suite.  PROBEE_FUZZ_S=600 goes on for so many seconds, with new programs each time.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from probee.compiler.lang.bpftrace import builtin
from probee.compiler.lang.bpftrace.function import FUNCTIONS
from probee.errors import CompileError, Source, UsageError, span_range
from script_generator import Generator, mutated
from script_harness import compile_script

LONG_S = int(os.environ.get("PROBEE_FUZZ_S", "0"))
pytestmark = pytest.mark.timeout(120 + 2 * LONG_S)
LONGEST_S = 5.0  # of this process's time, for one program
ROOT = Path(__file__).parents[5]
CORPUS = [
    *[path.read_text() for path in sorted([*ROOT.glob("benchmarks/scripts/*.bt"), *ROOT.glob("examples/**/*.bt")])],
    'begin { $a = (1, ("x", 2)); @m[$a, comm] = hist(nsecs % 10, 2); for ($kv : @m) { print($kv.0); } }',
    'struct s { int a : 3; char b[8]; } begin { let $p : struct s * = (struct s *)nsecs; print(*$p); print($p->b); }',
    'macro m($v, @w, x) { @w[x] += $v; $v } fn f($x : int64) : string[8] { return "a"; } begin { $z = 2; m($z, @, f(1)); }',
    'config = { max_strlen = 64; stack_mode = perf } begin { @[kstack, ustack(3)] = stats(pid); print(@, 2, 3); clear(@); }',
    'tracepoint:sched:sched_switch /args.prev_pid/ { @[args.prev_comm] = count(); if (getopt("a", 1) > $1) { exit(); } }',
    'kprobe:vfs_* { @[func, probe] = lhist(arg0, 0, 10, 1); unroll (3) { @x++; } while (@x < 5) { @x--; break; } }',
    'begin { $x = { let $y = 1ms; $y ?: 2 }; printf("%d %s %-5x\\n", $x, "a\\x41", ~$x >> 2); assert($x == 1, "no"); }',
    'test:a { return if (comptime sizeof(int32) == 4) { 0 } else { 1 }; } bench:b { @ = strcontains("abc", comm); }',
]  # fmt: skip


def check(text: str) -> None:
    """Compile a text; whatever happens but an object or an error with a place in the text is a failure."""
    started = time.process_time()
    try:
        compile_script(text, parameters=("5", "word"))
    except UsageError:
        pass
    except CompileError as error:
        source = error.source or Source("stdin", text)
        assert 0 <= span_range(error.span)[0] <= len(source.text)
        assert error.report()
    assert time.process_time() - started < LONGEST_S


def run(programs: Callable[[int], str], count: int) -> None:
    """Check so many programs, or as many as there is time for."""
    if not LONG_S:
        for seed in range(count):
            attempt(programs, seed)
        return
    seed = int(time.time() * 1000) << 16
    end = time.monotonic() + LONG_S
    while time.monotonic() < end:
        attempt(programs, seed)
        seed += 1


def attempt(programs: Callable[[int], str], seed: int) -> None:
    text = programs(seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check(text)
    except Exception as error:
        pytest.fail(f"{error!r} (seed {seed}) for:\n{text}")


def test_generated_programs() -> None:
    run(lambda seed: Generator(seed).program(), 250)


def test_generated_programs_with_wrong_types() -> None:
    run(lambda seed: Generator(seed, chaos=0.3).program(), 150)


def test_spoiled_programs() -> None:
    run(lambda seed: mutated(Generator(seed).program(), Random(seed)), 300)


def test_a_spoiled_corpus() -> None:
    run(lambda seed: mutated(CORPUS[seed % len(CORPUS)], Random(seed)), 900)


ARGUMENTS = ("", "1", '"a"', '"a", "b"', "1, 2", "curtask", "@m", "@m, 1", '"%d", 1', "1, 0, 10, 1", "kstack")
PLACES = (
    "fn f() : void {{ {0}; }} begin {{ @m[1] = 1; f(); }}",
    "begin {{ @m[1] = 1; $x = {0}; @r[{0}] = {0}; print(($x, 1)); }}",
    "tracepoint:sched:sched_switch {{ @m[1] = 1; for ($i : 0..2) {{ print({0}); }} }}",
    'kprobe:vfs_read /{0}/ {{ @m[1] = 1; printf("%s %d", {0}, {0}); let $z : typeof({0}); print(sizeof({0})); }}',
    "macro m(x) {{ x; {0} }} test:a {{ @m[1] = 1; print(m({0})); }}",
)  # fmt: skip
BUILTINS = [name for name in builtin.BUILTINS if name not in ("argN", "sargN")] + ["arg0", "sarg1"]


@pytest.mark.parametrize("place", PLACES)
def test_every_name_in_all_kinds_of_places(place: str) -> None:
    for name in [*BUILTINS, *(f"{name}({given})" for name in FUNCTIONS for given in ARGUMENTS)]:
        attempt(lambda seed, name=name: place.format(name), 0)


@pytest.mark.parametrize("text", CORPUS, ids=range(len(CORPUS)))
def test_the_corpus_compiles_or_says_why(text: str) -> None:
    check(text)
