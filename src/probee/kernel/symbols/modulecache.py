"""The files that processes run code from, each opened once, and kept open: it may have been deleted when it is asked for."""

from __future__ import annotations

import os

from probee.errors import FormatError
from probee.formats.elf.read import ElfFile
from probee.kernel.symbols import maps
from probee.kernel.symbols.binary import open_elf_identified
from probee.kernel.symbols.debugfile import DEBUG_DIRECTORIES
from probee.kernel.symbols.module import Module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from probee.kernel.symbols.maps import Mapping
    from probee.kernel.symbols.process import Process

_MOST_MODULES = 256  # each keeps its file open


class ModuleCache:
    """Modules by device, inode, size and time of change; `close` lets go of all of them."""

    __slots__ = ("_directories", "_mapped", "_modules", "_proc", "_vdso")

    def __init__(self, directories: Sequence[str] = DEBUG_DIRECTORIES, proc: str = maps.PROC) -> None:
        self._directories = directories
        self._proc = proc
        self._modules: dict[tuple[int, ...], Module] = {}
        self._mapped: dict[tuple[object, ...], Module] = {}  # for processes that have gone
        self._vdso: Module | None = None

    def __len__(self) -> int:
        return len(self._modules)

    def close(self) -> None:
        self._modules.clear()
        self._mapped.clear()
        self._vdso = None

    def of(self, process: Process, mapping: Mapping) -> Module | None:
        """Return the Module of one of a process's mappings; None when its file is out of reach, or no program."""
        if mapping.start not in process.modules:
            open_it = self._vdso_of if mapping.path == "[vdso]" else self._open
            process.modules[mapping.start] = open_it(process, mapping)
        return process.modules[mapping.start]

    def program(self, path: str) -> tuple[Module, os.stat_result] | None:
        """Return the Module of a program by path, and which file it is; None when it cannot be read, or is none."""
        try:
            file, found = open_elf_identified(path)
        except (FormatError, OSError):
            return None
        return self._shared(file, found, path, ""), found

    def _open(self, process: Process, mapping: Mapping) -> Module | None:
        """Open the file of a mapping: by its path when that still is the file, else through /proc, else as it was before."""
        directory = f"{self._proc}/{process.pid}"
        link = f"{directory}/map_files/{mapping.start:x}-{mapping.end:x}"
        paths = [link] if mapping.deleted else [f"{process.prefix}{mapping.path}", link]
        if mapping.path == process.executable.removesuffix(" (deleted)"):
            paths.append(f"{directory}/exe")
        for path in paths:
            try:
                file, found = open_elf_identified(path, mapping.path)
            except (FormatError, OSError):
                continue
            if not _is_it(mapping, file, found):
                continue  # another file has taken its place
            module = self._mapped[mapping.identity] = self._shared(file, found, mapping.path, process.prefix)
            return module
        return self._mapped.get(mapping.identity)

    def _shared(self, file: ElfFile, found: os.stat_result, path: str, prefix: str) -> Module:
        """Return the Module of a file, the same for all processes."""
        key = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        module = self._modules.get(key)
        if module is None:
            while len(self._modules) >= _MOST_MODULES:
                del self._modules[next(iter(self._modules))]
                self._mapped.clear()
            module = self._modules[key] = Module(file, path, directories=self._directories, prefix=prefix)
        return module

    def _vdso_of(self, process: Process, mapping: Mapping) -> Module | None:
        """Return the code that the kernel lends to all programs; a program of another word size has another one."""
        size = mapping.end - mapping.start
        if self._vdso is None:
            self._vdso = _read_vdso("self", self._proc)
        if self._vdso is not None and len(self._vdso.file.data) == size:
            return self._vdso
        return _read_vdso(str(process.pid), self._proc)


def _is_it(mapping: Mapping, file: ElfFile, found: os.stat_result) -> bool:
    """Return whether an opened file is the mapped one; file systems of several layers have devices that say nothing."""
    if mapping.build_id:
        return file.build_id == mapping.build_id
    device = (os.major(found.st_dev), os.minor(found.st_dev))
    return device != mapping.device or found.st_ino == mapping.inode


def _read_vdso(pid: str, proc: str) -> Module | None:
    text = maps.read_proc(f"{proc}/{pid}/maps") or b""
    mapping = next((each for each in maps.parse_maps(text, executable_only=True) if each.path == "[vdso]"), None)
    if mapping is None:
        return None
    try:
        with open(f"{proc}/{pid}/mem", "rb", buffering=0) as file:
            data = os.pread(file.fileno(), mapping.end - mapping.start, mapping.start)
        return Module(ElfFile(data, "[vdso]"), "[vdso]", directories=())
    except (OSError, FormatError):
        return None
