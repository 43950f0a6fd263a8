"""Names for addresses of user programs: (pid, address) → Frame.

What a process has mapped is remembered at first sight (`remember`), since it may have exited when its stack is printed; files
that will be out of reach then (deleted ones, other mount namespaces) are opened at once.  A process is known by pid and start
time.  An address becomes a place in a file, that one a linker's address, that one a symbol: no load bias is ever guessed.

Modes are bpftrace's cache_user_symbols: PER_PID remembers each process; PER_PROGRAM lets a process that was seen too late
borrow what another one of its program had mapped (right when addresses are not randomised); NONE remembers nothing.
"""

from __future__ import annotations

from time import monotonic

from probee.errors import FormatError, ProbeeError
from probee.formats.elf.read import AARCH64, EXECUTABLE, X86_64, ElfFile
from probee.kernel.symbols import maps
from probee.kernel.symbols.debugfile import DEBUG_DIRECTORIES
from probee.kernel.symbols.demangle import demangle
from probee.kernel.symbols.history import History
from probee.kernel.symbols.modulecache import ModuleCache
from probee.kernel.symbols.process import Process
from probee.kernel.symbols.sourceframe import PlacedFrame, with_source
from probee.model.value import Frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from probee.kernel.symbols.debuginfo import SourceFrame
    from probee.kernel.symbols.module import Module
    from probee.kernel.symbols.sideband import Sideband

PER_PID, PER_PROGRAM, NONE = "PER_PID", "PER_PROGRAM", "NONE"

_MOST_PROCESSES = 4096
_MOST_FRAMES = 1 << 14  # of one process
_PIE_BASES = {X86_64: 0x5555_5555_4000, AARCH64: 0xAAAA_AAAA_A000}  # two thirds of the address space (ELF_ET_DYN_BASE)
_HEARD_S = 0.001  # how long nothing new is asked of the kernel
_TRUST_S = 0.02  # how long a process is taken for the one it was
_SHARE = 5  # reading maps again for addresses that nobody knows may take a fifth of the time


class UserResolver:
    """One for each session; `close` lets go of all files."""

    __slots__ = (
        "_heard_s", "_history", "_modules", "_most_debug_bytes", "_processes", "_programs", "_sideband", "_targets", "cache",
        "demangles", "proc",
    )  # fmt: skip

    def __init__(
        self,
        cache: str = PER_PID,
        *,
        demangles: bool = True,
        debug_directories: Sequence[str] = DEBUG_DIRECTORIES,
        most_debug_bytes: int = 0,
        proc: str = maps.PROC,
    ) -> None:
        self.cache = cache
        self.demangles = demangles
        self.proc = proc
        self._most_debug_bytes = most_debug_bytes  # 0: any amount
        self._modules = ModuleCache(debug_directories, proc)
        self._history = History(self._modules, proc)
        self._sideband: Sideband | None = None
        self._heard_s = 0.0
        self._processes: dict[int, Process] = {}
        self._programs: dict[str, Process] = {}
        self._targets: dict[str, Module] = {}

    def close(self) -> None:
        if self._sideband is not None:
            self._sideband.close()
            self._sideband = None
        self._processes.clear()
        self._programs.clear()
        self._targets.clear()
        self._modules.close()

    # -- processes

    def listen(self, threads: Sequence[int] = ()) -> list[int]:
        """Have the kernel tell what some threads and what they start, or all processes, map, so that none can be missed.

        Returns the descriptors to wait for, after which `hear` is called; [] where the kernel does not do that for us.
        """
        from probee.kernel.symbols.sideband import Sideband

        if self.cache == NONE:
            return []
        try:
            self._sideband = Sideband(threads)
        except (OSError, ProbeeError):  # as without it, there is what /proc says
            return []
        return self._sideband.filenos()

    def hear(self) -> None:
        """Take in what the kernel told since the last time."""
        if self._sideband is None:
            return
        self._heard_s = monotonic()
        for pid, time_ns in self._history.add(self._sideband.read()).items():
            known = self._processes.get(pid)
            if known is not None and known.read_s * 1e9 < time_ns:
                del self._processes[pid]
                now = self._history.get(pid)
                before = now.older if now is not None else None
                if before is not None and before.pid == pid and before.older is None:
                    before.older = known  # what it was before it became this program

    @property
    def unheard(self) -> int:
        """How many of the kernel's reports had no room and are lost."""
        return self._sideband.lost if self._sideband is not None else 0

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
        found = self._modules.program(path)
        if found is None:
            return 0
        self._targets[path], identity = found
        return sum(self.remember(pid) for pid in maps.processes_of(identity, self.proc))

    def forget(self, pid: int) -> None:
        self._processes.pop(pid, None)

    def _process(self, pid: int, *, trusting: bool = True) -> Process | None:
        known = self._processes.get(pid)
        if trusting and known is not None and monotonic() - known.checked_s < _TRUST_S:
            return known
        started = maps.start_time(pid, self.proc)
        if not started:
            return known
        executable = maps.executable(pid, self.proc)
        if known is not None and (known.start_time, known.executable) == (started, executable):
            known.checked_s = monotonic()
            return known
        return self._meet(pid, started, executable, known)

    def _borrowed(self, program: str) -> Process | None:
        return self._programs.get(program) if self.cache == PER_PROGRAM else None

    def _meet(self, pid: int, started: int, executable: str, older: Process | None) -> Process | None:
        mappings = maps.read_maps(pid, executable_only=True, proc=self.proc)
        if not mappings:  # a zombie, a kernel thread, or not ours to look at
            if older is not None:
                older.checked_s = monotonic()
            return older
        process = Process(pid, start_time=started, executable=executable, mappings=mappings).look(self.proc)
        if older is not None and older.start_time == started:
            older.older = None
            process.older = older
        for mapping in process.space.mappings:
            if mapping.is_file and (mapping.deleted or process.prefix):
                self._modules.of(process, mapping)
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
                process.remap(mappings)
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
        if self._sideband is not None and monotonic() - self._heard_s > _HEARD_S:
            self.hear()
        process = self._process(pid)
        found = self._known(process, address)
        if found is None and process is not None:
            found = self._known(self._changed(process), address)
        if found is None:
            found = self._told(pid, address)
        if found is None and process is None:
            found = self._known(self._borrowed(program), address) or self._in_target(address, program)
        return found or Frame(address)

    def _told(self, pid: int, address: int) -> Frame | None:
        """Return the Frame of an address in what the kernel said that a process, and its parents before it, have mapped."""
        process = self._history.get(pid)
        while process is not None:
            found = self._look_up(process, address)
            if found is not None:
                return found
            if process.older is None and process.pid != pid:  # its parent was there before we listened
                return self._known(self._process(process.pid), address)
            process = process.older
        return None

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
        module = self._modules.of(process, mapping)
        if module is None and (compiled := self._compiled(process, address)) is not None:
            return compiled  # in memory that has a file's name
        at = address - mapping.start + mapping.offset
        name, offset = (module.resolve(at) if module is not None else None) or ("", 0)
        place = module.file.address(at) if module is not None else None
        frame = PlacedFrame(address, demangle(name) if self.demangles else name, offset, mapping.path, module, place)
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
                place = address - base
                found.append(PlacedFrame(address, name, place - symbol.address, module.path, module, place))
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
        module = self._modules.of(process, mapping)
        if module is None or not module.file.build_id:
            return None
        return module.file.build_id, address - mapping.start + mapping.offset

    def source_frames(self, pid: int, addresses: Iterable[int], *, program: str = "") -> tuple[Frame, ...]:
        """Return the Frames of a stack with their lines, and before each what is inlined there."""
        found: list[Frame] = []
        for number, frame in enumerate(self.frames(pid, addresses, program=program)):
            found += with_source(frame, is_call=number > 0, most_bytes=self._most_debug_bytes)
        return tuple(found)

    def source(self, pid: int, address: int) -> list[SourceFrame]:
        """Return the functions at an address with their lines, innermost first; [] where there is no debug information.

        ProbeeError when the library that reads DWARF is not installed.
        """
        process = self._process(pid)
        mapping = process.space.find(address) if process is not None else None
        module = self._modules.of(process, mapping) if process is not None and mapping is not None else None
        if module is None or mapping is None:
            return []
        place = module.file.address(address - mapping.start + mapping.offset)
        try:
            return module.debug_info().frames_at(place) if place is not None else []
        except FormatError:
            return []


def _fixed_base(file: ElfFile, *, moving: bool) -> int | None:
    """Return what is added to the addresses of a program; `moving` ones lie where they do without randomisation."""
    if file.type == EXECUTABLE:
        return 0
    return _PIE_BASES.get(file.machine) if moving and file.is_pie else None
