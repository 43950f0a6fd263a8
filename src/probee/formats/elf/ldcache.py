"""The dynamic linker's cache, /etc/ld.so.cache: which file a library's name stands for.

Mirrors struct cache_file_new and file_entry_new of glibc's sysdeps/generic/dl-cache.h ("glibc-ld.so.cache1.1", alone or behind
the table of older versions).  The order of the file is kept, best first.  Directories are not searched here.
"""

from __future__ import annotations

from struct import Struct, unpack_from

from probee.errors import FormatError
from probee.formats.elf.read import AARCH64, X86, X86_64

_OLD, _NEW = b"ld.so-1.7.0", b"glibc-ld.so.cache1.1"
_OLD_HEADER, _OLD_ENTRY, _HEADER = 16, 12, 48
_ENTRY = Struct("=iIIIQ")  # flags, name, path, version of the system, hardware capabilities
_ELF_LIBC6, _KIND, _ARCHITECTURE = 3, 0xFF, 0xFF00
_FLAGS = {X86_64: 0x300, X86: 0, AARCH64: 0xA00}


class CachedLibrary:
    """`plain` says that every machine of its kind can run it; others are variants for newer processors."""

    __slots__ = ("name", "path", "plain")

    def __init__(self, name: str, path: str, *, plain: bool) -> None:
        self.name = name
        self.path = path
        self.plain = plain

    def __repr__(self) -> str:
        return f"CachedLibrary({self.name!r}, {self.path!r})"


def read_ldcache(data: bytes, machine: int) -> list[CachedLibrary]:
    """Return the libraries of one kind of machine; FormatError for what is no such cache."""
    start = _start(data)
    count, _ = unpack_from("=II", data, start + 20)
    end = start + _HEADER + count * _ENTRY.size
    if end > len(data):
        raise FormatError("the dynamic linker's cache is cut off")
    wanted = _FLAGS.get(machine)
    found = []
    for flags, name, path, _, capabilities in _ENTRY.iter_unpack(data[start + _HEADER : end]):
        if flags & _KIND == _ELF_LIBC6 and (wanted is None or flags & _ARCHITECTURE == wanted):
            found.append(CachedLibrary(_string(data, start + name), _string(data, start + path), plain=not capabilities))
    return found


def _start(data: bytes) -> int:
    """Return where the header of the new table is."""
    start = 0
    if data.startswith(_OLD) and len(data) >= _OLD_HEADER:
        (count,) = unpack_from("=I", data, 12)
        start = (_OLD_HEADER + count * _OLD_ENTRY + 7) & ~7
    if data[start : start + len(_NEW)] != _NEW or start + _HEADER > len(data):
        raise FormatError("the dynamic linker's cache has a format that is not known")
    return start


def _string(data: bytes, at: int) -> str:
    return data[at : data.find(b"\0", at)].decode("utf-8", "surrogateescape") if at < len(data) else ""


def library_named(name: str, libraries: list[CachedLibrary]) -> str:
    """Return the path of a library by file name (libc.so.6) or short name (libc, c), "" when there is none.

    Of several versions and variants it is the first that every machine of its kind can run.
    """
    ordered = sorted(libraries, key=lambda library: not library.plain)
    for exact in (f"{name}", f"{name}.so", f"lib{name}.so"):
        for library in ordered:
            if library.name == exact or (exact.endswith(".so") and library.name.startswith(f"{exact}.")):
                return library.path
    return ""
