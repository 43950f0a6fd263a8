"""What is written instead of run: --aot, --emit-elf, --mode codegen, and the stages of -d."""

from __future__ import annotations

import io
import os
import sys

import pytest

from probee.cli.main import main
from probee.cli.options import parse
from probee.cli.script import read_script
from probee.formats.bundle import read_bundle
from target_fixture import encode_image, target_image

PROGRAM = 'begin { printf("hello\\n"); @x[comm] = count(); }'


@pytest.fixture(scope="module")
def target(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("kernel") / "fixture.target"
    path.write_bytes(encode_image(target_image()))
    return str(path)


def test_an_executable_is_a_bundle_behind_a_first_line(target, tmp_path):
    path = tmp_path / "x"
    assert main(["--target", target, "-e", PROGRAM, "--aot", str(path)]) == 0
    assert path.stat().st_mode & 0o777 == 0o777 & ~_umask()
    first, _, rest = path.read_bytes().partition(b"\n")
    assert first == f"#!/usr/bin/env -S {sys.executable} -m probee".encode()
    assert read_bundle(rest).source_text == PROGRAM
    script = read_script(parse([str(path), "1", "--", "--name=2"]))
    assert (script.bundle, script.text, script.parameters, script.named) == (rest, "", ["1"], ["--name=2"])


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_place_that_cannot_be_written_is_an_error(target, capsys, tmp_path):
    for option in ("--aot", "--emit-elf"):
        assert main(["--target", target, "-e", PROGRAM, option, str(tmp_path)]) == 1
        assert capsys.readouterr().err == f"ERROR: cannot write {tmp_path}: Is a directory\n"


def test_an_elf_object_is_written_and_nothing_run(target, tmp_path, capsys):
    path = tmp_path / "x.o"
    assert main(["--target", target, "-e", PROGRAM, "--emit-elf", str(path)]) == 0
    assert path.read_bytes().startswith(b"\x7fELF\x02")
    assert capsys.readouterr().out == ""


def test_codegen_compiles_only_and_tells_warnings(target, capsys):
    words = ["--target", target, "--mode", "codegen", "-e", "config = { strlen = 64 } begin { }"]
    assert main(words) == 0
    warning = "stdin:1:12-23: WARNING: strlen has been renamed, please use max_strlen\n"
    assert capsys.readouterr().out.startswith(warning)
    assert main([*words, "--no-warnings"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main([*words, "-f", "json"]) == 0
    assert capsys.readouterr().err.startswith(warning), "not among the lines of JSON"


@pytest.mark.parametrize(
    "stages, titles",
    [
        ("ast", ["syntax tree"]),
        ("types,codegen", ["types", "IR as lowered"]),
        ("codegen-opt,dis", ["IR", "instructions"]),
        ("all", ["syntax tree", "types", "IR as lowered", "IR", "instructions", "BTF"]),
    ],
)
def test_stages_are_shown_in_order(target, capsys, stages, titles):
    assert main(["--target", target, "--mode", "codegen", "-e", PROGRAM, "-d", stages]) == 0
    out = capsys.readouterr().out
    assert [line[2:] for line in out.splitlines() if line.startswith("# ")] == titles


def test_types_are_those_of_variables_and_maps(target, capsys):
    assert main(["--target", target, "--mode", "codegen", "-d", "types", "-e", "begin { $x = pid; @y[comm] = $x; }"]) == 0
    out = capsys.readouterr().out
    assert "@y[string[16]] : uint32\n" in out
    assert "begin $x : uint32\n" in out


def test_more_is_said_when_asked(target, capsys):
    assert main(["--target", target, "--mode", "codegen", "-v", "-e", PROGRAM]) == 0
    assert "1 programs, " in capsys.readouterr().err


@pytest.mark.parametrize(
    "script, limit, said",
    [
        ("begin { } end { }", "1", "Can't attach to 2 probes because it exceeds the current limit of 1 probes."),
        ("begin { } end { }", "x", "BPFTRACE_MAX_PROBES: expecting a number, got x"),
    ],
)
def test_the_number_of_probes_has_a_limit(target, capsys, monkeypatch, script, limit, said):
    monkeypatch.setenv("BPFTRACE_MAX_PROBES", limit)
    assert main(["--target", target, "-e", script]) == (2 if limit == "x" else 1)
    assert capsys.readouterr().err.startswith(f"ERROR: {said}")


def test_a_filter_that_leaves_nothing_is_told(target, capsys):
    words = ["--target", target, "-e", "kprobe:vfs_read { }", "--probe-filter", "nothing"]
    assert main(words) == 1
    assert capsys.readouterr().out == "No probes to attach\n"
    assert main([*words, "-q"]) == 1
    assert capsys.readouterr().out == ""


def test_a_listed_script_shows_probes_of_all_kinds(target, capsys):
    script = "kprobe:vfs_r* { } fentry:vfs_read { } interval:s:1 { } begin { } test:a { } profile:hz:99 { }"
    assert main(["--target", target, "-l", "-e", script]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "kprobe:vfs_read", "kprobe:vfs_read_untyped", "fentry:vmlinux:vfs_read", "interval:s:", "test:a", "profile:hz:",
    ]  # fmt: skip


@pytest.mark.parametrize("how, status", [("ignore", 0), ("warn", 0), ("error", 1)])
def test_a_listed_script_may_name_what_is_not_there_if_it_says_so(target, capsys, how, status):
    script = f"config = {{ missing_probes = {how} }} kprobe:vfs_gone {{ }} kprobe:vfs_read {{ }}"
    assert main(["--target", target, "-l", "-e", script]) == status
    assert (capsys.readouterr().out == "kprobe:vfs_read\n") is (status == 0)


def test_a_list_can_be_filtered_with_what_belongs_to_each_line(target, capsys):
    assert main(["--target", target, "-lv", "tracepoint:sched:*", "--probe-filter", "switch$"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "tracepoint:sched:sched_switch"
    assert all(line.startswith("    ") for line in lines[1:])
    assert len(lines) > 3


def test_a_script_comes_from_standard_input(target, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"begin { nonsense(); }")))
    assert main(["--target", target, "-"]) == 1
    assert capsys.readouterr().err.startswith("stdin:1:9-19: ERROR: Unknown function: 'nonsense'")
