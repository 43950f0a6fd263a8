"""From buffers to callbacks: what perf_buffer_poll and ring_buffer_poll call back with, one record at a time.

Records are copied out of a buffer many at a time, and a callback gets the address of one in the copy.  What a callback raises
is shown and the next record is handed out, as with bcc, whose callbacks are called from C; KeyboardInterrupt and SystemExit
go through, and what was not handed out by then is handed out by the next poll.
"""

from __future__ import annotations

import ctypes as ct
import os
import sys
from collections import deque

from probee.bcc.error import BccError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from probee.kernel.syscalls.ring import RingMemory
    from probee.runtime.perfring import PerfBuffer

EPIPE = 32


class Waiting:
    """Records that were read and not handed out yet: their addresses, their size, and the bytes they lie in."""

    __slots__ = ("addresses", "base", "data", "first", "size")

    def __init__(self, first: Any, data: bytes, base: int, run: tuple[int, int, int, int]) -> None:
        offset, self.size, count, stride = run
        self.first = first  # the callback's first argument
        self.data = data
        self.base = base
        self.addresses: Iterator[int] = iter(range(base + offset, base + offset + count * stride, stride))


class Delivery:
    """Hands out the records of one table; a subclass says how they are read."""

    def __init__(self, callback: Callable[..., Any], room: int = 0) -> None:
        """`room` is the buffer's size in bytes."""
        self.callback = callback
        self.closed = False  # perhaps by a callback, or another thread
        self._room = room
        self._kept: deque[bytes] = deque()
        self._kept_size = 0
        self.waiting: list[Waiting] = []  # the next one last
        self.data = b""  # what is being handed out
        self.base = 0

    def put(self, first: Any, data: bytes, runs: Iterable[tuple[int, int, int, int]]) -> None:
        """Add the runs of a batch, in their order, behind what waits."""
        base = address_of_bytes(data)
        self._keep(data)
        self.waiting[:0] = [Waiting(first, data, base, run) for run in runs][::-1]

    def _keep(self, data: bytes) -> None:
        """Keep what programs may still look at through pointers of their own: as much as the buffer itself would."""
        self._kept.append(data)
        self._kept_size += len(data)
        while self._kept_size - len(self._kept[0]) > self._room:
            self._kept_size -= len(self._kept.popleft())

    def event(self, address: int, kind: Any) -> Any:
        """Return a copy of a record as an object of a class; it stays what it is."""
        at = address - self.base
        if 0 <= at < len(self.data):
            if at + ct.sizeof(kind) > len(self.data):
                return kind.from_buffer_copy(self.data[at:].ljust(ct.sizeof(kind), b"\0"))
            return kind.from_buffer_copy(self.data, at)
        return ct.cast(address, ct.POINTER(kind)).contents

    def deliver(self) -> None:
        """Read what is there now and hand it out."""
        raise NotImplementedError

    def close(self) -> None:
        """Give the buffer's memory back; what was read of it stays."""
        self.closed = True

    def hand_out(self) -> None:
        """Call back for every record that waits."""
        waiting, callback = self.waiting, self.callback
        while waiting:
            run = waiting[-1]
            self.data, self.base = run.data, run.base
            first, size = run.first, run.size
            try:
                for address in run.addresses:
                    callback(first, address, size)
            except Exception as error:
                failed(error, callback)
                continue  # behind the record that it failed on
            self._done(run)

    def _done(self, run: Waiting) -> None:
        """Take a run away, unless a callback has polled itself and so has seen to that."""
        if self.waiting and self.waiting[-1] is run:
            self.waiting.pop()


class PerfDelivery(Delivery):
    """Of a perf buffer: the callback's first argument is the CPU."""

    def __init__(self, buffer: PerfBuffer, callback: Callable[..., Any], lost: Callable[[int], Any] | None) -> None:
        super().__init__(callback, buffer.size)
        self.buffer = buffer
        self._process = os.getpid()
        self._lost = lost
        self._untold: list[int] = []

    def deliver(self) -> None:
        if os.getpid() != self._process:  # the kernel gives no such memory to children (VM_DONTCOPY): to look would be fatal
            raise BccError("a perf buffer is read by the process that opened it: call open_perf_buffer() after fork()")
        self.hand_out()
        for batch in self.buffer.read(max_bytes=1 << 30):  # all of them wait before the first callback, which may end it
            self.put(batch.cpu, batch.data, batch.runs)
            if batch.lost:
                self._untold.append(batch.lost)
        self.hand_out()
        while self._untold:
            self._tell(self._untold.pop(0))

    def _tell(self, count: int) -> None:
        if self._lost is None:
            sys.stderr.write(f"Possibly lost {count} samples\n")
            return
        try:
            self._lost(count)
        except Exception as error:
            failed(error, self._lost)

    def close(self) -> None:
        super().close()
        if os.getpid() == self._process:
            self.buffer.close()


class RingDelivery(Delivery):
    """Of a ring buffer: the callback's first argument is what the program gave for it; a negative result ends the poll."""

    def __init__(self, memory: RingMemory, callback: Callable[..., Any], context: Any) -> None:
        from probee.runtime.rawring import RawRingReader

        super().__init__(callback, memory.size)
        self._memory = memory
        self._reader = RawRingReader(memory)
        self._context = context

    def deliver(self) -> None:
        stop = self._memory.producer_position
        self.hand_out()
        while not self.waiting and not self.closed:
            data, runs = self._reader.read()
            if not runs:
                if not data:
                    return
                continue  # all of them were discarded
            self.put(self._context, data, runs)
            self.hand_out()
            if self.closed or self._memory.consumer_position >= stop:
                return

    def hand_out(self) -> None:
        waiting, callback = self.waiting, self.callback
        while waiting:
            run = waiting[-1]
            self.data, self.base = run.data, run.base
            first, size = run.first, run.size
            try:
                for address in run.addresses:
                    result = callback(first, address, size)
                    if result is not None and _stops(result):
                        return
            except Exception as error:
                failed(error, callback)
                continue
            self._done(run)

    def close(self) -> None:
        super().close()
        self._reader.close()
        self._memory.close()


def _stops(result: Any) -> bool:
    try:
        return int(result) < 0
    except (TypeError, ValueError):
        return False


def address_of_bytes(data: bytes) -> int:
    """Return where in memory the contents of a bytes object are."""
    return ct.cast(ct.c_char_p(data), ct.c_void_p).value or 0


def failed(error: Exception, callback: Any) -> None:
    """Show what a callback raised; when nobody reads our output any more, end."""
    if isinstance(error, OSError) and error.errno == EPIPE:
        raise SystemExit(0) from None
    from traceback import format_exception

    trace = error.__traceback__
    trace = trace.tb_next if trace is not None else None  # from the callback on
    sys.stderr.write(f"Exception ignored on calling ctypes callback function: {callback!r}\n")
    sys.stderr.write("".join(format_exception(type(error), error, trace)))
