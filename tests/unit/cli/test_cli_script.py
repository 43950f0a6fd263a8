"""The target that a command line means, and which kept objects are for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from probee.cli.options import parse
from probee.cli.script import _cached, target_for
from probee.compiler.cache import write_entry
from probee.errors import UsageError
from probee.kernel.answer import boot_id
from probee.kernel.executable import identities
from probee.kernel.target import LiveTarget
from probee.model.spec import ObjectSpec


def test_programs_are_looked_for_as_the_traced_process_sees_them() -> None:
    target = target_for(parse(["-p", str(os.getpid()), "-e", "begin { }"]))
    assert isinstance(target, LiveTarget)
    assert target.pid == os.getpid()
    (program,) = target.binaries("")
    assert os.path.samefile(program.path, "/proc/self/exe")
    assert target.reads == {f"binary:{os.getpid()}:": identities("", os.getpid())}
    assert target_for(parse(["-e", "begin { }"])).pid == 0
    with pytest.raises(UsageError, match="Failed to parse pid"):
        target_for(parse(["-p", "x", "-e", "begin { }"]))


def test_directories_of_debug_files_stand_between_colons() -> None:
    target = target_for(parse(["--debuginfo", "/a:/b", "--debuginfo=/c", "-e", "begin { }"]))
    assert list(target.debug_directories) == ["/a", "/b", "/c"]


def test_an_object_made_of_one_processs_files_is_none_for_another(tmp_path: Path) -> None:
    pid, path = os.getpid(), str(tmp_path / "kept.object")
    entry = write_entry(ObjectSpec(programs=(), maps=(), links=()), {f"binary:{pid}:": identities("", pid)}, boot_id())
    assert entry is not None
    (tmp_path / "kept.object").write_bytes(entry)
    assert _cached(path, pid) is not None
    assert _cached(path, 0) is None
    assert _cached(path, os.getppid()) is None
