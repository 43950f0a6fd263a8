"""A kprobe and a kretprobe on the same functions share a program and a link, where the kernel has sessions."""

from __future__ import annotations

import pytest

from probee.model.spec import AttachType
from script_harness import compile_script

ONE = {"function": "vfs_read", "module": "", "offset": 0}


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("kprobe:vfs_read { @s[tid] = arg0; } kretprobe:vfs_read { @e = retval; }", ONE),
        ("kretprobe:vfs_* { @r = count(); } kprobe:vfs_* { @e = count(); return 5; }", {"pattern": "vfs_*", "module": ""}),
    ],
)
def test_two_probes_become_one(text: str, link: dict[str, object]) -> None:
    spec = compile_script(text)
    (program,), (only,) = spec.programs, spec.links
    assert program.attach_type == AttachType.TRACE_KPROBE_SESSION
    assert (only.kind, only.parameters) == ("kprobe", link)
    assert [r.name for r in program.relocations if r.kind == "btf_kfunc"] == ["bpf_session_is_return"]


@pytest.mark.parametrize(
    "text",
    [
        "kprobe:vfs_read { } kretprobe:vfs_read { } kretprobe:vfs_read { }",
        "kprobe:vfs_read { } kprobe:vfs_read { } kretprobe:vfs_read { }",
        "kprobe:vfs_read { } kretprobe:vfs_write { }",
        "kprobe:vfs_read+1 { } kretprobe:vfs_read { }",
        "kprobe:vmlinux:vfs_read { } kretprobe:vmlinux:vfs_read { }",
        "kprobe:vfs_read, kprobe:vfs_write { } kretprobe:vfs_read { }",
        "kprobe:vfs_* { print(probe); } kretprobe:vfs_* { }",
    ],
)
def test_others_stay_apart(text: str) -> None:
    spec = compile_script(text)
    assert len(spec.programs) >= 2
    assert all(program.attach_type != AttachType.TRACE_KPROBE_SESSION for program in spec.programs)


def test_without_sessions_there_are_two() -> None:
    assert len(compile_script("kprobe:vfs_read { } kretprobe:vfs_read { }", without=["kprobe_session"]).programs) == 2
