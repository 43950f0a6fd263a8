"""What a process has mapped where: /proc/PID/maps, and what else /proc says to know a process by.

A line is `START-END rwxp OFFSET MAJOR:MINOR INODE   PATH` (fs/proc/task_mmu.c, show_map_vma).  A pid alone says nothing: it is
used again; a process is its pid and its start time, and after exec it is another program.  `proc` is a parameter for tests.
"""

from __future__ import annotations

import os
from bisect import bisect_right

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

PROC = "/proc"
DELETED = " (deleted)"


class Mapping:
    """A range of addresses; `path` is a file's, or a name like [vdso], or "" for anonymous memory."""

    __slots__ = ("build_id", "deleted", "device", "end", "executable", "inode", "offset", "path", "start")

    def __init__(self, start: int, end: int, offset: int, path: str = "", *, executable: bool = True) -> None:
        self.start = start
        self.end = end
        self.offset = offset
        self.executable = executable
        self.device = (0, 0)
        self.inode = 0
        self.build_id = ""  # known instead of device and inode
        self.deleted = False
        self.path = path

    @property
    def is_file(self) -> bool:
        return bool(self.inode or self.build_id) and self.path.startswith("/")

    @property
    def identity(self) -> tuple[object, ...]:
        """What tells its file from others."""
        return (self.path, self.device, self.inode, self.build_id)

    def __repr__(self) -> str:
        return f"Mapping({self.start:#x}-{self.end:#x} {self.path or 'anonymous'}+{self.offset:#x})"


def parse_maps(text: bytes, *, executable_only: bool = False) -> list[Mapping]:
    """Return the mappings in the order of their addresses; lines that are cut off are left out."""
    found = []
    for line in text.split(b"\n"):
        if executable_only and b"xp " not in line and b"xs " not in line:
            continue
        mapping = _parse_line(line)
        if mapping is not None:
            found.append(mapping)
    return found


def _parse_line(line: bytes) -> Mapping | None:
    parts = line.split(None, 5)
    try:
        start, _, end = parts[0].partition(b"-")
        major, _, minor = parts[3].partition(b":")
        mapping = Mapping(int(start, 16), int(end, 16), int(parts[2], 16), executable=b"x" in parts[1])
        mapping.device = (int(major, 16), int(minor, 16))
        mapping.inode = int(parts[4])
    except (IndexError, ValueError):
        return None
    if len(parts) > 5:
        path = os.fsdecode(parts[5].replace(b"\\012", b"\n"))
        mapping.deleted = path.startswith("/") and path.endswith(DELETED)
        mapping.path = path[: -len(DELETED)] if mapping.deleted else path
    return mapping


class AddressSpace:
    """The mappings of a process, to be asked by address."""

    __slots__ = ("_starts", "mappings")

    def __init__(self, mappings: Iterable[Mapping]) -> None:
        self.mappings = sorted(mappings, key=lambda mapping: mapping.start)
        self._starts = [mapping.start for mapping in self.mappings]

    def add(self, mapping: Mapping) -> None:
        """Add a mapping, which takes the place of what it covers."""
        first = bisect_right(self._starts, mapping.start)
        if first and self.mappings[first - 1].end > mapping.start:
            first -= 1
        last, pieces = first, [mapping]
        while last < len(self.mappings) and self.mappings[last].start < mapping.end:
            pieces += _around(self.mappings[last], mapping)
            last += 1
        self.mappings[first:last] = sorted(pieces, key=lambda piece: piece.start)
        self._starts[first:last] = [piece.start for piece in self.mappings[first : first + len(pieces)]]

    def find(self, address: int) -> Mapping | None:
        at = bisect_right(self._starts, address) - 1
        return self.mappings[at] if at >= 0 and address < self.mappings[at].end else None


def _around(mapping: Mapping, other: Mapping) -> list[Mapping]:
    """Return the pieces of a mapping that lie before and behind another one."""
    pieces = []
    for start, end in ((mapping.start, other.start), (other.end, mapping.end)):
        if start < end:
            piece = Mapping(start, end, mapping.offset + start - mapping.start, mapping.path, executable=mapping.executable)
            piece.device, piece.inode, piece.build_id, piece.deleted = (
                mapping.device, mapping.inode, mapping.build_id, mapping.deleted,
            )  # fmt: skip
            pieces.append(piece)
    return pieces


def read_maps(pid: int, *, executable_only: bool = False, proc: str = PROC) -> list[Mapping] | None:
    """Return the mappings of a running process; None when there is none, or when it may not be looked at."""
    text = read_proc(f"{proc}/{pid}/maps")
    return parse_maps(text, executable_only=executable_only) if text is not None else None


def read_proc(path: str) -> bytes | None:
    try:
        with open(path, "rb", buffering=0) as file:
            pieces = []
            while piece := file.read(1 << 16):
                pieces.append(piece)
            return b"".join(pieces)
    except OSError:  # the process has gone, or is not ours to look at
        return None


def start_time(pid: int, proc: str = PROC) -> int:
    """Return when a process started, in clock ticks since boot; 0 when there is no such process."""
    text = read_proc(f"{proc}/{pid}/stat") or b""
    fields = text[text.rfind(b")") + 2 :].split()  # a command's name may hold blanks and brackets
    return int(fields[19]) if len(fields) > 19 else 0


def executable(pid: int, proc: str = PROC) -> str:
    """Return the path of the program that a process runs, as it calls it itself; "" when that cannot be known."""
    try:
        return os.readlink(f"{proc}/{pid}/exe")
    except OSError:
        return ""


def processes_of(program: os.stat_result, proc: str = PROC) -> list[int]:
    """Return the processes that run a program."""
    found = []
    for entry in os.listdir(proc):
        if entry.isdecimal():
            try:
                running = os.stat(f"{proc}/{entry}/exe")
            except OSError:
                continue  # it has gone, is a kernel thread, or is not ours to look at
            if (running.st_dev, running.st_ino) == (program.st_dev, program.st_ino):
                found.append(int(entry))
    return sorted(found)


def owner(pid: int, proc: str = PROC) -> int:
    """Return the effective user of a process, -1 when there is none."""
    try:
        return os.stat(f"{proc}/{pid}").st_uid
    except OSError:
        return -1


def pid_inside(pid: int, proc: str = PROC) -> int:
    """Return the pid that a process has for itself, in the innermost of its pid namespaces."""
    for line in (read_proc(f"{proc}/{pid}/status") or b"").splitlines():
        if line.startswith(b"NSpid:"):
            return int(line.split()[-1])
    return pid


def root(pid: int, proc: str = PROC) -> str:
    """Return what to put before the paths that a process uses: "" when it sees the same files, else its /proc/PID/root."""
    path = f"{proc}/{pid}/root"
    try:
        inside, here = os.stat(f"{path}/"), os.stat("/")
    except OSError:
        return ""
    same = (inside.st_dev, inside.st_ino) == (here.st_dev, here.st_ino)
    return path if not same or mount_root(pid, proc) else ""


def mount_root(pid: int, proc: str = PROC) -> str:
    """Return what to put before the paths in a process's maps: "" in this mount namespace, whatever its root directory is.

    The kernel writes paths as their reader sees them (d_path from the reader's root), or from the other namespace's root.
    """
    try:
        same = os.readlink(f"{proc}/{pid}/ns/mnt") == os.readlink(f"{proc}/self/ns/mnt")
    except OSError:
        return ""
    return "" if same else f"{proc}/{pid}/root"
