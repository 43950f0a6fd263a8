"""The running kernel as a Target."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from probee.errors import ProbeeError
from probee.formats.target import FileTarget
from probee.kernel import btfcache, target
from probee.kernel.symbols.kallsyms import Kallsyms
from probee.kernel.symbols.stack import KernelResolver
from probee.kernel.syscalls.tracefs import tracefs_root
from probee.kernel.target import LiveTarget
from probee.model.ctype import StructType

pytestmark = pytest.mark.kernel

needs_btf = pytest.mark.skipif(not os.path.exists("/sys/kernel/btf/vmlinux"), reason="this kernel has no BTF")
needs_tracefs = pytest.mark.skipif(tracefs_root() is None, reason="tracefs is not mounted here")


@pytest.fixture(scope="module")
def live() -> LiveTarget:
    return LiveTarget()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "probee" / "types"


def comm_size(live: LiveTarget) -> int:
    task = live.type_named("struct", "task_struct")
    assert isinstance(task, StructType)
    return task.find("comm")[-1].type.size


@needs_btf
def test_types_come_from_the_kernels_btf(live: LiveTarget) -> None:
    assert comm_size(live) == 16
    function = live.function("vfs_read")
    assert function is not None
    assert function.module == "vmlinux"
    assert [parameter.name for parameter in function.type.parameters] == ["file", "buf", "count", "pos"]
    assert live.function("no_such_function_anywhere") is None
    assert live.type_named("struct", "no_such_struct_anywhere") is None


@needs_btf
def test_btf_is_copied_once_and_mapped_from_there(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert comm_size(LiveTarget()) == 16
    index, blob = sorted(cache.iterdir())
    assert (index.suffix, blob.suffix) == (".index", ".vmlinux")
    assert blob.stat().st_size == os.stat("/sys/kernel/btf/vmlinux").st_size
    assert blob.stem == btfcache.build_id("vmlinux")

    def refuse(path: str) -> bytes:
        raise AssertionError("BTF was read from the kernel again")

    monkeypatch.setattr(btfcache, "_read", refuse)
    assert comm_size(LiveTarget()) == 16


@needs_btf
@pytest.mark.parametrize("damage", ["truncate", "index", "open"])
def test_a_cache_that_cannot_be_trusted_is_not_used(cache: Path, damage: str) -> None:
    LiveTarget().btf()
    index, blob = sorted(cache.iterdir())
    if damage == "truncate":
        blob.write_bytes(blob.read_bytes()[:1000])
    elif damage == "index":
        index.write_bytes(b"nonsense")
    else:
        cache.chmod(0o777)
        blob.write_bytes(bytes(blob.stat().st_size))
    assert comm_size(LiveTarget()) == 16


@needs_btf
def test_what_was_asked_is_recorded() -> None:
    live = LiveTarget()
    live.type_named("struct", "task_struct")
    live.kconfig("HZ")
    live.has_symbol("vfs_read")
    assert live.reads["btf:vmlinux"] == btfcache.build_id("vmlinux")
    assert live.reads["symbol:vfs_read"] == "1"
    assert "kconfig:HZ" in live.reads


@needs_tracefs
def test_a_tracepoint_has_its_format(live: LiveTarget) -> None:
    found = live.tracepoint("sched", "sched_switch")
    assert found is not None
    root = tracefs_root()
    assert found.id == int(Path(f"{root}/events/sched/sched_switch/id").read_text())
    field = found.field("prev_comm")
    assert field is not None
    assert field.size == 16
    assert live.tracepoint("sched", "nothing") is None
    assert live.tracepoint("../sched", "sched_switch") is None


def test_without_tracefs_a_question_about_tracepoints_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "tracefs_root", lambda: None)
    live = LiveTarget()
    for question in (lambda: live.tracepoint("sched", "sched_switch"), live.tracepoints):
        with pytest.raises(ProbeeError, match="tracefs"):
            question()


def test_without_btf_types_are_unknown_and_nothing_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(target, "BTF_DIRECTORY", str(tmp_path))
    live = LiveTarget()
    assert not live.has_btf
    assert live.type_named("struct", "task_struct") is None
    assert live.function("vfs_read") is None
    assert list(live.btf_modules()) == []


def test_features_and_symbols_are_answered(live: LiveTarget) -> None:
    assert live.has_symbol("vfs_read")
    assert not live.has_symbol("no_such_symbol_anywhere")
    assert live.has_feature("btf") == live.has_btf
    assert live.release == os.uname().release


def test_a_symbols_address_resolves_to_the_symbol() -> None:
    symbols = Kallsyms()
    address = symbols.address("vfs_read")
    assert address
    frames = KernelResolver(symbols).frames([address, address + 3, 0])
    assert [(frame.symbol, frame.offset) for frame in frames] == [("vfs_read", 0), ("vfs_read", 3)]
    assert symbols.resolve(0x1000).symbol == ""


@needs_btf
def test_every_sampled_symbol_resolves_to_a_name_at_its_address() -> None:
    symbols = Kallsyms()
    text = [name for name, letter, module in symbols.symbols() if letter in "tT" and not module]
    for name in text[:: max(1, len(text) // 200)]:
        address = symbols.address(name)
        assert address is not None
        frame = symbols.resolve(address)
        assert frame.offset == 0
        assert symbols.address(frame.symbol) == address or frame.symbol == name


@needs_btf
def test_a_dump_answers_as_the_kernel_does(live: LiveTarget, tmp_path: Path) -> None:
    path = str(tmp_path / "kernel.target")
    live.dump(path)
    copy = FileTarget(path)
    assert (copy.arch, copy.release) == (live.arch, live.release)
    assert list(copy.traceable_functions()) == list(live.traceable_functions())
    assert list(copy.raw_tracepoints()) == list(live.raw_tracepoints())
    assert copy.has_symbol("vfs_read")
    assert not copy.has_symbol("no_such_symbol_anywhere")
    assert copy.kconfig("HZ") == live.kconfig("HZ")
    assert copy.has_feature("ringbuf") == live.has_feature("ringbuf")
    ours, theirs = (t.type_named("struct", "task_struct") for t in (live, copy))
    assert isinstance(ours, StructType)
    assert isinstance(theirs, StructType)
    assert [(m.name, m.bit_offset) for m in ours.members] == [(m.name, m.bit_offset) for m in theirs.members]
    if tracefs_root() is not None:
        assert list(copy.tracepoints()) == list(live.tracepoints())
        assert copy.tracepoint("sched", "sched_switch") is not None
