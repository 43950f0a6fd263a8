"""Nothing but a ParseError comes out of text of any kind, and nothing hangs."""

from __future__ import annotations

import pytest
from bpftrace_tree import program
from hypothesis import given, settings
from hypothesis import strategies as st

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace.attachpoint import split
from probee.compiler.lang.bpftrace.cmacro import expand_constants
from probee.compiler.lang.bpftrace.cpreprocessor import read_preamble
from probee.compiler.lang.bpftrace.macro import expand
from probee.compiler.lang.bpftrace.show import show
from probee.errors import CompileError, ParseError, Source, span_range

SEED = r"""#!/usr/bin/env bpftrace
#define N (1 << 3) /* eight */
#if defined(N) && N > 2
struct a { int x:3, *y[N]; union { u8 b; struct c { char d; } e; }; int (*f)(void); } __attribute__((packed));
#else
enum { A = 1, B };
#endif
typedef struct a a_t;
config = { stack_mode = perf; max_map_keys = 1_000; x = "y" }
import "stdlib";
macro m($v, @w, x, t) { let $k : typeof(x) = 1; @w[x] += $v; sizeof(t*) + offsetof(t, x) + $k }
fn f($p : struct a *, $q : string[4]) : uint64 { return $p->x.0 + sizeof(int8[2]); }
let @map = lruhash(16);
k:a*, uprobe:"/a b/{":"f(int, char)", t:$1@x:2
/ pid == $1 && comm != "\x41\101\n" /
{
  let $x : int64 = (int64)-1 ?: (1 ? 2 : 3);
  @map[tid, (name = 1, other = (2,))] = if ($x > 0x1f) { 1 } else if !$x { 2 } else { f(m($x, @map, 5, typeof(a_t)), N) };
  for ($i : 0..(N + 1)) { while $i < 3 { if (1) { break; } else { continue } } }
  for $kv : @map { unroll (3) { ++$x; $x-- } _ = &$x; }
  $y = { $z = *$x; $z }; if comptime ($y) { printf("%d", $#); return; }
  @map[1][2]->a.b[3] == ~1 || a & b ^ c | d << 1ms >> 2 % 3 / 4 * 5 - 6
}
end { clear(@map); @ = count() }
"""

PIECES = st.sampled_from(
    SEED.split() + list("(){}[];,:=<>!~&|^%*/+-.@$#\"'\\?_ \n\t0") + ["/*", "*/", "//", "#if ", "0x", "1e", "..", "->", "\0"]
)


def check(text: str) -> None:
    """Whatever the text, each step gives a result or an error with a place inside the text."""
    try:
        found = program(text)
    except ParseError as error:
        assert error.message.startswith("syntax: ")
        start, end = span_range(error.span)
        assert 0 <= start <= end <= len(text)
        return
    assert ast.same(program(show(found)), found)
    try:
        definitions = read_preamble(found.preamble)
        expand_constants(found, definitions.macros)
        for probe in found.probes:
            for point in probe.attach_points:
                split(point, ("x", "y:z"))
        expand(found, Source("stdin", text))
    except CompileError as error:
        assert 0 <= span_range(error.span)[1] <= len(text)


def test_the_seed_is_a_program() -> None:
    check(SEED)
    assert len(program(SEED).probes) == 2


@given(st.text())
def test_any_text(text: str) -> None:
    check(text)


@given(st.lists(PIECES, max_size=40))
@settings(max_examples=400, deadline=None)
def test_pieces_in_any_order(pieces: list[str]) -> None:
    check(" ".join(pieces))


@given(st.lists(PIECES, max_size=40))
@settings(max_examples=400, deadline=None)
def test_pieces_in_a_block(pieces: list[str]) -> None:
    check("begin { " + "".join(pieces) + " }")


@given(st.integers(0, len(SEED)), st.integers(0, 20), st.one_of(st.text(max_size=3), PIECES))
@settings(max_examples=600, deadline=None)
def test_a_program_with_a_part_replaced(at: int, length: int, by: str) -> None:
    check(SEED[:at] + by + SEED[at + length :])


@pytest.mark.parametrize("end", range(0, len(SEED), 7))
def test_a_program_cut_short(end: int) -> None:
    check(SEED[:end])


@given(st.binary())
def test_any_bytes_read_as_bpftrace_reads_them(data: bytes) -> None:
    check(data.decode("utf-8", "surrogateescape"))
