"""Lists of traceable functions, build ids: what the kernel's files look like."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from probee.kernel import traceable
from probee.kernel.btfcache import find_build_id
from probee.kernel.symbols.kallsyms import Kallsyms
from probee.kernel.target import _parse_config
from probee.kernel.traceable import all_traceable_lines, parse_blacklist, split_lines, traceable_lines


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Directories that stand for tracefs, debugfs and the kprobe PMU."""
    monkeypatch.setattr(traceable, "KPROBE_PMU", str(tmp_path))
    monkeypatch.setattr(traceable, "BLACKLIST", str(tmp_path / "blacklist"))
    (tmp_path / "blacklist").write_text("0xffffffff81000000-0xffffffff81000010\tdo_nmi\n")
    text = "ffffffff81000000 T vfs_write\nffffffff81000010 D jiffies\nffffffffc0000000 t prog_1\t[bpf]\n"
    (tmp_path / "kallsyms").write_text(text + "ffffffffc0100000 t demo_open\t[demo_mod]\nffffffff81000020 t do_nmi\n")
    return tmp_path


def functions(kernel: Path) -> list[tuple[str, str]]:
    return split_lines(traceable_lines(str(kernel), Kallsyms(str(kernel / "kallsyms"))))


def test_functions_that_share_a_name_are_one_line_or_as_many_as_there_are(kernel: Path) -> None:
    (kernel / "available_filter_functions").write_text("vfs_write\nvfs_read\nvfs_write\nvfs_write [mod]\n")
    kallsyms = Kallsyms(str(kernel / "kallsyms"))
    assert [line for line in traceable_lines(str(kernel), kallsyms) if "vfs_write" in line] == ["vfs_write", "vfs_write [mod]"]
    assert all_traceable_lines(str(kernel), kallsyms).count("vfs_write") == 2


def test_ftraces_list_has_modules_in_brackets(kernel: Path) -> None:
    text = "vfs_read\nvfs_read\n__ftrace_invalid_address___12\nvfs_read.x\nvfs_read [demo_mod]\ndo_nmi\n"
    (kernel / "available_filter_functions").write_text(text)
    assert functions(kernel) == [("vfs_read", ""), ("vfs_read", "demo_mod"), ("vfs_read.x", "")]


def test_without_ftrace_the_functions_of_kallsyms_count(kernel: Path) -> None:
    assert functions(kernel) == [("demo_open", "demo_mod"), ("vfs_write", "")]


def test_without_kprobes_nothing_is_traceable(kernel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traceable, "KPROBE_PMU", str(kernel / "nothing"))
    assert functions(kernel) == []


def test_the_blacklist_has_names_after_ranges() -> None:
    text = "0xffffffff81000000-0xffffffff81000010\tasm_exc_nmi\n0xffffffff81000010-0xffffffff81000020\tdo_nmi\n"
    assert parse_blacklist(text) == {"asm_exc_nmi", "do_nmi"}


def note(name: bytes, type: int, descriptor: bytes) -> bytes:
    padded = [part + bytes(-len(part) % 4) for part in (name, descriptor)]
    return struct.pack("=III", len(name), len(descriptor), type) + b"".join(padded)


def test_a_build_id_is_the_gnu_note_of_type_three() -> None:
    notes = note(b"Linux\0", 0x100, b"6.12.0\0") + note(b"Xen\0", 3, b"no") + note(b"GNU\0", 3, bytes.fromhex("0123abcd"))
    assert find_build_id(notes) == "0123abcd"
    assert find_build_id(notes[:20]) == ""
    assert find_build_id(b"") == ""


def test_a_configuration_is_read_without_its_prefix_and_quotes() -> None:
    text = b'# comment\nCONFIG_HZ=250\nCONFIG_BPF=y\n# CONFIG_KPROBES is not set\nCONFIG_LSM="bpf,yama"\n'
    assert _parse_config(text) == {"HZ": "250", "BPF": "y", "LSM": "bpf,yama"}
