"""Control flow: branches, blocks and their scopes, loops over ranges and maps, leaving them; run in the interpreter."""

from __future__ import annotations

import pytest

from script_harness import run, run_script

FLOW = [
    # branches
    ("if (1) { print(1); } else { print(2); }", "1\n"),
    ("if ($z) { print(1); } else { print(2); }", "2\n"),
    ("if $p { print(1); }", "1\n"),
    ("if !$p { print(1); } else { print(0); }", "0\n"),
    ("if ($z) { print(1); } else if ($p == 5) { print(2); } else { print(3); }", "2\n"),
    ("if ($p > 3) { if ($p < 4) { print(1); } else { print(2); } }", "2\n"),
    ("$x = if ($p == 5) { 10 } else { 20 }; print($x);", "10\n"),
    ("$x = if ($z) { 10 } else if ($p) { 15 } else { 20 }; print($x);", "15\n"),
    ("$x = { let $y = 3; $y * 2 }; print($x);", "6\n"),
    ("print({ $a = 4; $a + 1 });", "5\n"),
    ("$p == 5 ? print(1) : print(2);", "1\n"),
    ("$z ? print(1) : exit(); print(3);", ""),
    ("if comptime (1 == 1) { print(1); } else { print(undefined_name); }", "1\n"),
    ("if (comptime (sizeof(int32) == 4)) { print(4); }", "4\n"),
    # short circuits
    ("if ($z && @n++) { print(1); } print(@n);", "@n: 0\n"),
    ("if ($p || @n++) { print(1); } print(@n);", "1\n@n: 0\n"),
    # scopes: sibling blocks may reuse a name, with another type
    ('if (1) { $a = 1; print($a); } if (1) { $a = "s"; print($a); }', "1\ns\n"),
    ("let $a; if ($p) { $a = 7; } print($a);", "7\n"),
    ("let $a = 1; { $a = 2; } print($a);", "2\n"),
    # loops that run inline
    ("unroll (3) { print(1); }", "1\n1\n1\n"),
    ("$i = 0; unroll (5) { $i++; if ($i == 3) { break; } print($i); }", "1\n2\n"),
    ("$i = 0; while ($i < 3) { print($i); $i++; }", "0\n1\n2\n"),
    ("$i = 0; while (1) { $i++; if ($i == 2) { continue; } if ($i > 4) { break; } print($i); }", "1\n3\n4\n"),
    # ranges: short and constant ones are inline, others call back
    ("for ($i : 0..3) { print($i); }", "0\n1\n2\n"),
    ("for $i : 2..4 { print($i); }", "2\n3\n"),
    ("for ($i : 3..3) { print($i); } for ($i : 5..3) { print($i); }", ""),
    ("for ($i : (-2)..2) { print($i); }", "-2\n-1\n0\n1\n"),
    ("for ($i : 0..$p) { print($i); }", "0\n1\n2\n3\n4\n"),
    ("for ($i : (-$p)..(-2)) { print($i); }", "-5\n-4\n-3\n"),
    ("for ($i : $p..($p + 2)) { print($i); }", "5\n6\n"),
    ("for ($i : 0..$p) { if ($i == 1) { continue; } if ($i == 3) { break; } print($i); }", "0\n2\n"),
    ("for ($i : 0..1000) { @ += $i; } print(@);", "@: 499500\n"),
    ("$s = 0; for ($i : 0..$p) { $s += $i; } print($s);", "10\n"),
    ('$t = "start"; for ($i : 0..$p) { $t = "changed"; } print($t);', "changed\n"),
    ("$a = 1; $b = 2; for ($i : 0..$p) { $a += $b; $b = $i; } print(($a, $b));", "(9, 4)\n"),
    ("for ($i : 0..$p) { for ($j : 0..$p) { if ($j > $i) { break; } @n++; } } print(@n);", "@n: 15\n"),
    ("for ($i : 0..$p) { $x = $i * 2; for ($j : 0..$p) { $x += $j; } @[$i] = $x; } print(@[3]);", "16\n"),
    ("for ($i : 0..3) { $i += 5; print($i); }", "5\n6\n7\n"),
    # leaving a probe from inside
    ("for ($i : 0..3) { if ($i == 1) { return; } print($i); } print(9);", "0\n"),
    ("for ($i : 0..$p) { if ($i == 1) { return; } print($i); } print(9);", "0\n"),
    ("for ($i : 0..$p) { for ($j : 0..$p) { if ($j == 1) { return; } print($j); } print(8); } print(9);", "0\n"),
    ("for ($i : 0..$p) { exit(); } print(9);", ""),
    ("if ($p) { if ($p) { return; } print(1); } print(2);", ""),
    ("{ { return; } } print(2);", ""),
    ("print(1); exit(); print(2);", "1\n"),
]


@pytest.mark.parametrize(("statements", "expected"), FLOW)
def test_control_flow(statements: str, expected: str) -> None:
    text = f"config = {{ print_maps_on_exit = false }} begin {{ $p = 5; $z = 0; {statements} }}"
    assert run_script(text) == expected


MAPS = [
    ("for ($kv : @m) { print($kv); }", "(1, 10)\n(2, 20)\n(3, 30)\n"),
    ("for ($kv : @m) { print($kv.0 + $kv.1); }", "11\n22\n33\n"),
    ("$s = 0; for ($kv : @m) { $s += $kv.1; } print($s);", "60\n"),
    ("for ($kv : @m) { if ($kv.0 == 2) { continue; } print($kv.0); }", "1\n3\n"),
    ("for ($kv : @m) { if ($kv.0 == 2) { break; } print($kv.0); }", "1\n"),
    ("for ($kv : @m) { if ($kv.0 == 2) { return; } print($kv.0); } print(9);", "1\n"),
    ("for ($kv : @m) { delete(@m, $kv.0); } print(len(@m));", "0\n"),
    ("for ($kv : @m) { @n[$kv.1] = $kv.0; } print(@n[20]);", "2\n"),
    ("for ($a : @m) { for ($b : @m) { @n[1]++; } } print(@n[1]);", "9\n"),
    ("for ($kv : @s) { print($kv); }", "(ab, (1, x))\n(c, (2, yz))\n"),
    ("for ($kv : @t) { print($kv.0.1); print($kv.1); }", "k\n5\n"),
    ("for ($kv : @c) { print($kv); }", "(7, 2)\n"),
    ("for ($kv : @a) { print($kv.1); }", "15\n"),
]


@pytest.mark.parametrize(("statements", "expected"), MAPS)
def test_loops_over_maps(statements: str, expected: str) -> None:
    setup = (
        '@m[1] = 10; @m[2] = 20; @m[3] = 30; @s["ab"] = (1, "x"); @s["c"] = (2, "yz"); @t[1, "k"] = 5; '
        "@c[7] = count(); @c[7] = count(); @a[1] = avg(10); @a[1] = avg(20);"
    )
    text = f"config = {{ print_maps_on_exit = false }} begin {{ {setup} {statements} }}"
    assert run_script(text) == expected


def test_a_probe_returns_what_it_says() -> None:
    assert run_script("begin { return 5; print(1); }") == ""


def test_what_follows_a_return_is_named_in_a_warning() -> None:
    done = run("begin { return; print(1); }")
    assert any("stdin:1:17-26: WARNING: Unreachable statement." in warning for warning in done.spec.warnings)


def test_the_status_of_exit_is_the_sessions() -> None:
    assert run("begin { exit(7); }").status == 7
    assert run("begin { exit(); }").status == 0
    assert run("begin { $x = 260; exit($x); }").status == 4


def test_end_runs_after_everything_else() -> None:
    assert run_script("end { print(3); } begin { print(1); } interval:s:1 { print(2); exit(); }") == "1\n2\n3\n"


PREDICATES = [
    ("/1/", "1\n"),
    ("/0/", ""),
    ("/pid == 1200/", "1\n"),
    ("/pid == 1200 && tid != 1234/", ""),
    ('/comm == "probee" || 0/', "1\n"),
    ("/str(0) == comm/", ""),
]


@pytest.mark.parametrize(("predicate", "expected"), PREDICATES)
def test_predicates(predicate: str, expected: str) -> None:
    assert run_script(f"interval:s:1 {predicate} {{ print(1); }}") == expected
