"""What the kernel tells of processes while a session runs: which start, become another program, map code, end.

Opens a TaskEvent for each CPU, reads their rings and puts the records of all CPUs in the order of time.  What is made of the
Reports is history.py's work.  Records that had no room are counted, never fatal: names may be missing then.
"""

from __future__ import annotations

import os
from struct import Struct
from sys import intern
from time import monotonic_ns

from probee.errors import ProbeeError
from probee.kernel.symbols.maps import DELETED, Mapping
from probee.kernel.syscalls.cpu import online_cpus
from probee.kernel.syscalls.fd import Descriptor
from probee.kernel.syscalls.perfring import PerfRingMemory
from probee.kernel.syscalls.taskevent import event_lost, task_event_open

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LOST, COMM, EXIT, FORK, MMAP2 = 2, 3, 4, 7, 10  # enum perf_event_type
_COMM_EXEC, _BUILD_ID = 1 << 13, 1 << 14  # of a header's misc
_PAGE = 4096
_LARGEST_RING, _ALL_RINGS = 256 << 10, 8 << 20
_PROT_EXEC = 4

_HEADER = Struct("=IHH")  # type, misc, size
_TASK = Struct("=IIII")  # pid, its parent's, thread, its parent's
_MAPPED = Struct("=IIQQQ")  # pid, thread, address, length, offset in the file
_INODE = Struct("=IIQQ")
_ID_AT, _PROT_AT, _PATH_AT = 8 + _MAPPED.size, 8 + _MAPPED.size + 24, 8 + _MAPPED.size + 32


class Report:
    """One thing that happened to a process: `kind` is FORK, COMM (exec), MMAP2 or EXIT."""

    __slots__ = ("kind", "mapping", "parent", "pid", "time_ns")

    def __init__(self, kind: int, time_ns: int, pid: int, *, parent: int = 0, mapping: Mapping | None = None) -> None:
        self.kind = kind
        self.time_ns = time_ns
        self.pid = pid
        self.parent = parent
        self.mapping = mapping


class Sideband:
    """Listens to some processes (threads, by their ids) and what they start, or to all.

    An OSError or ProbeeError says that it cannot be done here.
    """

    def __init__(self, threads: Sequence[int] = ()) -> None:
        self._events: list[tuple[Descriptor, PerfRingMemory, bool]] = []
        self._held: list[Report] = []
        self._told_lost = 0
        cpus = online_cpus()
        size = _ring_bytes(len(cpus) * max(len(threads), 1))
        try:
            for cpu in cpus:
                for thread in threads or (-1,):
                    self._listen(cpu, thread, size)
        except BaseException:
            self.close()
            raise

    def _listen(self, cpu: int, thread: int, size: int) -> None:
        result, counts = task_event_open(cpu, pid=thread, watermark=size // 2)
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        event = Descriptor(result, f"side band of CPU {cpu}")
        try:
            self._events.append((event, PerfRingMemory(event.fd, size // _PAGE), counts))
        except ProbeeError:
            event.close()
            raise

    def filenos(self) -> list[int]:
        """Return descriptors that poll readable when a ring is half full."""
        return [event.fd for event, _, _ in self._events]

    def read(self) -> list[Report]:
        """Return what happened up to now, in the order of time.

        CPUs are read one after the other: what comes from one while the others are read is kept for the next time.
        """
        now = monotonic_ns()
        if all(memory.head == memory.tail for _, memory, _ in self._events) and not self._held:
            return []
        found = self._held
        for _, memory, _ in self._events:
            data = _take(memory)
            if data:
                found.extend(self._parse(data))
        found.sort(key=lambda report: report.time_ns)
        self._held = [report for report in found if report.time_ns > now]
        return found[: len(found) - len(self._held)]

    def _parse(self, data: bytes) -> Iterator[Report]:
        at = 0
        while at + _HEADER.size <= len(data):
            kind, misc, size = _HEADER.unpack_from(data, at)
            if size < _HEADER.size or at + size > len(data):
                return
            if kind == LOST:
                self._told_lost += int.from_bytes(data[at + 16 : at + 24], "little")
            report = parse_record(kind, misc, data[at : at + size])
            if report is not None:
                yield report
            at += size

    @property
    def lost(self) -> int:
        """How many records had no room."""
        counted = [event_lost(event.fd) for event, _, counts in self._events if counts]
        return sum(counted) if counted else self._told_lost

    def close(self) -> None:
        for event, memory, _ in self._events:
            memory.close()
            event.close()
        self._events = []


def _take(memory: PerfRingMemory) -> bytes:
    """Copy out of a ring what is in it."""
    start, head = memory.tail, memory.head
    base, length = start & memory.mask, head - start
    copy = bytes(memory.data[base : base + length])
    if len(copy) < length:
        copy += bytes(memory.data[: length - len(copy)])
    memory.tail = head
    return copy


def parse_record(kind: int, misc: int, record: bytes) -> Report | None:
    """Return what a record reports; None for one that is of no interest here."""
    time_ns = int.from_bytes(record[-8:], "little")
    if kind == MMAP2 and len(record) > _PATH_AT:
        return _mapped(misc, record, time_ns)
    if kind == COMM and misc & _COMM_EXEC:
        return Report(COMM, time_ns, int.from_bytes(record[8:12], "little"))
    if kind in (FORK, EXIT):
        pid, parent, thread, _ = _TASK.unpack_from(record, 8)
        if kind == FORK and pid != parent:  # a process, not a thread
            return Report(FORK, time_ns, pid, parent=parent)
        if kind == EXIT and pid == thread:
            return Report(EXIT, time_ns, pid)
    return None


def _mapped(misc: int, record: bytes, time_ns: int) -> Report | None:
    pid, _, start, length, offset = _MAPPED.unpack_from(record, 8)
    path = record[_PATH_AT : record.find(b"\0", _PATH_AT)]
    if not record[_PROT_AT] & _PROT_EXEC:
        return None
    name = "" if path.startswith(b"//") else os.fsdecode(path)  # //anon: memory without a file
    mapping = Mapping(start, start + length, offset, intern(name.removesuffix(DELETED)))
    mapping.deleted = name.endswith(DELETED)
    if misc & _BUILD_ID:
        mapping.build_id = record[_ID_AT + 4 : _ID_AT + 4 + record[_ID_AT]].hex()
    else:
        major, minor, mapping.inode, _ = _INODE.unpack_from(record, _ID_AT)
        mapping.device = (major, minor)
    return Report(MMAP2, time_ns, pid, mapping=mapping)


def _ring_bytes(n_rings: int) -> int:
    """Return how large each of so many rings is: a power of two of pages."""
    size = _LARGEST_RING
    while size > 2 * _PAGE and size * n_rings > _ALL_RINGS:
        size //= 2
    return size
