"""What processes have mapped, as the Sideband's Reports tell it: also of processes that nobody could look at in /proc.

A process that becomes another program is a new Process, whose `older` is what it was; a forked one's is its parent.  Of
processes that were there before anyone listened only what they map since is known here; the rest is in /proc.
"""

from __future__ import annotations

from probee.kernel.symbols import maps
from probee.kernel.symbols.process import Process
from probee.kernel.symbols.sideband import COMM, EXIT, FORK, MMAP2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from probee.kernel.symbols.maps import Mapping
    from probee.kernel.symbols.modulecache import ModuleCache
    from probee.kernel.symbols.sideband import Report

_MOST_PROCESSES = 2048
_MOST_FILES = 1 << 14
_MOST_OLDER = 8  # what a process has been, and its parents have been, before


class History:
    """Processes by pid; files are opened when the first process maps them, since they may be out of reach later."""

    __slots__ = ("_modules", "_proc", "_processes", "_seen")

    def __init__(self, modules: ModuleCache, proc: str = maps.PROC) -> None:
        self._modules = modules
        self._proc = proc
        self._processes: dict[int, Process] = {}
        self._seen: set[tuple[object, ...]] = set()  # files

    def get(self, pid: int) -> Process | None:
        """Return the last process of that pid that was told of, whether it runs or not."""
        return self._processes.get(pid)

    def add(self, reports: Iterable[Report]) -> dict[int, int]:
        """Note what was told, in the order of time; return the pids that became other programs, and when (ns)."""
        changed = {}
        for report in reports:
            if report.kind == MMAP2:
                assert report.mapping is not None
                self._map(self._running(report.pid), report.mapping)
            elif report.kind == COMM:
                self._replace(report.pid, self._running(report.pid))
                changed[report.pid] = report.time_ns
            elif report.kind == FORK:
                self._replace(report.pid, self._running(report.parent))
                changed[report.pid] = report.time_ns
            elif report.kind == EXIT and report.pid in self._processes:
                self._processes[report.pid].ended = True
        return changed

    def _running(self, pid: int) -> Process:
        process = self._processes.get(pid)
        if process is None or process.ended:
            process = self._replace(pid, None)
        return process

    def _replace(self, pid: int, older: Process | None) -> Process:
        self._processes.pop(pid, None)
        while len(self._processes) >= _MOST_PROCESSES:
            del self._processes[next(iter(self._processes))]
        process = self._processes[pid] = Process(pid)
        process.older = older
        for _ in range(_MOST_OLDER):
            if older is None:
                return process
            older = older.older
        if older is not None:
            older.older = None
        return process

    def _map(self, process: Process, mapping: Mapping) -> None:
        process.map(mapping)
        if not mapping.is_file or mapping.identity in self._seen:
            return
        if len(self._seen) >= _MOST_FILES:
            self._seen.clear()
        self._seen.add(mapping.identity)
        process.prefix = maps.mount_root(process.pid, self._proc)
        self._modules.of(process, mapping)
