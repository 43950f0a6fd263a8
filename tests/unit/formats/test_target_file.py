"""Target files: what was recorded is answered, lazily; damage is an error; what was asked is noted."""

from __future__ import annotations

import contextlib
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probee.errors import FormatError, ProbeeError
from probee.formats.target import BtfTarget, FileTarget, write_target
from probee.formats.target_image import TargetImage, encode_image
from probee.model.ctype import PointerType
from probee.model.target import Target
from target_fixture import MODULE, btf_blobs, build_target, offset_of, target_image


def test_written_file_is_read_back(tmp_path: Path) -> None:
    path = str(tmp_path / "kernel.target")
    write_target(path, target_image())
    target = FileTarget(path)
    assert (target.arch, target.release, target.has_btf) == ("x86_64", "6.12.0-test", True)
    assert target.syscall_prefix == "__x64_sys_"
    assert target.has_feature("kprobe_multi") and not target.has_feature("tracing_multi")
    assert (target.kconfig("HZ"), target.kconfig("NOTHING")) == ("250", "")


def test_types_functions_and_enumerators_come_from_its_btf(target: FileTarget) -> None:
    found = target.function("vfs_read")
    assert found is not None
    assert (found.module, [p.name for p in found.type.parameters]) == ("vmlinux", ["file", "buf", "count", "pos"])
    assert offset_of(target, "dentry", "d_name.len") == offset_of(target, "dentry", "d_name.hash") + 4
    state = target.enumerator("TCP_SYN_SENT")
    assert state is not None and state[0] == 2
    assert target.type_named("struct", "missing") is None
    assert target.enumerator("MISSING") is None


def test_only_percpu_variables_are_variables(target: FileTarget) -> None:
    found = target.variable("runqueues")
    assert found is not None and found.spelling() == "struct rq"
    assert target.variable("jiffies") is None


def test_module_functions_are_found_after_those_of_vmlinux(target: FileTarget) -> None:
    assert target.type_named("struct", "demo_state") is None  # its module has not been looked into yet
    found = target.function("demo_open")
    assert found is not None and found.module == MODULE
    pointer = found.type.parameters[0].type
    assert isinstance(pointer, PointerType)
    assert pointer.target is target.type_named("struct", "demo_state")
    assert target.function("demo_open", "vmlinux") is None
    assert target.function("vfs_read", MODULE) is None


def test_raw_tracepoints_of_vmlinux_and_modules(target: FileTarget) -> None:
    found = target.raw_tracepoint("demo_event")
    assert found is not None and [p.name for p in found.parameters] == ["__data", "state", "level"]
    assert (MODULE, "demo_event") in list(target.raw_tracepoints())
    assert ("vmlinux", "sched_switch") in list(target.raw_tracepoints())
    assert target.raw_tracepoint("missing") is None


def test_tracepoints_come_from_their_recorded_formats(target: FileTarget) -> None:
    found = target.tracepoint("syscalls", "sys_enter_openat")
    assert found is not None
    field = found.field("filename")
    assert field is not None and (field.offset, field.type_name) == (24, "const char *")
    assert target.tracepoint("syscalls", "sys_enter_nothing") is None
    assert "sched:sched_switch" in list(target.tracepoints())
    assert list(target.tracepoints()) == sorted(target.tracepoints())


def test_names_of_functions_and_symbols(target: FileTarget) -> None:
    functions = list(target.traceable_functions())
    assert ("vfs_read", "") in functions and ("demo_open", MODULE) in functions
    assert functions == sorted(functions)
    assert target.has_symbol("jiffies")
    assert not target.has_symbol("jiffie") and not target.has_symbol("iffies")


def test_what_was_asked_is_noted_with_its_answer(target: FileTarget) -> None:
    assert target.reads == {}
    target.type_named("struct", "file")
    target.type_named("struct", "inode")
    assert list(target.reads) == ["btf:vmlinux"]
    target.has_feature("fentry")
    target.kconfig("HZ")
    target.has_symbol("nothing")
    target.tracepoint("sched", "nothing")
    target.tracepoint("sched", "sched_switch")
    assert target.reads["feature:fentry"] == "1"
    assert target.reads["kconfig:HZ"] == "250"
    assert target.reads["symbol:nothing"] == "0"
    assert target.reads["tracepoint:sched:nothing"] == ""
    assert len(target.reads["tracepoint:sched:sched_switch"]) == 32


def test_a_miss_in_vmlinux_notes_the_modules_that_were_looked_into(target: FileTarget) -> None:
    target.function("vfs_read")
    assert set(target.reads) == {"btf:vmlinux"}
    target.function("missing")
    assert set(target.reads) == {"btf:vmlinux", "btf-modules", f"btf:{MODULE}"}


def test_digests_change_with_what_they_stand_for() -> None:
    image = target_image()
    other = TargetImage(image.arch, image.release, formats=dict(image.formats))
    other.formats["sched:sched_switch"] = other.formats["sched:sched_switch"].replace("offset:24", "offset:28")
    old, new = build_target(), FileTarget(encode_image(other))
    for target in (old, new):
        target.tracepoint("sched", "sched_switch")
        target.tracepoint("sched", "sched_wakeup")
        target.type_named("struct", "file")
    assert {question for question in old.reads if old.reads[question] != new.reads[question]} == {
        "tracepoint:sched:sched_switch", "btf:vmlinux",
    }  # fmt: skip


def test_empty_image_knows_nothing_and_says_none() -> None:
    target = FileTarget(encode_image(TargetImage("aarch64", "6.1")))
    assert not target.has_btf
    assert target.function("vfs_read") is None
    assert target.type_named("struct", "file") is None
    assert target.raw_tracepoint("sched_switch") is None
    assert target.enumerator("TCP_CLOSE") is None
    assert target.variable("runqueues") is None
    assert list(target.traceable_functions()) == list(target.tracepoints()) == list(target.raw_tracepoints()) == []
    assert target.reads["btf:vmlinux"] == ""


class TestBtfAlone:
    @pytest.fixture
    def alone(self, tmp_path: Path) -> BtfTarget:
        path = tmp_path / "vmlinux.btf"
        path.write_bytes(memoryview(btf_blobs()["vmlinux"]))
        return BtfTarget(str(path))

    def test_types_and_functions_are_known(self, alone: BtfTarget) -> None:
        assert alone.function("vfs_read") is not None
        assert ("vfs_read", "") in list(alone.traceable_functions())
        assert not alone.has_feature("ringbuf")
        assert alone.kconfig("HZ") == ""

    def test_tracepoints_and_symbols_are_an_error_that_says_what_to_do(self, alone: BtfTarget) -> None:
        for ask in (lambda: alone.tracepoint("sched", "sched_switch"), alone.tracepoints, lambda: alone.has_symbol("x")):
            with pytest.raises(ProbeeError, match=r"is only BTF.*exist only in.*use --target FILE"):
                ask()


class TestDamage:
    def test_not_a_target_file(self) -> None:
        with pytest.raises(FormatError, match="too short"):
            FileTarget(b"short")
        with pytest.raises(FormatError, match="not a target file"):
            FileTarget(bytes(100))

    def test_empty_path(self, tmp_path: Path) -> None:
        path = tmp_path / "empty"
        path.touch()
        with pytest.raises(FormatError, match="too short"):
            FileTarget(str(path))

    def test_other_version(self) -> None:
        data = bytearray(encode_image(target_image()))
        data[8:12] = (99).to_bytes(4, "little")
        with pytest.raises(FormatError, match="version 99"):
            FileTarget(bytes(data))

    def test_metadata_is_checked(self) -> None:
        data = bytearray(encode_image(target_image()))
        data[30] ^= 1
        with pytest.raises(FormatError, match="metadata is damaged"):
            FileTarget(bytes(data))

    @pytest.mark.parametrize("meta", [b"[]", b"{}", b'{"arch": 3}', b"[" * 100_000, b"\xff", b'{"arch":"x","release":"y"}'])
    def test_metadata_of_the_wrong_shape(self, meta: bytes) -> None:
        data = struct.pack("<8sIII", b"probeeTG", 1, len(meta), zlib.crc32(meta)) + meta
        with pytest.raises(FormatError, match="dump it again"):
            FileTarget(data)

    def test_cut_off_file_is_open_but_says_so_when_the_section_is_read(self) -> None:
        target = FileTarget(encode_image(target_image())[:-60])
        assert target.kconfig("HZ") == "250"
        with pytest.raises(FormatError, match="lies outside"):
            target.has_symbol("jiffies")

    @settings(max_examples=80, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=12))
    def test_changed_bytes(self, changes: list[tuple[int, int]]) -> None:
        data = bytearray(encode_image(target_image()))
        for place, value in changes:
            data[place % len(data)] = value
        try:
            target = FileTarget(bytes(data))
        except FormatError:
            return
        for ask in (
            lambda: target.function("vfs_read"), lambda: target.function("demo_open"), lambda: target.has_symbol("jiffies"),
            lambda: list(target.traceable_functions()), lambda: target.tracepoint("sched", "sched_switch"),
            lambda: list(target.tracepoints()), lambda: target.enumerator("TCP_CLOSE"), lambda: target.variable("runqueues"),
        ):  # fmt: skip
            with contextlib.suppress(ProbeeError):
                ask()


def test_it_is_a_target(target: FileTarget) -> None:
    assert isinstance(target, Target)
