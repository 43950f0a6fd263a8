"""PERF_EVENT_ARRAY: perf events by CPU, which programs read (bpf_perf_event_read_value) or write to
(bpf_perf_event_output).  kernel/bpf/arraymap.c.

New programs send records through a ring buffer; this is for counters, and for programs that were written for it.
"""

from __future__ import annotations

from struct import pack

from probee.kernel.maps.map import Map
from probee.kernel.syscalls.bpf import failure
from probee.kernel.syscalls.fd import Descriptor
from probee.kernel.syscalls.map import map_update
from probee.kernel.syscalls.perf import perf_event_open


class PerfEventArrayMap(Map):
    """Owns the events that `open` makes; they close with the map."""

    _events: tuple[Descriptor, ...] = ()

    def open(self, type: int, config: int, cpus: list[int]) -> None:
        """Open a counting event on each CPU and put it in the CPU's slot."""
        for cpu in cpus:
            result = perf_event_open(type, config, cpu=cpu)
            if result < 0:
                raise failure(-result, f"open a perf event for map {self.name}")
            event = Descriptor(result, f"perf event of map {self.name}")
            self._events += (event,)
            result = map_update(self.fd, pack("=I", cpu), pack("=I", event.fd))
            if result < 0:
                raise failure(-result, f"put a perf event into map {self.name}")

    def close(self) -> None:
        events, self._events = self._events, ()
        for event in events:
            event.close()
        super().close()
