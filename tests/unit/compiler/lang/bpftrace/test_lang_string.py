"""Strings: comparison in all combinations of sizes, reading from memory, search, truncation; run in the interpreter."""

from __future__ import annotations

import pytest

from script_harness import World, compile_script, run, run_script

KERNEL, USER = 0xFFFF_A000_0000_0000, 0x7F00_0000_0000
SHORT = {"BPFTRACE_MAX_STRLEN": "120"}  # several strings fit a frame, and are long enough to be copied up to their NUL
TEXT = b"hello world\0" + b"x" * 200 + b"\0"


def world(**options: object) -> World:
    return World(kernel={KERNEL: TEXT}, user={USER: b"from user\0"}, **options)  # type: ignore[arg-type]


COMPARED = [
    ('"abc" == "abc"', True),
    ('"abc" == "abd"', False),
    ('"abc" == "ab"', False),
    ('"" == ""', True),
    ('$short == "abc"', True),
    ('$short != "abc"', False),
    ('$short == "abcd"', False),
    ('$short == "ab"', False),
    ('$short == ""', False),
    ('$empty == ""', True),
    ('"abc" == $short', True),
    ("$short == $short", True),
    ("$short == $other", False),
    ("$short == $same", True),
    ("$short == $longer", False),
    ("$longer == $short", False),
    ("$empty == $short", False),
    ('comm == "probee"', True),
    ('comm == "probee "', False),
    ('comm == "a name that is longer than any comm"', False),
    ("$comm == comm", True),
    ("$read == $read", True),
    ('$read == "hello world"', True),
    ('$read == "hello worlds"', False),
    ('"hello world" == $read', True),
    ("$read == $short", False),
    (f'str({KERNEL}) == "hello world"', True),
    (f'str({KERNEL}) == "hello worl"', False),
    (f'str({KERNEL}) == "hello world!"', False),
    (f'str({KERNEL}) == ""', False),
    (f'strncmp(str({KERNEL}), "hello", 5) == 0', True),
    (f'strncmp("hello there", str({KERNEL}), 7) == 0', False),
    ('str(uptr(0x7f0000000000)) == "from user"', True),
    ('strncmp($short, "abX", 2) == 0', True),
    ('strncmp($short, "abX", 3) == 0', False),
    ('strncmp($short, "abcd", 3) == 0', True),
    ('strncmp($read, "hello", 5) == 0', True),
    ('strncmp("hello", $read, 6) == 0', False),
]


@pytest.mark.parametrize(("expression", "expected"), COMPARED)
def test_strings_compare(expression: str, expected: bool) -> None:
    text = (
        'begin { $short = "abc"; $other = "abx"; $same = "abc"; $longer = "abcdefghijkl"; $empty = ""; $comm = comm; '
        f"$read = str({KERNEL}); print({expression}); }}"
    )
    assert run_script(text, world(), environment=SHORT) == f"{str(expected).lower()}\n"


def test_a_predicate_on_a_string_decides() -> None:
    assert run_script('interval:s:1 /comm == "probee"/ { print(1); } interval:s:1 /comm == "x"/ { print(2); }') == "1\n"


READ = [
    (f"str({KERNEL})", "hello world"),
    (f"str({KERNEL}, 6)", "hello"),  # five characters and the NUL
    (f"str({KERNEL}, 1)", ""),
    (f"str({KERNEL}, 0)", ""),
    (f"str({KERNEL} + 6)", "world"),
    (f"str((char *){KERNEL} + 6)", "world"),
    (f"str({KERNEL}, $n)", "hel"),
    ("str(0)", ""),
    ("str(0xffffffffffffffff)", ""),
    ('str("abc")', "abc"),
    ("str(uptr(0x7f0000000000), 5)", "from"),
    (f"str({KERNEL + 12})", "x" * 200),
    ("$1", "first"),
    ("str($1)", "first"),
    ("str($2)", "42"),
    ("str($3)", ""),
    ("str($1, 3)", "fi"),
    ("str($1 + 2)", "rst"),
    ("$2", "42"),
    ("$3", "0"),
    ("$#", "2"),
]


@pytest.mark.parametrize(("expression", "expected"), READ)
def test_strings_are_read(expression: str, expected: str) -> None:
    text = f"begin {{ $n = 4; print({expression}); }}"
    assert run_script(text, world(), parameters=("first", "42")) == expected + "\n"


def test_max_strlen_cuts_and_the_trailer_shows_it() -> None:
    text = f"begin {{ print(str({KERNEL})); @ = str({KERNEL}); $x = str({KERNEL}); print($x); }}"
    options = {"environment": {"BPFTRACE_MAX_STRLEN": "5"}}
    assert run_script(text, world(), **options) == "hello..\nhello..\n@: hello..\n"


def test_a_string_that_just_fits_has_no_trailer() -> None:
    options = {"environment": {"BPFTRACE_MAX_STRLEN": "11", "BPFTRACE_STR_TRUNC_TRAILER": "_x"}}
    assert run_script(f"begin {{ print(str({KERNEL})); print(str({KERNEL + 1})); }}", world(), **options) == (
        "hello world_x\nello world\n"
    )


def test_a_cut_long_string_stays_cut_when_it_is_copied() -> None:
    options = {"environment": {"BPFTRACE_MAX_STRLEN": "100"}}
    text = f"begin {{ $x = str({KERNEL + 12}); print($x); @[1] = $x; print(@[1]); }}"
    line = "x" * 100 + "..\n"
    assert run_script(text, world(), **options) == line + line + "@[1]: " + line


SEARCHED = [
    ('strcontains("hello", "ell")', "true"),
    ('strcontains($s, "world")', "true"),
    ('strcontains($s, "worlds")', "false"),
    ('strcontains($s, "")', "true"),
    ('strcontains($e, "x")', "false"),
    ("strcontains($s, $e)", "true"),
    ("strcontains($s, $o)", "true"),
    ("strcontains($o, $s)", "false"),
    ('strstr($s, "o w")', "4"),
    ('strstr($s, "h")', "0"),
    ('strstr($s, "zz")', "-2"),
    ("strstr($s, $o)", "4"),
    ('strstr($r, "world")', "6"),
    ('strcontains($r, "worldx")', "false"),
    ("strstr($r, $o)", "4"),
    ("strlen($s)", "11"),
    ("strlen($e)", "0"),
    ("strlen($r)", "11"),
    ("strlen(comm)", "6"),
    ('strlen("abc")', "3"),
    ("strcap(comm)", "16"),
    ("str_concat($s, $o)", "hello worldo w"),
    ('str_concat($e, "x")', "x"),
    ("$s[4]", "111"),
    ('"hello"[1]', "101"),
    ("strerror(2)", "No such file or directory"),
    ("strerror($two)", "No such file or directory"),
    ("strerror(4000)", "Unknown error"),
    ("signal_name(9)", "Killed"),
    ("signal_name($two)", "Interrupt"),
    ("syscall_name($two)", "open"),
    ("syscall_name(59)", "execve"),
]


@pytest.mark.parametrize(("expression", "expected"), SEARCHED)
def test_strings_are_searched_and_made(expression: str, expected: str) -> None:
    text = (
        f'begin {{ $s = "hello world"; $e = ""; $o = "o w"; $two = 2; $r = str({KERNEL}); print({expression}); }}'
    )
    assert run_script(text, world(), environment=SHORT) == expected + "\n"


VALUES = [
    ('$x = "hello"; $x = "hi"; print($x);', "hi\n"),
    ('$x = "hi"; $x = "hello"; print($x);', "hello\n"),
    ('$x = 1 ? "long text" : "no"; print($x);', "long text\n"),
    ('$c = 0; print($c ? "yes" : "surely not");', "surely not\n"),
    ('$c = 1; print($c ? "yes" : "surely not");', "yes\n"),
    ('print(if (1) { "a" } else { "bcd" });', "a\n"),
    ('@ = "hello"; @ = "hi";', "@: hi\n"),
    ('@["hello"] = 0; @["hi"] = 1;', "@[hello]: 0\n@[hi]: 1\n"),
    ('@["a", comm] = 1; @["longer", "x"] = 2;', "@[a, probee]: 1\n@[longer, x]: 2\n"),
    ('@[comm] = 1; print(@["probee"]);', "1\n@[probee]: 1\n"),
    ('$x = (string[4])"abcdef"; print($x);', "abc\n"),
    ("let $x : string = comm; print($x);", "probee\n"),
    ('let $x : string[8]; $x = "seven77"; print($x);', "seven77\n"),
    ('let $x; $x = "abc"; print($x);', "abc\n"),
    ("let $x : string[4]; print($x);", "\n"),
    ('$a = "one"; $b = $a; $a = "two"; print(($a, $b));', "(two, one)\n"),
    ('printf("%s|%10s|%-10s|\\n", "abc", "abc", "abc");', "abc|       abc|abc       |\n"),
    ('printf("%s %s\\n", "é", "\\x41\\102");', "é AB\n"),
    ('print("a\\tb\\"c\\\\");', 'a\tb"c\\\n'),
    ("print(probe); print(probetype);", "begin\nspecial\n"),
]


@pytest.mark.parametrize(("statements", "expected"), VALUES)
def test_string_values_move(statements: str, expected: str) -> None:
    assert run_script(f"begin {{ {statements} }}") == expected


BUFFERS = [
    ('printf("%r", buf("hi\\x01", 3));', "hi\\x01"),
    ('printf("%rx", buf("hi", 2));', "\\x68\\x69"),
    ('printf("%rh", buf("hi", 2));', "68 69"),
    (f'printf("%r", buf({KERNEL}, 5));', "hello"),
    (f'$n = 3; printf("%r", buf({KERNEL}, $n));', "hel"),
    ('$a = buf("hi", 2); printf("%d %d", $a == $a, $a == buf("ho", 2));', "1 0"),
    ('@[buf("k", 1)] = 1;', "@[k]: 1\n"),
    ('@ = buf("value", 5);', "@: value\n"),
    (f"print(buf({KERNEL}, 3));", "hel\n"),
]


@pytest.mark.parametrize(("statements", "expected"), BUFFERS)
def test_buffers_show_bytes(statements: str, expected: str) -> None:
    assert run_script(f"begin {{ {statements} }}", world()) == expected


def test_join_reads_until_the_null_pointer() -> None:
    array = (0x7F00_0010_0000).to_bytes(8, "little") + (0x7F00_0010_0004).to_bytes(8, "little") + bytes(8)
    place = World(user={USER: array, 0x7F00_0010_0000: b"cat\0file\0"})
    assert run_script(f'begin {{ join(uptr({USER})); join(uptr({USER}), ","); }}', place) == "cat file\ncat,file\n"


def test_a_literal_longer_than_max_strlen_is_refused() -> None:
    from probee.errors import CompileError

    with pytest.raises(CompileError, match="String is too long"):
        run('begin { print("123456"); }', environment={"BPFTRACE_MAX_STRLEN": "6"})


def test_bytes_that_are_not_utf_8_pass_through() -> None:
    text = b'begin { printf("h\xe9llo %s\\n", "\xe9"); @["\xe9"] = 1; print("\xff"); }'.decode("utf-8", "surrogateescape")
    assert run_script(text).encode("utf-8", "surrogateescape") == b"h\xe9llo \xe9\n\xff\n@[\xe9]: 1\n"


def test_a_string_of_no_bytes_holds_nothing() -> None:
    assert compile_script("begin { @[rand, (string[0])(\"hello\")] = (1, (string[0])(\"a\")); }").programs
