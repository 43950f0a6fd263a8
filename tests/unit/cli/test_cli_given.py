"""--traceable-functions and BPFTRACE_BTF: a file says what can be probed, and what types there are."""

from __future__ import annotations

import pytest

from probee.cli.given import GivenTarget, OtherTypesTarget, settled
from probee.cli.main import main
from probee.errors import UsageError
from probee.model.spec import LinkSpec, ObjectSpec
from target_fixture import btf_blobs


@pytest.fixture
def given(tmp_path):
    path = tmp_path / "functions"
    path.write_text("vfs_write\nvfs_read\n\nnf_hook [nf_tables]\nrcu_work\n")
    return GivenTarget(str(path))


def patterns(pattern: str, module: str = "") -> ObjectSpec:
    link = LinkSpec("kprobe", "p", f"kprobe:{pattern}", {"pattern": pattern, "module": module}, span=7)
    other = LinkSpec("kprobe", "p", "kprobe:x", {"function": "x", "module": "", "offset": 0})
    return ObjectSpec(programs=(), maps=(), links=(link, other))


def test_the_functions_are_those_of_the_file_with_their_modules(given):
    known = [("nf_hook", "nf_tables"), ("rcu_work", ""), ("vfs_read", ""), ("vfs_write", "")]
    assert list(given.traceable_functions()) == known


def test_patterns_mean_functions_of_the_file(given):
    link, other = settled(patterns("vfs_*"), given).links
    assert (link.parameters, link.span, link.probe) == ({"functions": ["vfs_read", "vfs_write"]}, 7, "kprobe:vfs_*")
    assert other.parameters["function"] == "x"
    assert settled(patterns("*", "nf_tables"), given).links[0].parameters == {"functions": ["nf_hook"]}


def test_what_wildcards_leave_out_stays_out(given):
    assert settled(patterns("rcu_*"), given).links[0].parameters == {"functions": []}


def test_a_file_that_is_not_there_is_told():
    with pytest.raises(UsageError, match="Failed to open kernel function info: '/no/such': No such file"):
        GivenTarget("/no/such")


def test_types_can_come_from_a_file(tmp_path, monkeypatch, capsys):
    path = tmp_path / "vmlinux"
    path.write_bytes(bytes(memoryview(btf_blobs()["vmlinux"])))
    monkeypatch.setenv("BPFTRACE_BTF", str(path))
    assert main(["-l", "struct sched_entity"]) == 0
    assert capsys.readouterr().out == "struct sched_entity\n"
    assert OtherTypesTarget(str(path)).type_named("struct", "module_layout_of_no_kernel") is None


def test_a_file_of_types_that_is_not_there_is_told(monkeypatch, capsys):
    monkeypatch.setenv("BPFTRACE_BTF", "/no/such")
    assert main(["-l", "struct file"]) == 2
    assert capsys.readouterr().err == "ERROR: BPFTRACE_BTF: failed to open file '/no/such': No such file or directory\n"
