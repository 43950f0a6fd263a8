"""The dynamic linker's cache, made for the test in both forms, and this machine's."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probee.errors import FormatError
from probee.formats.elf.ldcache import library_named, read_ldcache
from probee.formats.elf.read import AARCH64, X86, X86_64

ROWS = [  # flags, name, path, capabilities
    (0x303, "libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6", 0),
    (0x003, "libc.so.6", "/lib32/libc.so.6", 0),
    (0xA03, "libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6", 0),
    (0x303, "libz.so.1", "/usr/lib/glibc-hwcaps/x86-64-v3/libz.so.1", 1 << 62),
    (0x303, "libz.so.1", "/usr/lib/libz.so.1", 0),
    (0x303, "libcap.so.2", "/usr/lib/libcap.so.2", 0),
    (0x303, "libpython3.11.so.1.0", "/usr/lib/libpython3.11.so.1.0", 0),
]


def cache(*, old: bool = False) -> bytes:
    strings, entries, at = b"", b"", 48 + 24 * len(ROWS)
    for flags, name, path, capabilities in ROWS:
        entries += pack("=iIIIQ", flags, at + len(strings), at + len(strings) + len(name) + 1, 0, capabilities)
        strings += name.encode() + b"\0" + path.encode() + b"\0"
    new = b"glibc-ld.so.cache1.1" + pack("=II20x", len(ROWS), len(strings)) + entries + strings
    if not old:
        return new
    head = b"ld.so-1.7.0\0" + pack("=I", 1) + bytes(12)
    return head + bytes(-len(head) % 8) + new


@pytest.mark.parametrize("old", [False, True])
def test_both_forms_are_read(old: bool) -> None:
    libraries = read_ldcache(cache(old=old), X86_64)
    assert [library.name for library in libraries].count("libc.so.6") == 1
    assert libraries[0].path == "/lib/x86_64-linux-gnu/libc.so.6"


@pytest.mark.parametrize(
    ("machine", "path"),
    [(X86, "/lib32/libc.so.6"), (AARCH64, "/lib/aarch64-linux-gnu/libc.so.6"), (X86_64, "/lib/x86_64-linux-gnu/libc.so.6")],
)
def test_each_machine_has_its_own_libraries(machine: int, path: str) -> None:
    assert library_named("libc", read_ldcache(cache(), machine)) == path


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("c", "/lib/x86_64-linux-gnu/libc.so.6"),
        ("libc", "/lib/x86_64-linux-gnu/libc.so.6"),
        ("libc.so", "/lib/x86_64-linux-gnu/libc.so.6"),
        ("libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6"),
        ("libcap", "/usr/lib/libcap.so.2"),
        ("libz", "/usr/lib/libz.so.1"),  # every machine can run it
        ("python3.11", "/usr/lib/libpython3.11.so.1.0"),
        ("lib", ""),
        ("libca", ""),
        ("libc.so.7", ""),
    ],
)
def test_short_names_stand_for_files(name: str, path: str) -> None:
    assert library_named(name, read_ldcache(cache(), X86_64)) == path


@pytest.mark.parametrize("data", [b"", b"text" * 30, cache()[:40], cache()[:100], b"ld.so-1.7.0\0" + pack("=I", 1 << 30)])
def test_what_is_no_such_cache_is_an_error(data: bytes) -> None:
    with pytest.raises(FormatError, match="dynamic linker's cache"):
        read_ldcache(data, X86_64)


@given(st.lists(st.tuples(st.integers(0, len(cache()) - 1), st.integers(0, 255)), max_size=8))
def test_changed_bytes_are_read_or_refused(changes: list[tuple[int, int]]) -> None:
    data = bytearray(cache())
    for at, value in changes:
        data[at] = value
    with suppress(FormatError):
        library_named("libc", read_ldcache(bytes(data), X86_64))


@pytest.mark.skipif(not Path("/etc/ld.so.cache").exists(), reason="no cache of a dynamic linker here")
def test_this_machines_c_library_is_in_its_cache() -> None:
    machine = {"x86_64": X86_64, "aarch64": AARCH64}.get(os.uname().machine, 0)
    path = library_named("libc", read_ldcache(Path("/etc/ld.so.cache").read_bytes(), machine))
    assert path.endswith("/libc.so.6") and Path(path).exists()
