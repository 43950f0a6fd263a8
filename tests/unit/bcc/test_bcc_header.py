"""A program's own headers: where they are looked for, and what is not looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from probee.bcc.header import own_headers


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def test_headers_are_found_in_the_current_directory_and_where_flags_say(here: Path) -> None:
    put(here / "shapes.h", "struct shape { int sides; };\n")
    put(here / "other/colours.h", "#define RED 1\n")
    put(here / "third/sizes.h", "#define BIG 2\n")
    text = '#include "shapes.h"\n  #  include <colours.h>\n#include "sizes.h"\n#include <linux/sched.h>\n'
    found = own_headers(text, cflags=[f"-I{here}/other", "-I", f"{here}/third", "-DX"])
    assert found == {
        "shapes.h": "struct shape { int sides; };\n", "colours.h": "#define RED 1\n", "sizes.h": "#define BIG 2\n",
    }  # fmt: skip


def test_headers_are_found_beside_the_source(here: Path) -> None:
    put(here / "elsewhere/shapes.h", "int x;\n")
    assert own_headers('#include "shapes.h"\n') == {}
    assert own_headers('#include "shapes.h"\n', source=f"{here}/elsewhere/program.c") == {"shapes.h": "int x;\n"}


def test_headers_of_headers_are_found_beside_them(here: Path) -> None:
    put(here / "deep/outer.h", '#include "inner.h"\n')
    put(here / "deep/inner.h", '#include "outer.h"\n#define INNER 1\n')
    assert list(own_headers('#include "deep/outer.h"\n')) == ["deep/outer.h", "inner.h", "outer.h"]


def test_what_the_kernel_or_the_system_has_is_not_read(here: Path) -> None:
    put(here / "vmlinux.h", "typedef int u32;\n")
    put(here / "bpf/bpf_helpers.h", "#define SEC(x)\n")
    text = '#include "vmlinux.h"\n#include <bpf/bpf_helpers.h>\n#include <limits.h>\n#include "/usr/include/limits.h"\n'
    assert own_headers(text, cflags=["-I/usr/include"]) == {}


def test_only_directives_name_headers(here: Path) -> None:
    put(here / "a.h", "")
    assert own_headers('// #include "a.h"\nint include; char *s = "include \\"a.h\\"";\n#include NAME\n#include "a.h\n') == {}


def test_headers_that_flags_include_are_read(here: Path) -> None:
    put(here / "first.h", "#define FIRST 1\n")
    put(here / "include" / "second.h", "#define SECOND 2\n")
    found = own_headers("", cflags=["-include", "first.h", "-Iinclude", "-includesecond.h"])
    assert sorted(found) == ["first.h", "second.h"]
