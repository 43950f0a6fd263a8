"""Imports of scripts, directories and headers; where macros say that errors come from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from probee.errors import CompileError, Source
from probee.kernel.answer import still_holds
from script_harness import compile_script, run, run_script
from target_fixture import build_target


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory that nobody else may write to."""
    tmp_path.chmod(0o755)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o755, exist_ok=True)
    path.write_text(text)
    path.chmod(0o644)


def out(script: str, directory: Path, **options: object) -> str:
    return run_script(script, include_dirs=(str(directory),), **options)


def report(script: str, directory: Path) -> str:
    with pytest.raises(CompileError) as caught:
        compile_script(script, include_dirs=(str(directory),))
    return caught.value.at(Source("stdin", script)).report()


def test_a_script_gives_its_macros_functions_types_and_probes(directory: Path) -> None:
    write(
        directory / "a.bt",
        "struct pair { int a; long b; }; macro twice(x) { x * 2 } fn add($a : int64, $b : int64) : int64 { return $a + $b; } "
        'begin { printf("imported\\n"); }',
    )
    assert out('import "a.bt"; begin { print((twice(4), add(1, 2), sizeof(struct pair))); }', directory) == (
        "(8, 3, 16)\nimported\n"
    )


def test_imports_are_followed_and_each_file_is_read_once(directory: Path) -> None:
    write(directory / "a.bt", 'import "b.bt"; macro a() { b() + 1 }')
    write(directory / "b.bt", 'import "a.bt"; macro b() { 41 }')
    assert out('import "a.bt"; import "b.bt"; begin { print(a()); }', directory) == "42\n"


def test_a_directory_gives_all_its_scripts(directory: Path) -> None:
    write(directory / "d" / "one.bt", "macro one() { 1 }")
    write(directory / "d" / "two.bt", "macro two() { 2 }")
    write(directory / "d" / "README", "no script")
    assert out('import "d"; begin { print((one(), two())); }', directory) == "(1, 2)\n"


def test_macros_of_the_script_come_before_imported_ones(directory: Path) -> None:
    write(directory / "a.bt", "macro f() { 1 } macro g() { f() }")
    assert out('import "a.bt"; macro f() { 2 } begin { print((f(), g())); }', directory) == "(2, 1)\n"


def test_headers_of_the_users_own_are_read(directory: Path) -> None:
    write(directory / "h.h", "#ifndef H\n#define H 1\n#define NUMBER 42\nstruct seven { char text[7]; };\n#endif\n")
    write(directory / "outer.h", '#include "h.h"\n#include <linux/types.h>\nenum e { FIRST = 5 };\n')
    body = "begin { print((NUMBER, sizeof(struct seven), (int64)FIRST)); }"
    assert out(f'#include "outer.h"\n{body}', directory) == "(42, 7, 5)\n"
    assert out(f'import "outer.h"; {body}', directory) == "(42, 7, 5)\n"
    assert out(body, directory, includes=("outer.h",)) == "(42, 7, 5)\n"


def test_the_test_package_of_the_standard_library_is_there() -> None:
    assert run_script('import "stdlib/test"; begin { print(__always_true()); }') == "1\n"
    assert run_script('import "stdlib"; import "stdlib/task"; begin { print(1); }') == "1\n"


ERRORS = [
    ('import "none.bt"; begin { }', "stdin:1:1-17: ERROR: Unable to find suitable path for import"),
    ('import "f.bpf.c"; begin { }', "stdin:1:1-17: ERROR: {0}/f.bpf.c is C, and probee has no C compiler"),
    ('import "text.txt"; begin { }', "stdin:1:1-18: ERROR: unknown import type: text.txt"),
    ('begin { import "f.bpf.c"; }', "stdin:1:9-25: ERROR: f.bpf.c: what is imported inside of a probe is C"),
    ('import "config.bt"; begin { }', "{0}/config.bt:2:1-29: ERROR: invalid `config` within import"),
    ('import "syntax.bt"; begin { }', "{0}/syntax.bt:3:3-4: ERROR: syntax: expected attach point"),
    ('import "types.bt"; begin { bad("a"); }', "{0}/types.bt:2:3-12: ERROR: "),
    ('#include "probes.h"\nbegin { }', "{0}/probes.h:1:1-6: ERROR: this is nothing that a header can have here"),
]


@pytest.mark.parametrize(("script", "expected"), ERRORS)
def test_errors_say_which_file_they_are_in(script: str, expected: str, directory: Path) -> None:
    write(directory / "f.bpf.c", "int f(void) { return 0; }")
    write(directory / "text.txt", "text")
    write(directory / "config.bt", "// first line\nconfig = { max_strlen = 20 }")
    write(directory / "syntax.bt", "\n\n  {")
    write(directory / "types.bt", "macro bad(x) {\n  x + nsecs\n}")
    write(directory / "probes.h", "begin { }")
    assert report(script, directory).startswith(expected.format(directory))


def test_an_error_in_an_imported_macro_says_where_it_was_called(directory: Path) -> None:
    write(directory / "a.bt", "macro bad(x) {\n  x.field\n}")
    assert report('import "a.bt"; begin { $x = 1; print(bad($x)); }', directory) == (
        f"{directory}/a.bt:2:3-10: ERROR: Can not access field 'field' on expression of type 'int8'\n"
        "  x.field\n  ~~~~~~~\n"
        "stdin:1:38-45: ERROR: expanded from\n"
        'import "a.bt"; begin { $x = 1; print(bad($x)); }\n'
        f"{' ' * 37}~~~~~~~"
    )


def test_an_error_in_an_argument_is_not_said_to_be_in_the_macro() -> None:
    script = "macro f(x) { x + 1 } begin { print(f(nothing)); }"
    with pytest.raises(CompileError) as caught:
        compile_script(script)
    assert caught.value.report() == f"stdin:1:38-45: ERROR: Unknown identifier: 'nothing'\n{script}\n{' ' * 37}~~~~~~~"


def test_what_anyone_may_write_to_is_passed_over(directory: Path) -> None:
    write(directory / "a.bt", "macro f() { 1 }")
    (directory / "a.bt").chmod(0o666)
    text = report('import "a.bt"; begin { print(f()); }', directory)
    assert "Unable to find suitable path for import" in text
    assert f"WARNING: skipping due to global write permissions: {directory}/a.bt" in text
    write(directory / "d" / "b.bt", "macro f() { 1 }")
    (directory / "d" / "b.bt").chmod(0o666)
    refused = "cowardly refusing to import from a directory with global write permissions"
    assert refused in report('import "d"; begin { }', directory)


def test_what_was_read_is_noted_and_a_change_is_noticed(directory: Path) -> None:
    write(directory / "d" / "a.bt", "macro f() { 1 }")
    target = build_target()
    target.reads.clear()
    compile_script('import "d"; begin { print(f()); }', target=target, include_dirs=("/nowhere", str(directory)))
    files = {question: answer for question, answer in target.reads.items() if question.startswith(("file:", "directory:"))}
    assert set(files) >= {"file:/nowhere/d", f"directory:{directory}/d", f"file:{directory}/d/a.bt"}
    assert still_holds(files, "")
    write(directory / "d" / "a.bt", "macro f() { 2 }")
    assert not still_holds(files, "")
    write(directory / "d" / "a.bt", "macro f() { 1 }")
    assert still_holds(files, "")
    write(directory / "d" / "b.bt", "")
    assert not still_holds(files, "")
    os.remove(directory / "d" / "b.bt")
    os.remove(directory / "d" / "a.bt")
    assert not still_holds(files, "")


def test_messages_of_macros_at_run_time_say_where_they_were_called() -> None:
    script = 'macro bad($x) { errorf("bad %d", $x); warnf("also") } begin { $y = 5; bad($y); }'
    line = f"{script}\n{' ' * 70}~~~~~~~"
    assert run(script).err.splitlines()[-8:] == [
        "stdin:1:17-37: ERROR: bad 5",
        "stdin:1:71-78: ERROR: expanded from",
        *line.splitlines(),
        "stdin:1:39-52: WARNING: also",
        "stdin:1:71-78: WARNING: expanded from",
        *line.splitlines(),
    ]


def test_assert_says_where_it_stands_in_the_library() -> None:
    script = 'begin { assert(1 == 2, "no"); }'
    outcome = run(script)
    assert outcome.status == 1
    assert outcome.err.splitlines()[-4:] == [
        "stdlib/base.bt:6:5-37: ERROR: assert failed: no",
        "stdin:1:9-29: ERROR: expanded from",
        script,
        f"{' ' * 8}{'~' * 20}",
    ]


def test_a_runtime_warning_in_a_macro_says_where_it_was_called() -> None:
    script = "macro half(x) { 1 / x } begin { $z = (uint64)0; print(half($z)); }"
    assert run(script).err.splitlines()[-3:] == ["stdin:1:55-63: WARNING: expanded from", script, f"{' ' * 54}~~~~~~~~"]


@pytest.mark.parametrize("word", ["return", "break", "continue"])
def test_a_macro_does_not_decide_where_its_caller_goes_on(word: str) -> None:
    with pytest.raises(CompileError, match=f"'{word}' statement is not allowed in a macro"):
        compile_script(f"macro m() {{ {word}; }} begin {{ m(); }}")
    compile_script("macro m() { for ($i : 0..3) { break; } } begin { m(); }")
