"""Packets: what skboutput() sends through its perf buffer, written to the files that the script names.

A record is four u64, then the packet: the action's number, the boot clock, how many bytes were asked for and how many of them
to leave out at the start.  Whatever lies there at one time, from all CPUs, is written in the order in which it was seen.
"""

from __future__ import annotations

from itertools import accumulate
from struct import Struct

from probee.errors import CompileError
from probee.formats.pcap import file_header, packet
from probee.model.event import Problem
from probee.model.spec import PACKET_BYTES
from probee.runtime.clock import BOOT, offset_ns
from probee.runtime.perfring import PerfBuffer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import FileIO

    from probee.errors import Source
    from probee.kernel.maps.event import PerfEventArrayMap
    from probee.model.event import Event
    from probee.model.spec import Action
    from probee.runtime.perfring import PerfBatch

PAGES = 64  # of a CPU's ring: several packets of the largest size
_read_header = Struct("=QQQQ").unpack_from
_HEADER_BYTES = 32


class PacketWriter:
    """Owns the perf buffer and the files; `dropped` counts packets that could not be written."""

    def __init__(self, live: PerfEventArrayMap, actions: Sequence[Action], *, pages: int = 0) -> None:
        self._actions = actions
        self._buffer = PerfBuffer(live, _power_of_two(pages or PAGES))
        self._files: dict[str, FileIO] = {}
        self._broken: dict[str, str] = {}  # files that cannot be written to any more, and why
        self._offset_ns = 0
        self.dropped = 0

    def open(self, source: Source) -> None:
        """Create the files; CompileError where the script names one that cannot be."""
        self._offset_ns = offset_ns(BOOT)
        for action in self._actions:
            if action.kind != "skboutput" or action.text in self._files:
                continue
            try:
                file = self._files[action.text] = open(action.text, "wb", buffering=0)  # noqa: SIM115  # close() closes it
                file.write(file_header())
            except (OSError, ValueError) as error:  # ValueError: a NUL in the name
                why = error.strerror if isinstance(error, OSError) else "No such file or directory"
                message = f"cannot write the packets to '{action.text}': {why}"
                raise CompileError(message, action.span, source=source) from None

    @property
    def descriptors(self) -> list[int]:
        """What polls readable when there are packets."""
        return self._buffer.descriptors

    @property
    def pending(self) -> bool:
        """True while there is something that was not read."""
        return self._buffer.pending

    def drain(self) -> list[Event]:
        """Write what there is now; what comes meanwhile waits for the next time.  Returns what went wrong."""
        batches = self._buffer.read(max_bytes=1 << 30)
        if not batches:
            return []
        records = [record for batch in batches for record in _records(batch)]
        records.sort(key=lambda record: record[0])  # by time, and as they were where that is the same
        known = len(self._broken)
        packets: dict[str, list[bytes]] = {}
        for ns, number, data, length in records:
            packets.setdefault(self._actions[number].text, []).append(packet(ns + self._offset_ns, data, length))
        for path, some in packets.items():
            self._write(path, some)
        return [Problem(f"cannot write to '{path}': {why}") for path, why in list(self._broken.items())[known:]]

    def _write(self, path: str, packets: list[bytes]) -> None:
        """Write packets to a file, past no error: those that are not wholly in it are dropped."""
        data, written = memoryview(b"".join(packets)), 0
        try:
            while path not in self._broken and written < len(data):
                written += self._files[path].write(data[written:])
        except OSError as error:
            self._broken[path] = error.strerror or str(error)
        self.dropped += sum(end > written for end in accumulate(map(len, packets)))

    def finish(self) -> list[Event]:
        """Write what is left, when nobody sends any more, and close; returns what went wrong, all in all."""
        problems: list[Event] = []
        while self.pending:
            problems += self.drain()
        self.close()
        if self.dropped:
            problems.append(Problem(f"{self.dropped} packets were not written to their files", severity="warning"))
        return problems

    def close(self) -> None:
        """Close the files and give the ring back; closing twice is nothing."""
        self._buffer.close()
        files, self._files = self._files, {}
        for path, file in files.items():
            try:
                file.close()
            except OSError as error:
                self._broken.setdefault(path, error.strerror or str(error))


def _records(batch: PerfBatch) -> list[tuple[int, int, bytes, int]]:
    """Return (when, the action's number, the packet's bytes, how many there would have been) of each record."""
    data, found = batch.data, []
    for offset, _, count, stride in batch.runs:
        for at in range(offset, offset + count * stride, stride):
            number, ns, wanted, skipped = _read_header(data, at)
            start = at + _HEADER_BYTES
            bytes = data[start + min(skipped, wanted, PACKET_BYTES) : start + min(wanted, PACKET_BYTES)]
            found.append((ns, number, bytes, max(wanted - skipped, 0)))
    return found


def _power_of_two(pages: int) -> int:
    return 1 << (pages - 1).bit_length()
