"""Tables that programs send records through: PerfEventArray (perf_submit) and RingBuf (ringbuf_output, ringbuf_submit)."""

from __future__ import annotations

import ctypes as ct

from probee.bcc.array import ArrayBase
from probee.bcc.delivery import PerfDelivery, RingDelivery
from probee.bcc.error import BccError
from probee.bcc.mapping import TableBase
from probee.errors import ProbeeError
from probee.kernel.maps.event import PerfEventArrayMap
from probee.kernel.maps.ringbuf import RingMap
from probee.kernel.syscalls.cpu import online_cpus
from probee.kernel.syscalls.map import map_delete

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from probee.bcc.core import Core
    from probee.bcc.delivery import Delivery


def _event(table: PerfEventArray | RingBuf, data: int) -> Any:
    """What `event` does the first time, and for addresses of other memory: another object may have opened the buffer."""
    found = table.bpf.module_of().structures.find("event", table._name.decode())
    if found is None:
        raise BccError(f"nothing tells what is sent through {table._name.decode()}: define the data with ctypes")
    table._class = found.from_buffer_copy
    delivery = table._delivery = table.bpf.delivery_of(table.map_id)
    if delivery is None:
        return ct.cast(data, ct.POINTER(found)).contents
    return delivery.event(data, found)


class PerfEventArray(ArrayBase):
    """PERF_EVENT_ARRAY: a buffer for each CPU, or a counter for each that programs read."""

    def __init__(self, bpf: Core, map_id: int, map_fd: int, keytype: Any, leaftype: Any, name: bytes | None = None) -> None:
        super().__init__(bpf, map_id, map_fd, keytype, leaftype, name)
        self._delivery: Delivery | None = None  # what hands out the records
        self._class: Any = None

    def event(self, data: Any) -> Any:
        """Return the record that a callback was given the address of, as the struct that the program sent."""
        delivery = self._delivery
        try:
            return self._class(delivery.data, data - delivery.base)  # type: ignore[union-attr]  # see below
        except (TypeError, AttributeError, ValueError):
            return _event(self, data)

    def open_perf_buffer(
        self, callback: Callable[[int, int, int], Any], page_cnt: int = 8, lost_cb: Callable[[int], Any] | None = None,
        wakeup_events: int = 1,
    ) -> None:  # fmt: skip
        """Have `callback(cpu, data, size)` called for each record, by perf_buffer_poll.

        `page_cnt` pages for each CPU, a power of two; `lost_cb(count)` is told of records that had no room;
        `wakeup_events` records wake a poll.
        """
        from probee.runtime.perfring import PerfBuffer

        if page_cnt < 1 or page_cnt & (page_cnt - 1):
            raise BccError("Perf buffer page_cnt must be a power of two")
        assert isinstance(self._live, PerfEventArrayMap)
        try:
            buffer = PerfBuffer(self._live, page_cnt, wakeup_events=wakeup_events)
        except ProbeeError as error:
            raise BccError(f"Could not open perf buffer: {error}") from None
        delivery = self._delivery = PerfDelivery(buffer, callback, lost_cb)
        self.bpf.add_perf_buffer(self.map_id, delivery)

    def open_perf_event(self, typ: int, config: int, pid: int = -1) -> None:
        """Open a counter on each CPU, which programs read by perf_read(CUR_CPU_IDENTIFIER)."""
        assert isinstance(self._live, PerfEventArrayMap)
        try:
            self._live.open(typ, config, online_cpus(), pid=pid)
        except ProbeeError as error:
            raise BccError(f"bpf_open_perf_event failed: {error}") from None

    def __delitem__(self, key: Any) -> None:
        """Empty a CPU's place; what is open for it stays until the table goes."""
        map_delete(self.map_fd, bytes(key if not isinstance(key, int) else self.Key(key)))

    def items(self) -> Any:
        return []


class RingBuf(TableBase):
    """RINGBUF: one buffer for all CPUs."""

    def __init__(self, bpf: Core, map_id: int, map_fd: int, keytype: Any, leaftype: Any, name: bytes | None = None) -> None:
        super().__init__(bpf, map_id, map_fd, keytype, leaftype, name)
        self._delivery: Delivery | None = None  # what hands out the records
        self._class: Any = None

    def __len__(self) -> int:
        return 0

    def event(self, data: Any) -> Any:
        """Return the record that a callback was given the address of, as the struct that the program sent."""
        delivery = self._delivery
        try:
            return self._class(delivery.data, data - delivery.base)  # type: ignore[union-attr]  # see below
        except (TypeError, AttributeError, ValueError):
            return _event(self, data)

    def open_ring_buffer(self, callback: Callable[[Any, int, int], Any], ctx: Any = None) -> None:
        """Have `callback(ctx, data, size)` called for each record, by ring_buffer_poll and ring_buffer_consume."""
        assert isinstance(self._live, RingMap)
        try:
            memory = self._live.open()
        except ProbeeError as error:
            raise BccError(f"Could not open ring buffer: {error}") from None
        self._delivery = RingDelivery(memory, callback, ctx)
        self.bpf.add_ring_buffer(self.map_id, self._delivery)
