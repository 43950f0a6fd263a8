"""`probee formats`: tables and JSON of what probes carry."""

from __future__ import annotations

import json

import pytest

from probee.cli.main import main
from probee.formats.target import write_target
from target_fixture import target_image


@pytest.fixture
def kernel(tmp_path):
    path = tmp_path / "kernel.target"
    write_target(str(path), target_image())
    return str(path)


def test_a_probe_gets_a_table_headed_by_its_name(kernel, capsys):
    assert main(["formats", "--target", kernel, "kprobe:vfs_fsync"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "kprobe:vfs_fsync"
    assert lines[1].split() == ["FIELD", "TYPE", "OFFSET", "SIZE", "SIGNED", "IN", "A", "SCRIPT"]
    assert len(lines) == 4


def test_a_tracepoint_is_shown_with_its_id(kernel, capsys):
    assert main(["formats", "--target", kernel, "tracepoint:syscalls:sys_enter_read"]) == 0
    assert capsys.readouterr().out.startswith("tracepoint:syscalls:sys_enter_read  (id ")


def test_a_pattern_gives_a_table_for_each_probe_that_has_a_format(kernel, capsys):
    assert main(["formats", "--target", kernel, "kprobe:vfs_read*"]) == 0  # of vfs_read_untyped nothing is known
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("kprobe")] == ["kprobe:vfs_read"]


def test_json_has_one_object_per_probe(kernel, capsys):
    assert main(["formats", "-f", "json", "--target", kernel, "kprobe:vfs_fsync", "kretprobe:vfs_fsync"]) == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["fields"][1] == {
        "name": "datasync", "type": "int", "offset": None, "size": 4, "signed": True, "where": "arg1 (si)",
    }  # fmt: skip
    assert second == {
        "probe": "kretprobe:vfs_fsync",
        "fields": [{"name": "retval", "type": "int", "offset": None, "size": 4, "signed": True, "where": "retval"}],
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["kprobe:vfs_fsnyc"], "Did you mean: vfs_fsync"),
        (["nonsense"], "Invalid probe type: nonsense"),
        (["interval:s:1"], "have no record"),
        ([], "USAGE: probee formats"),
    ],
)
def test_what_has_no_format_is_an_error(kernel, capsys, words, said):
    assert main(["formats", "--target", kernel, *words]) == 1
    assert said in capsys.readouterr().err
