"""Names for addresses of user programs: (pid, address) → Frame.

What a process has mapped is remembered at first sight (`remember`), since it may have exited when its stack is printed; files
that will be out of reach then (deleted ones, other mount namespaces) are opened at once.  A process is known by pid and start
time.  An address becomes a place in a file, that one a linker's address, that one a symbol: no load bias is ever guessed.

Modes are bpftrace's cache_user_symbols: PER_PID remembers each process; PER_PROGRAM lets a process that was seen too late
borrow what another one of its program had mapped (right when addresses are not randomised); NONE remembers nothing.
"""

from __future__ import annotations

import os
from time import monotonic

from probee.errors import FormatError
from probee.formats.elf.read import AARCH64, EXECUTABLE, X86_64, ElfFile
from probee.kernel.symbols import maps
from probee.kernel.symbols.binary import open_elf_identified
from probee.kernel.symbols.debugfile import DEBUG_DIRECTORIES
from probee.kernel.symbols.demangle import demangle
from probee.kernel.symbols.maps import AddressSpace, Mapping
from probee.kernel.symbols.module import Module
from probee.kernel.symbols.perfmap import PerfMap
from probee.model.value import Frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from probee.kernel.symbols.debuginfo import SourceFrame

PER_PID, PER_PROGRAM, NONE = "PER_PID", "PER_PROGRAM", "NONE"

_MOST_PROCESSES = 4096
_MOST_MODULES = 256  # each keeps its file open
_MOST_FRAMES = 1 << 14  # of one process
_PIE_BASES = {X86_64: 0x5555_5555_4000, AARCH64: 0xAAAA_AAAA_A000}  # two thirds of the address space (ELF_ET_DYN_BASE)
_TRUST_S = 0.02  # how long a process is taken for the one it was
_SHARE = 5  # reading maps again for addresses that nobody knows may take a fifth of the time


class Process:
    """What is known of one process; `older` is what it was before exec, or who had the pid before."""

    __slots__ = (
        "checked_s", "executable", "frames", "modules", "older", "owner", "perf_map", "pid", "prefix", "refresh_s", "space",
        "start_time",
    )  # fmt: skip

    def __init__(self, pid: int, start_time: int, executable: str, mappings: Iterable[Mapping], proc: str) -> None:
        self.pid = pid
        self.start_time = start_time
        self.executable = executable
        self.owner = maps.owner(pid, proc)
        self.prefix = maps.mount_root(pid, proc)
        self.space = AddressSpace(mappings)
        self.frames: dict[int, Frame] = {}
        self.modules: dict[int, Module | None] = {}  # by the start of the mapping
        self.older: Process | None = None
        self.perf_map = _perf_map(self, proc)
        self.checked_s = monotonic()
        self.refresh_s = 0.0  # when its maps may be read again


def _perf_map(process: Process, proc: str) -> PerfMap:
    owners = (0, os.geteuid(), process.owner)
    root = maps.root(process.pid, proc)
    if root:
        inside = PerfMap(f"{root}/tmp/perf-{maps.pid_inside(process.pid, proc)}.map", owners)
        if inside.refresh():  # it is out of reach once the process has gone
            return inside
    return PerfMap(f"/tmp/perf-{process.pid}.map", owners)


class UserResolver:
    """One for each session; `close` lets go of all files."""

    __slots__ = ("_directories", "_modules", "_processes", "_programs", "_targets", "_vdso", "cache", "demangles", "proc")

    def __init__(
        self,
        cache: str = PER_PID,
        *,
        demangles: bool = True,
        debug_directories: Sequence[str] = DEBUG_DIRECTORIES,
        proc: str = maps.PROC,
    ) -> None:
        self.cache = cache
        self.demangles = demangles
        self.proc = proc
        self._directories = debug_directories
        self._processes: dict[int, Process] = {}
        self._programs: dict[str, Process] = {}
        self._targets: dict[str, Module | None] = {}
        self._modules: dict[tuple[int, ...], Module | None] = {}
        self._vdso: Module | None = None

    def close(self) -> None:
        self._processes.clear()
        self._programs.clear()
        self._targets.clear()
        self._modules.clear()
        self._vdso = None

    # -- processes

    def remember(self, pid: int) -> bool:
        """Note what a process has mapped, so that its addresses have names after it has exited; False when it has gone.

        Cheap for one that is known: to be called whenever a pid is seen.
        """
        return self.cache != NONE and self._process(pid) is not None

    def remember_program(self, path: str) -> int:
        """Note a program that is about to be probed, and what its processes have mapped; returns how many there are.

        Its processes may exit before anyone has seen them: addresses in a program that cannot be moved have names all the same.
        """
        if self.cache == NONE:
            return 0
        try:
            file, found = open_elf_identified(path)
        except (FormatError, OSError):
            return 0
        self._targets[path] = self._shared(file, found, path, "")
        return sum(self.remember(pid) for pid in maps.processes_of(found, self.proc))

    def forget(self, pid: int) -> None:
        self._processes.pop(pid, None)

    def _process(self, pid: int, program: str = "", *, trusting: bool = True) -> Process | None:
        known = self._processes.get(pid)
        if trusting and known is not None and monotonic() - known.checked_s < _TRUST_S:
            return known
        started = maps.start_time(pid, self.proc)
        if not started:
            return known or self._borrowed(program)
        executable = maps.executable(pid, self.proc)
        if known is not None and (known.start_time, known.executable) == (started, executable):
            known.checked_s = monotonic()
            return known
        return self._meet(pid, started, executable, known) or self._borrowed(executable)

    def _borrowed(self, program: str) -> Process | None:
        return self._programs.get(program) if self.cache == PER_PROGRAM else None

    def _meet(self, pid: int, started: int, executable: str, older: Process | None) -> Process | None:
        mappings = maps.read_maps(pid, executable_only=True, proc=self.proc)
        if not mappings:  # a zombie, a kernel thread, or not ours to look at
            if older is not None:
                older.checked_s = monotonic()
            return older
        process = Process(pid, started, executable, mappings, self.proc)
        if older is not None and older.start_time == started:
            older.older = None
            process.older = older
        for mapping in process.space.mappings:
            if mapping.is_file and (mapping.deleted or process.prefix):
                self._module_of(process, mapping)
        if executable and self.cache == PER_PROGRAM:
            self._programs[executable] = process
        return self._keep(pid, process)

    def _keep(self, pid: int, process: Process) -> Process:
        if self.cache == NONE:
            return process
        while len(self._processes) >= _MOST_PROCESSES:
            del self._processes[next(iter(self._processes))]
        self._processes[pid] = process
        return process

    def _changed(self, process: Process) -> Process | None:
        """Return a process as it is now, when an address is not known: it may have loaded a library, or be another program.

        None when it has exited, or when it has been asked too often.
        """
        started = monotonic()
        if started < process.refresh_s:
            return None
        now = self._process(process.pid, trusting=False)
        if now is process and maps.start_time(process.pid, self.proc) == process.start_time:
            mappings = maps.read_maps(process.pid, proc=self.proc)
            if mappings:
                process.space = AddressSpace(mappings)
                process.modules.clear()
                process.frames.clear()
        process.refresh_s = monotonic() + (monotonic() - started) * _SHARE
        return now

    # -- addresses

    def frames(self, pid: int, addresses: Iterable[int], *, program: str = "") -> tuple[Frame, ...]:
        """Return the Frames of a stack, up to its first zero."""
        frames = []
        for address in addresses:
            if not address:
                break
            frames.append(self.frame(pid, address, program=program))
        return tuple(frames)

    def frame(self, pid: int, address: int, *, program: str = "") -> Frame:
        """Return the Frame of one address, `module` the file's path; without a symbol when nothing is known there.

        `program` is the path of the program, for mode PER_PROGRAM and a process that nobody has seen.
        """
        process = self._process(pid, program)
        if process is None:
            return self._in_target(address, program) or Frame(address)
        found = self._known(process, address)
        if found is None and process.pid == pid:  # not a borrowed one
            now = self._changed(process)
            found = self._known(now, address) if now is not None else None
        return found or Frame(address)

    def _known(self, process: Process | None, address: int) -> Frame | None:
        """Return the Frame of an address in what a process has been up to now."""
        while process is not None:
            found = process.frames.get(address) or self._look_up(process, address)
            if found is not None:
                return found
            process = process.older
        return None

    def _look_up(self, process: Process, address: int) -> Frame | None:
        mapping = process.space.find(address)
        if mapping is None:
            return None
        if not mapping.is_file and mapping.path != "[vdso]":
            return self._compiled(process, address)
        module = self._module_of(process, mapping)
        found = module.resolve(address - mapping.start + mapping.offset) if module is not None else None
        name, offset = found or ("", 0)
        frame = Frame(address, demangle(name) if self.demangles else name, offset, mapping.path)
        if len(process.frames) >= _MOST_FRAMES:
            process.frames.clear()
        process.frames[address] = frame
        return frame

    def _in_target(self, address: int, program: str) -> Frame | None:
        """Return the Frame of an address of a process that nobody has seen, if one program alone can have code there."""
        modules = [self._targets.get(program)] if program else self._targets.values()
        found = []
        for module in modules:
            base = _fixed_base(module.file, moving=self.cache == PER_PROGRAM) if module is not None else None
            symbol = module.symbol_at(address - base) if module is not None and base is not None and address >= base else None
            if module is not None and base is not None and symbol is not None:
                name = demangle(symbol.name) if self.demangles else symbol.name
                found.append(Frame(address, name, address - base - symbol.address, module.path))
        return found[0] if len(found) == 1 else None

    def _compiled(self, process: Process, address: int) -> Frame | None:
        """Return the Frame of code made at run time; it is never kept, since the address may be used again."""
        found = process.perf_map.find(address)
        return Frame(address, *found, process.perf_map.path) if found is not None else None

    def place(self, pid: int, address: int) -> tuple[str, int] | None:
        """Return (build id in hexadecimal, offset in the file) of an address; None when no file with a build id is there."""
        process = self._process(pid)
        mapping = process.space.find(address) if process is not None else None
        if process is None or mapping is None:
            return None
        module = self._module_of(process, mapping)
        if module is None or not module.file.build_id:
            return None
        return module.file.build_id, address - mapping.start + mapping.offset

    def source(self, pid: int, address: int) -> list[SourceFrame]:
        """Return the functions at an address with their lines, innermost first; [] where there is no debug information.

        ProbeeError when the library that reads DWARF is not installed.
        """
        process = self._process(pid)
        mapping = process.space.find(address) if process is not None else None
        module = self._module_of(process, mapping) if process is not None and mapping is not None else None
        if module is None or mapping is None:
            return []
        place = module.file.address(address - mapping.start + mapping.offset)
        try:
            return module.debug_info().frames_at(place) if place is not None else []
        except FormatError:
            return []

    # -- files

    def _module_of(self, process: Process, mapping: Mapping) -> Module | None:
        if mapping.start not in process.modules:
            open_it = self._vdso_of if mapping.path == "[vdso]" else self._open
            process.modules[mapping.start] = open_it(process, mapping)
        return process.modules[mapping.start]

    def _open(self, process: Process, mapping: Mapping) -> Module | None:
        """Open the file of a mapping: by its path when that still is the file, else through /proc."""
        directory = f"{self.proc}/{process.pid}"
        link = f"{directory}/map_files/{mapping.start:x}-{mapping.end:x}"
        paths = [link] if mapping.deleted else [f"{process.prefix}{mapping.path}", link]
        if mapping.path == process.executable.removesuffix(" (deleted)"):
            paths.append(f"{directory}/exe")
        for path in paths:
            try:
                file, found = open_elf_identified(path, mapping.path)
            except (FormatError, OSError):
                continue
            device = (os.major(found.st_dev), os.minor(found.st_dev))
            if device == mapping.device and found.st_ino != mapping.inode:
                continue  # another file has taken its place
            return self._shared(file, found, mapping.path, process.prefix)
        return None

    def _shared(self, file: ElfFile, found: os.stat_result, path: str, prefix: str) -> Module | None:
        """Return the Module of a file, the same for all processes."""
        key = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        module = self._modules.get(key)
        if module is None:
            while len(self._modules) >= _MOST_MODULES:
                del self._modules[next(iter(self._modules))]
            module = self._modules[key] = Module(file, path, directories=self._directories, prefix=prefix)
        return module

    def _vdso_of(self, process: Process, mapping: Mapping) -> Module | None:
        """Return the code that the kernel lends to all programs; a program of another word size has another one."""
        size = mapping.end - mapping.start
        if self._vdso is None:
            self._vdso = _read_vdso("self", self.proc)
        if self._vdso is not None and len(self._vdso.file.data) == size:
            return self._vdso
        return _read_vdso(str(process.pid), self.proc)


def _fixed_base(file: ElfFile, *, moving: bool) -> int | None:
    """Return what is added to the addresses of a program; `moving` ones lie where they do without randomisation."""
    if file.type == EXECUTABLE:
        return 0
    return _PIE_BASES.get(file.machine) if moving and file.is_pie else None


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
