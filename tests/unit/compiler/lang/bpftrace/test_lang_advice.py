"""Hints for mistakes; docs/errors.md shows most of them, these are the others, and where there is nothing to say."""

from __future__ import annotations

import pytest

from probee.compiler.compile import compile
from probee.errors import CompileError
from target_fixture import build_target


def hint(script: str) -> str:
    with pytest.raises(CompileError) as caught:
        compile(script, build_target())
    return caught.value.hint


@pytest.mark.parametrize(
    "script, expected",
    [
        ("begin { print 1; }", "the arguments of a function stand in parentheses: print(…)"),
        ("begin { print($i); $i = 1 }", "a variable must be set before it is used"),
        ("begin { $x == 1; }", "= assigns, == compares"),
        ("begin { let x = 1; }", "a variable begins with $: let $x = …;"),
        ("begin { $x = 1; print(x); }", "a variable is written with its sign: $x"),
        ("begin { @x = 1; print(x); }", "a map is written with its sign: @x"),
        ("begin { for ($i = 0; $i < 10; $i++) { } }", "for loops go over a range or a map"),
        ("begin { if (pid == 1 or pid == 2) { } }", "`or` is written ||"),
        ("begin / pid == 1 and tid == 2 / { }", "`and` is written &&"),
        ("begin { if (1) { } } }", "there is one } too many"),
        ("print(1);", "a program is probes with what to do there"),
        ("begin { clear(@x); }", "nothing in the script writes this map"),
        ("begin { $x = pid; print($x.comm); }", "comm is a name of its own: print(comm)"),
        ("begin { $x = pid; print($x.mm); }", "only structs have fields"),
        ("begin { print(1 / 0); }", "a number cannot be divided by 0"),
        ("begin { unroll(1000) { print(1); } }", "a loop can go on for longer: for ($i : 0..1000)"),
        ("begin { break; }", "break leaves a loop; a probe is left by return"),
        ("interval:x:1 { }", "the units are hz, s, ms and us"),
        ("begin { strcmp(comm, comm); }", 'text is compared with ==: comm == "sh"'),
        ("kretprobe:vfs_read { print(arg1); }", "keep it from the entry"),
        ("begin { print(getpid); }", "here it is called pid"),
        ("begin { @ = 1; @ = strcontains(comm); }", "it is strcontains(text, text)"),
    ],
)
def test_what_was_probably_meant_is_said(script: str, expected: str) -> None:
    assert expected in hint(script)


@pytest.mark.parametrize("script", ["begin { print(thing); }", "begin { thing(); }", "begin { ) }", 'begin { time(5); }'])
def test_a_rule_that_is_not_sure_says_nothing(script: str) -> None:
    assert hint(script) == ""


def test_a_hint_that_is_there_stays() -> None:
    assert hint('begin { system("ls"); }') == "run with --unsafe"
