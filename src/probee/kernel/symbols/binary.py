"""Finding and opening programs and libraries: by path, on PATH, by a library's short name, in a process's own files.

The short names are those that the dynamic linker's cache knows (`libc` is libc.so.6); where there is no such cache (musl)
the usual directories are searched.  Paths of processes in other mount namespaces begin with /proc/PID/root, which works for
the kernel's uprobes as well.  Nothing here reads symbols.
"""

from __future__ import annotations

import os
import stat

from probee.errors import FormatError, KernelError, PermissionMissing
from probee.formats.elf.read import AARCH64, X86, X86_64, ElfFile
from probee.kernel.symbols.maps import PROC, mount_root, read_maps, root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mmap import mmap
    from typing import Any

_LIBRARY_DIRECTORIES = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib")
_MACHINES = {"x86_64": X86_64, "aarch64": AARCH64, "i686": X86}
_EPERM, _EACCES = 1, 13
LDCACHE = "/etc/ld.so.cache"


def open_elf(path: str, name: str = "") -> ElfFile:
    """Map an ELF file; `name` is what messages call it.

    FormatError for what is no ELF file, PermissionMissing or KernelError (both OSError) for what cannot be opened.
    """
    return open_elf_identified(path, name)[0]


def open_elf_identified(path: str, name: str = "") -> tuple[ElfFile, os.stat_result]:
    """Map an ELF file and say which file it is."""
    from mmap import ACCESS_READ, mmap

    name = name or path
    path, member = split_member(path)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not hold us up
    except OSError as error:
        kind = PermissionMissing if error.errno in (_EPERM, _EACCES) else KernelError
        raise kind(error.errno or 0, f"open({path})", f"{name} cannot be opened: {error.strerror}") from None
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise FormatError(f"{name} is no regular file")
        if not found.st_size:
            raise FormatError(f"{name} is empty")
        data = mmap(fd, 0, access=ACCESS_READ)
        return _member_of(data, member, name) if member else ElfFile(data, name), found
    except OSError as error:
        raise KernelError(error.errno or 0, f"mmap({path})", f"{name} cannot be read: {error.strerror}") from None
    finally:
        os.close(fd)


def split_member(path: str) -> tuple[str, str]:
    """Return the file that the kernel knows, and what is meant of it: `x.zip!/lib/y.so` is a file in an archive.

    What open_elf returns for a member has offsets of the archive, for uprobes in it.
    """
    archive, mark, member = path.partition("!/")
    return (archive, member) if mark and member else (path, "")


def _member_of(data: mmap, member: str, name: str) -> ElfFile:
    from zipfile import ZIP_STORED, BadZipFile, ZipFile

    stream: Any = data
    try:
        with ZipFile(stream) as archive:
            found = archive.getinfo(member)
    except KeyError:
        raise FormatError(f"{name}: the archive has no such member") from None
    except (BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise FormatError(f"{name}: the archive cannot be read ({error})") from None
    if found.compress_type != ZIP_STORED:
        raise FormatError(f"{name} is compressed, so no code runs from it: only what an archive stores as it is can be probed")
    header = data[found.header_offset : found.header_offset + 30]
    names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    start = found.header_offset + 30 + names
    return ElfFile(data[start : start + found.file_size], name, base=start)


# -- finding


def find_binary(name: str, pid: int = 0, *, any_file: bool = False, proc: str = PROC) -> list[str]:
    """Return the files that a probe's target may mean, best first; with a pid, as that process sees them.

    `*` alone stands for all files that the process (without a pid: any process) runs code from, `*` in a path for any text.
    A path means a program or library only, unless it may be `any_file`.
    """
    prefix = root(pid, proc) if pid else ""
    if name == "*":
        return mapped_files(pid, proc=proc)
    if "!/" in name:
        archive, member = split_member(name)
        return [f"{path}!/{member}" for path in [_absolute(archive, pid, prefix, proc)] if member and os.path.isfile(path)]
    if "*" in name:
        return _matching(name, prefix)
    if "/" in name:
        path = _absolute(name, pid, prefix, proc)
        return [path] if _is_program(path) or (any_file and os.path.isfile(path)) else []
    library = find_library(name, pid, proc=proc) if name.startswith("lib") else ""
    return [library] if library else find_executable(name, pid, proc=proc)


def find_executable(name: str, pid: int = 0, *, proc: str = PROC) -> list[str]:
    """Return the programs of a name in the current directory's or PATH's directories, in their order."""
    prefix = root(pid, proc) if pid else ""
    here = _absolute(name, pid, prefix, proc)
    places = [f"{prefix}{directory}/{name}" for directory in os.environ.get("PATH", os.defpath).split(":") if directory]
    found: dict[tuple[int, int], str] = {}
    for path in (here, *places):
        if _is_program(path):
            known = os.stat(path)
            found.setdefault((known.st_dev, known.st_ino), path)  # /bin may be /usr/bin
    return list(found.values())


def find_library(name: str, pid: int = 0, *, proc: str = PROC) -> str:
    """Return the path of a library: one that the process has loaded, else what the dynamic linker would load; "" for none.

    The name may be `c`, `libc`, `libc.so` or `libc.so.6`.
    """
    if pid:
        for path in mapped_files(pid, proc=proc):
            if _is_called(os.path.basename(path), name):
                return path
    prefix = root(pid, proc) if pid else ""
    path = _cached_library(name, prefix) or _library_in_directories(name, prefix)
    return f"{prefix}{path}" if path else ""


def mapped_files(pid: int = 0, *, proc: str = PROC) -> list[str]:
    """Return the files that a process, or without a pid every process, has code from, each once."""
    pids = [pid] if pid else sorted(int(entry) for entry in os.listdir(proc) if entry.isdecimal())
    found: dict[str, None] = {}
    for each in pids:
        mappings = read_maps(each, executable_only=True, proc=proc) or []
        prefix = mount_root(each, proc) if mappings else ""
        for mapping in mappings:
            if mapping.is_file and not mapping.deleted:
                found[f"{prefix}{mapping.path}"] = None
    return list(found)


def _is_called(file: str, name: str) -> bool:
    """Return whether a library's file, libc.so.6 or libc-2.31.so, is the one of a name."""
    for stem in (name, f"lib{name}"):
        if file == stem or file.startswith((f"{stem.removesuffix('.so')}.so", f"{stem}-")):
            return ".so" in file
    return False


def _cached_library(name: str, prefix: str) -> str:
    from probee.formats.elf.ldcache import library_named, read_ldcache

    try:
        with open(f"{prefix}{LDCACHE}", "rb", buffering=0) as file:
            data = file.read()
        return library_named(name, read_ldcache(data, _MACHINES.get(os.uname().machine, 0)))
    except (OSError, FormatError):
        return ""  # no such linker, or a version that is not known: the directories remain


def _library_in_directories(name: str, prefix: str) -> str:
    for directory in _LIBRARY_DIRECTORIES:
        try:
            files = sorted(os.listdir(f"{prefix}{directory}"))
        except OSError:
            continue
        for file in files:
            if _is_called(file, name):
                return f"{directory}/{file}"
    return ""


def _absolute(name: str, pid: int, prefix: str, proc: str) -> str:
    """Return the path from the root; a relative one begins where the process, or this one, is."""
    if name.startswith("/"):
        return f"{prefix}{name}"
    if prefix:
        return f"{proc}/{pid}/cwd/{name.removeprefix('./')}"
    return os.path.abspath(name)


def _is_program(path: str) -> bool:
    """Return whether something can be probed there: a file that may be executed, or a library."""
    try:
        found = os.stat(path)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and (bool(found.st_mode & 0o111) or ".so" in os.path.basename(path))


def _matching(pattern: str, prefix: str) -> list[str]:
    from glob import glob

    escaped = "".join(f"[{char}]" if char in "?[" else char for char in pattern)
    if "/" in pattern:
        return [path for path in sorted(glob(f"{prefix}{escaped}")) if _is_program(path)]
    found = []
    for directory in os.environ.get("PATH", os.defpath).split(":"):
        found += [path for path in sorted(glob(f"{prefix}{directory}/{escaped}")) if _is_program(path)]
    return list(dict.fromkeys(found))
