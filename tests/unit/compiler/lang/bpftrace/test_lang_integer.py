"""Integers: literals, promotion, signs, division, casts, what printf shows of them; run in the interpreter."""

from __future__ import annotations

import pytest

from script_harness import compile_script, run, run_script

PRINTED = [
    # literals and folding
    ("1_000_000", "1000000"),
    ("0xff", "255"),
    ("017", "15"),
    ("1e6", "1000000"),
    ("5ms", "5000000"),
    ("-128", "-128"),
    ("-9223372036854775808", "-9223372036854775808"),
    ("9223372036854775807", "9223372036854775807"),
    ("18446744073709551615", "18446744073709551615"),
    ("7 / 2", "3"),
    ("-7 / 2", "-3"),
    ("-7 % 3", "-1"),
    ("1 << 63", "9223372036854775808"),
    ("255 + 1", "256"),
    ("2 - 3", "-1"),
    ("~0", "18446744073709551615"),
    ("!0", "true"),
    ("!5", "false"),
    ("1 == 1", "true"),
    ("3 > 5", "false"),
    ("5 & 3 | 8 ^ 1", "9"),
    ("1 + 2 * 3 - 4 / 2", "5"),
    ("(1 + 2) * 3", "9"),
    ("1 ? 2 : 3", "2"),
    ("0 ?: 7", "7"),
    ("5 ?: 7", "5"),
    # values that are not known
    ("$p + 1", "6"),
    ("$n + 1", "-4"),
    ("$n * $p", "-25"),
    ("$p - 10", "-5"),
    ("$n / 2", "-2"),
    ("$n % 3", "-2"),
    ("$p / 2", "2"),
    ("-$n", "5"),
    ("~$p", "-6"),
    ("-(uint8)$p", "-5"),
    ("~(uint8)$p", "250"),
    ("~(uint16)$p + 1", "65531"),
    ("~(uint64)$p", "18446744073709551610"),
    ("~(int16)$p", "-6"),
    ("$big + 1", "18446744073709551601"),
    ("$big / 10", "1844674407370955160"),
    ("$big >> 60", "15"),
    ("$p << 3", "40"),
    ("$n < 0", "true"),
    ("$n < $p", "true"),
    ("$n > $p", "false"),
    ("$big > $p", "true"),
    ("$big > 0", "true"),
    ("$n == -5", "true"),
    ("$n + 1 == -4", "true"),
    ("$p * 2 + 1 > $n - 3", "true"),
    ("$n != 251", "true"),
    ("$p && $n", "true"),
    ("$zero || $zero", "false"),
    ("$zero && $p", "false"),
    ("$p || $zero", "true"),
    ("!$zero", "true"),
    ("$zero ? 1 : 2", "2"),
    ("$p ?: 9", "5"),
    ("$zero ?: 9", "9"),
    ("$p > 3 && $p < 10 || $zero", "true"),
    # casts
    ("(uint8)300", "44"),
    ("(int8)200", "-56"),
    ("(uint8)$n", "251"),
    ("(uint16)$n", "65531"),
    ("(uint32)$n", "4294967291"),
    ("(uint64)$n", "18446744073709551611"),
    ("(int8)($p + 250)", "-1"),
    ("(int32)$big", "-16"),
    ("(bool)$p", "true"),
    ("(bool)$zero", "false"),
    ("(int64)(uint8)$n", "251"),
    ("(uint8)$n + 10", "261"),
    ("(int8)255 == -1", "true"),
    ("(uint8)255 == 255", "true"),
    ("(uint64)5 - (uint64)10", "-5"),
    ("(int32)-1 == (uint32)4294967295", "false"),
]


@pytest.mark.parametrize(("expression", "expected"), PRINTED)
def test_an_integer_expression_prints(expression: str, expected: str) -> None:
    text = f"begin {{ $p = 5; $n = -5; $zero = 0; $big = (uint64)0xfffffffffffffff0; print({expression}); }}"
    assert run_script(text) == expected + "\n"


FORMATTED = [
    ("%d", "4294967295", "-1"),
    ("%d", "4294967296", "0"),
    ("%ld", "4294967296", "4294967296"),
    ("%lld", "-1", "-1"),
    ("%u", "-1", "4294967295"),
    ("%lu", "-1", "18446744073709551615"),
    ("%x", "255", "ff"),
    ("%X", "0xdeadbeef", "DEADBEEF"),
    ("%#x", "255", "0xff"),
    ("%llx", "0x123456789abc", "123456789abc"),
    ("%hd", "65535", "-1"),
    ("%hhd", "255", "-1"),
    ("%o", "8", "10"),
    ("%c", "65", "A"),
    ("%p", "0x1234", "0x1234"),
    ("%5d|", "42", "   42|"),
    ("%-5d|", "42", "42   |"),
    ("%05d|", "42", "00042|"),
    ("%+d", "42", "+42"),
    ("%d", "true", "1"),
    ("%s", "true", "true"),
    ("%s", "42", "42"),
    ("%d%%", "42", "42%"),
    ("%y", None, "%y"),
]


@pytest.mark.parametrize(("form", "value", "expected"), FORMATTED)
def test_printf_shows_an_integer(form: str, value: str | None, expected: str) -> None:
    arguments = f", {value}" if value is not None else ""
    assert run_script(f'begin {{ printf("{form}"{arguments}); }}') == expected


def test_division_by_zero_gives_one_and_says_so() -> None:
    done = run("begin { $z = 0; print(10 / $z); print(10 % $z); }")
    assert done.out == "1\n1\n"
    assert done.err.count("Divide or modulo by 0 detected. This can lead to unexpected results.") == 2
    assert "stdin:1:23-30: WARNING" in done.err


INCREMENTS = [
    ("$x = 5; print($x++); print($x);", "5\n6\n"),
    ("$x = 5; print(++$x); print($x);", "6\n6\n"),
    ("$x = 5; print($x--); print(--$x);", "5\n3\n"),
    ("$x = 127; $x++; print($x);", "128\n"),  # it is 64 bits wide from then on
    ("$x = (uint8)255; $x++; print($x);", "256\n"),
    ("let $x : uint8 = 255; $x++; print($x);", "0\n"),  # but for a declared size
    ("$x = -1; $x++; print($x);", "0\n"),
    ("$x = 10; $x += 5; $x -= 1; $x *= 2; $x /= 4; $x %= 4; print($x);", "3\n"),
    ("$x = 6; $x &= 3; $x |= 8; $x ^= 1; $x <<= 2; $x >>= 1; print($x);", "22\n"),
]


@pytest.mark.parametrize(("statements", "expected"), INCREMENTS)
def test_variables_count(statements: str, expected: str) -> None:
    assert run_script(f"begin {{ {statements} }}") == expected


GROWTH = [
    ("@x = 1; @x = 100000;", "@x: 100000\n"),
    ("@x = 100000; @x = 1;", "@x: 1\n"),
    ("@x = -1;", "@x: -1\n"),
    ("@x = 1; @x = (uint64)0xffffffffffffffff;", "@x: 18446744073709551615\n"),  # a literal has no sign of its own
    ("@x = (uint8)200; @x = -1; @x = (uint8)200;", "@x: 200\n"),
    ("@[1] = 1; @[1000] = 2; @[-5] = 3;", "@[1]: 1\n@[1000]: 2\n@[-5]: 3\n"),
    ("@[(uint8)200] = 1; @[-1] = 2;", "@[200]: 1\n@[-1]: 2\n"),
    ("$x = 1; if ($x) { $x = 70000; } @ = $x;", "@: 70000\n"),
    ("@a[1, 2] = 1; @a[1000, 70000] = 2;", "@a[1, 2]: 1\n@a[1000, 70000]: 2\n"),
]


@pytest.mark.parametrize(("statements", "expected"), GROWTH)
def test_types_grow_to_hold_all_values(statements: str, expected: str) -> None:
    assert run_script(f"begin {{ {statements} }}") == expected


def test_a_declared_size_cuts_other_integers_with_a_warning() -> None:
    done = run("begin { $y = nsecs; let $x : uint8 = $y; $x = 7; print($x); }")
    assert done.out == "7\n"
    assert any("being cast to type: uint8" in warning for warning in done.spec.warnings)


def test_a_map_that_is_only_counted_is_an_integer() -> None:
    assert run_script("begin { @a++; @a++; @b += 5; @c[1]--; }") == "@a: 2\n@b: 5\n@c[1]: -1\n"


def test_a_chain_of_five_thousand_terms_adds_up() -> None:
    chain = "+".join(["$x"] * 5000)
    assert run_script(f"begin {{ $x = 1; print({chain}); }}") == "5000\n"


WARNED = [
    ("$x = (uint64)nsecs;", "stdin:1:14-22: WARNING: Unnecessary cast: expression is already of type uint64"),
    ("$x = (int64)5; print($x < nsecs);", "WARNING: Expression of type: uint64 being cast to type: int64."),
    ("let $x : int32; print($x);", "stdin:1:31-33: WARNING: Variable used before it was assigned: $x"),
    ("let $x : int32; print(1);", "stdin:1:9-15: WARNING: Variable $x was never assigned to."),
]


@pytest.mark.parametrize(("statements", "warning"), WARNED)
def test_what_may_not_be_meant_is_said(statements: str, warning: str) -> None:
    assert any(warning in text for text in compile_script(f"begin {{ {statements} }}").warnings)


MEANT = ("print((int8)pid);", "@c = count(); print((int64)@c);", "$x = nsecs - 5; print($x / 2);")


@pytest.mark.parametrize("statements", MEANT)
def test_what_is_meant_is_not(statements: str) -> None:
    assert not compile_script(f"begin {{ {statements} }}").warnings


FOLDED = [
    ("-1 >> 1", "-1"), ("-8 >> 1", "-4"), ('"a" < "b"', "true"), ('"ab" + "cd"', "abcd"), ('1 ? "a" : 2', "a"),
    ('0 ? "a" : 2', "2"),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "expected"), FOLDED)
def test_literals_fold(expression: str, expected: str) -> None:
    assert run_script(f"begin {{ print({expression}); }}") == f"{expected}\n"
