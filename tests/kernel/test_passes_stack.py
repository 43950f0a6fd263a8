"""Programs that need more than the 512-byte stack: numbers, strings and tuples move to scratch memory and keep their values."""

from __future__ import annotations

import os

import pytest

from probee.kernel.features import feature
from script_run import lines

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="loading programs needs root"),
]


@pytest.mark.parametrize("n", [20, 60, 150])
def test_many_numbers_alive_at_once_keep_their_values(n: int) -> None:
    make = "".join(f"$a{i} = rand; " for i in range(n))
    keep = "".join(f"@x[{i}] = $a{i}; " for i in range(n))
    look = "".join(f"if (@x[{i}] != $a{i}) {{ $bad++; }} " for i in range(n))
    assert lines(f'BEGIN {{ {make}{keep}$bad = 0; {look}printf("%d\\n", $bad); clear(@x); exit(); }}')[0] == "0"


def test_long_strings_in_keys_and_values_of_loops_keep_their_values() -> None:
    """A copy between odd offsets in the stack is one of single bytes."""
    if not feature.has("for_each_map_elem"):
        pytest.skip("this kernel lacks bpf_for_each_map_elem")
    a, b = "a" * 200, "b" * 8
    script = f"""BEGIN {{
        $b = "{b}"; @m[$b] = "{a}";
        for ($kv : @m) {{ @n[$kv.0, $b] = ($kv.1, $b); }}
        for ($kv : @n) {{ @o[$kv.0.1, $kv.1.0] = ($kv, $b, $kv.1.0); }}
        print(@o["{b}", "{a}"]);
        exit();
    }}"""
    assert lines(script)[0] == f"((({b}, {b}), ({a}, {b})), {b}, {a})"


@pytest.mark.parametrize("length", [200, 1024, 2048])
def test_tuples_of_long_strings_are_copied_whole(length: int) -> None:
    text = "x" * (length - 1)
    script = f"""config = {{ max_strlen = {length} }} BEGIN {{
        $s = "{text}"; $t = (($s, 1), ($s, ($s, 2)));
        @m[$t.0.1] = $t; $u = @m[$t.0.1];
        if ($u.1.1.0 == $t.0.0) {{ printf("%d %d\\n", $u.0.1, $u.1.1.1); }}
        clear(@m); exit();
    }}"""
    assert lines(script)[0] == "1 2"


@pytest.mark.parametrize("length", [200, 1024])
def test_functions_take_and_return_long_strings(length: int) -> None:
    text = "x" * (length - 1)
    script = f"""config = {{ max_strlen = {length} }}
    fn other($s : string[{length}], $n : int64) : string[{length}] {{ if ($n > 1) {{ return "many"; }} return $s; }}
    begin {{ $a = other("{text}", 1); $b = other($a, 2); printf("%d %s\\n", $a == "{text}", $b); exit(); }}"""
    assert lines(script)[0] == "1 many"


def test_a_short_string_in_a_long_one_is_looked_through_where_pointers_lay() -> None:
    """The table of the loop's variables takes the place that the string has later."""
    if not feature.has("bpf_loop"):
        pytest.skip("this kernel lacks bpf_loop")
    loop = "for ($i : 0..100) { $n += 1; }"
    look = 'strstr((string[200])(comm), "no such")'
    assert lines(f'begin {{ $n = 0; {loop} printf("%d %d\\n", $n, {look} < 0); exit(); }}')[0] == "100 1"
