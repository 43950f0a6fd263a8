"""Lists of traceable functions, build ids: what the kernel's files look like."""

from __future__ import annotations

import struct

from probee.kernel.btfcache import find_build_id
from probee.kernel.target import _parse_config
from probee.kernel.traceable import parse_blacklist, parse_filter_functions


def test_ftraces_list_has_modules_in_brackets() -> None:
    text = "vfs_read\nvfs_read\n__ftrace_invalid_address___12\ndemo_open [demo_mod]\n"
    assert parse_filter_functions(text) == {("vfs_read", ""), ("demo_open", "demo_mod")}


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
