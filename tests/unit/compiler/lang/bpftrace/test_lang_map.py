"""Maps and aggregations: reading, deleting, printing, histograms' edges; run in the interpreter."""

from __future__ import annotations

import pytest

from script_harness import World, run, run_script

MAPS = [
    ("@x = 5;", "@x: 5\n"),
    ("@ = 5;", "@: 5\n"),
    ("@x[1] = 5; @x[2] = 4;", "@x[2]: 4\n@x[1]: 5\n"),  # by value
    ('@x["b"] = "1"; @x["a"] = "2";', "@x[a]: 2\n@x[b]: 1\n"),  # by key
    ("print(@x[5]); @x[1] = 1;", "0\n@x[1]: 1\n"),  # missing keys read as zero
    ("@x[1] = 1; @x[1]++; @x[1] += 5; print(@x[1]);", "7\n@x[1]: 7\n"),
    ("@x[1] = 1; print(@x[1]++); print(++@x[1]);", "1\n3\n@x[1]: 3\n"),
    ("@x = 3; print(@x); print(@x + 1);", "@x: 3\n4\n@x: 3\n"),
    ("@x[1] = 1; @x[2] = 2; print(@x);", "@x[1]: 1\n@x[2]: 2\n" * 2),
    ("@x[1] = 1; @x[2] = 2; @x[3] = 3; print(@x, 2); clear(@x);", "@x[2]: 2\n@x[3]: 3\n"),
    ("@x[1] = 100; print(@x, 0, 10); clear(@x);", "@x[1]: 10\n"),
    ("@x[1] = 1; @y = 2; clear(@x); clear(@y);", ""),
    ("@x[1] = 1; zero(@x);", "@x[1]: 0\n"),
    ("@x[1] = 1; delete(@x, 1); delete(@x[2]);", ""),
    ("@x[1] = 1; print(delete(@x, 1)); print(delete(@x, 1));", "true\nfalse\n"),
    ("@x = 1; delete(@x);", ""),
    ('@x[1, "a"] = 1; delete(@x, (1, "a"));', ""),
    ('@x["long key"] = 1; print(has_key(@x, "long key")); print(has_key(@x, "no"));', "true\nfalse\n@x[long key]: 1\n"),
    ("@x[1] = 5; let $v; if (find(@x, 1, $v)) { print($v); } if (!find(@x, 2, $v)) { print(2); }", "5\n2\n@x[1]: 5\n"),
    ("@x[1] = 1; @x[2] = 1; print(len(@x));", "2\n@x[1]: 1\n@x[2]: 1\n"),
    ("print(@never_written);  if (0) { @never_written = 1; }", "@never_written: 0\n"),
    ("@x = (1, 2); @y = @x;", "@x: (1, 2)\n@y: (1, 2)\n"),
    ("@x[@y[1]] = 2; @y[1] = 3;", "@x[0]: 2\n@y[1]: 3\n"),
    ("let $k = 5; @x[$k] = $k; $k = 6; @x[$k] = $k;", "@x[5]: 5\n@x[6]: 6\n"),
    ("@x[(int32 *)16] = 1;", "@x[0x10]: 1\n"),
    ("@x[true] = false;", "@x[true]: false\n"),
    ("@a[1] = 1; @b[1] = @a[1]; @a[1] = 2;", "@a[1]: 2\n@b[1]: 1\n"),
    ("@x[ksym(0xffffffff81000000)] = 1;", "@x[vfs_read]: 1\n"),
    ("@x[kstack(1)] = 1;", "@x[\n        do_sys_openat2+0\n]: 1\n"),
    ("@x[username] = 1; @y[usym(16)] = 2; clear(@x);", "@y[0x10]: 2\n"),
]


@pytest.mark.parametrize(("statements", "expected"), MAPS)
def test_maps(statements: str, expected: str) -> None:
    assert run_script(f"begin {{ {statements} }}") == expected


AGGREGATIONS = [
    ("@ = count(); @ = count();", "@: 2\n"),
    ("@[1] = count(); @[2] = count(); @[2] = count();", "@[1]: 1\n@[2]: 2\n"),
    ("@ = sum(5); @ = sum(-7);", "@: -2\n"),
    ("@ = sum($n);", "@: -5\n"),
    ("@ = sum((uint64)0xffffffffffffffff);", "@: 18446744073709551615\n"),
    ("@ = sum(1); @ = sum(nsecs);", None),
    ("@ = min(5); @ = min(-7); @ = min(3);", "@: -7\n"),
    ("@ = max(5); @ = max(-7); @ = max(3);", "@: 5\n"),
    ("@ = max(-5);", "@: -5\n"),
    ("@ = min(0); @ = min(1);", "@: 0\n"),
    ("@ = avg(10); @ = avg(25);", "@: 17\n"),
    ("@ = avg(-10); @ = avg(-25);", "@: -17\n"),
    ("@ = stats(10); @ = stats(20);", "@: { .count = 2, .average = 15, .total = 30 }\n"),
    ("@[1] = stats(-10); @[1] = stats(-5);", "@[1]: { .count = 2, .average = -7, .total = -15 }\n"),
    ("@ = count(); if (@ == 1) { print(1); } print(@ + 5); clear(@);", "1\n6\n"),
    ("@ = sum(5); $x = @; print($x * 2); clear(@);", "10\n"),
    ("@ = avg(10); @ = avg(20); print((int64)@); clear(@);", "15\n"),
    ("@ = max(10); print((@, 1)); clear(@);", "(10, 1)\n"),
    ("@a = count(); @b[@a] = 1; clear(@a);", "@b[1]: 1\n"),
    ("@a = 1; @c = count(); @c = count(); @a = @c; clear(@c);", "@a: 2\n"),
    ("@ = count(); delete(@);", ""),
    ("@[1] = count(); @[2] = count(); delete(@, 1);", "@[2]: 1\n"),
    ("@ = { let $a = 100; avg($a) };", "@: 100\n"),
    ("@[1] = avg(5); print(@[1]); clear(@);", "5\n"),
    ("print(@s); if (0) { @s = stats(1); }", "@s: { .count = 0, .average = 0, .total = 0 }\n"),
]


@pytest.mark.parametrize(("statements", "expected"), AGGREGATIONS)
def test_aggregations(statements: str, expected: str | None) -> None:
    out = run_script(f"begin {{ $n = -5; {statements} }}")
    assert out.startswith("@: ") if expected is None else out == expected


def buckets(name: str, statements: str) -> list[str]:
    lines = run_script(f"begin {{ {statements} }}").splitlines()
    assert lines[0] == f"{name}:"
    return [" ".join(line[:24].split()) for line in lines[1:] if line]


HISTOGRAMS = [
    ("-1", "(..., 0) 1"),
    ("0", "[0] 1"),
    ("1", "[1] 1"),
    ("2", "[2, 4) 1"),
    ("3", "[2, 4) 1"),
    ("4", "[4, 8) 1"),
    ("1023", "[512, 1K) 1"),
    ("1024", "[1K, 2K) 1"),
    ("1048576", "[1M, 2M) 1"),
    ("(uint64)0x8000000000000000", "(..., 0) 1"),
    ("(uint32)0x80000000", "[2G, 4G) 1"),
    ("9223372036854775807", "[4E, 8E) 1"),
]


@pytest.mark.parametrize(("value", "row"), HISTOGRAMS)
def test_hist_counts_in_powers_of_two(value: str, row: str) -> None:
    assert buckets("@", f"$v = {value}; @ = hist($v);") == [row]


def test_hist_rows_between_are_shown_and_bars_are_scaled() -> None:
    out = run_script("begin { @ = hist(1); @ = hist(4); @ = hist(4); }")
    assert out == (
        "@:\n"
        "[1]                    1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |\n"
        "[2, 4)                 0 |                                                    |\n"
        "[4, 8)                 2 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|\n\n"
    )


FINE = [("0", "[0] 1"), ("3", "[3] 1"), ("4", "[4] 1"), ("9", "[8, 10) 1"), ("11", "[10, 12) 1"), ("1000", "[896, 1024) 1")]


@pytest.mark.parametrize(("value", "row"), FINE)
def test_hist_with_bits_divides_the_octaves(value: str, row: str) -> None:
    assert buckets("@", f"@ = hist({value}, 2);") == [row]


LINEAR = [
    ("-1", "(..., 0) 1"),
    ("0", "[0, 10) 1"),
    ("9", "[0, 10) 1"),
    ("10", "[10, 20) 1"),
    ("99", "[90, 100) 1"),
    ("100", "[100, ...) 1"),
    ("5000", "[100, ...) 1"),
]


@pytest.mark.parametrize(("value", "row"), LINEAR)
def test_lhist_counts_in_equal_steps(value: str, row: str) -> None:
    assert buckets("@", f"$v = {value}; @ = lhist($v, 0, 100, 10);") == [row]


def test_lhist_takes_64_bits_as_signed() -> None:
    assert buckets("@", "@ = lhist((uint64)0xffffffffffffffff, 0, 100, 10);") == ["(..., 0) 1"]
    assert buckets("@", "@ = lhist((uint32)0xffffffff, 0, 100, 10);") == ["[100, ...) 1"]


def test_histograms_have_keys() -> None:
    out = run_script('begin { @["a"] = hist(1); @["b"] = hist(1); @["b"] = hist(2); }')
    assert [line[:6] for line in out.splitlines() if line.startswith("@")] == ["@[a]:", "@[b]:"]


def test_a_full_map_refuses_and_says_so() -> None:
    done = run("let @m = hash(2); begin { @m[1] = 1; @m[2] = 1; @m[3] = 1; @m[1] = 5; }")
    assert done.out == "@m[2]: 1\n@m[1]: 5\n"
    assert "WARNING: Map full; can't update element." in done.err


DECLARED = [
    ("let @m = lruhash(2); begin { @m[1] = 1; @m[2] = 1; @m[3] = 1; }", "@m[2]: 1\n@m[3]: 1\n"),
    ("let @m = percpuhash(2); begin { @m[1] = count(); }", "@m[1]: 1\n"),
    ("let @m = percpulruhash(5); begin { @m[1] = sum(3); }", "@m[1]: 3\n"),
]


@pytest.mark.parametrize(("text", "expected"), DECLARED)
def test_declared_maps(text: str, expected: str) -> None:
    assert run_script(text) == expected


def test_maps_may_stay_unprinted() -> None:
    assert run_script("config = { print_maps_on_exit = false } begin { @x = 1; }") == ""


def test_values_add_up_over_cpus() -> None:
    text = "interval:s:1 { @c = count(); @s = sum(2); @m = max(5); } interval:s:2 { @c = count(); @s = sum(3); @m = max(4); }"
    world = World()
    outcome = run(text, world)
    assert outcome.out == "@c: 2\n@m: 5\n@s: 5\n"


def test_structs_are_copied_into_maps() -> None:
    kernel = {0xFFFF_A000_0000_0000: (7).to_bytes(4, "little") + (9).to_bytes(4, "little")}
    text = "struct P { int a; int b; } begin { @ = *(struct P *)0xffffa00000000000; print(@.b); @k[@] = 1; }"
    assert run_script(text, World(kernel=kernel)) == "9\n@: { .a = 7, .b = 9 }\n@k[{ .a = 7, .b = 9 }]: 1\n"


def test_a_map_has_an_address() -> None:
    text = "begin { @a[1] = 1; $x = &@a; print(($x != 0, $x == &@a, sizeof(&@a))); clear(@a); }"
    assert run_script(text) == "(true, true, 8)\n"
