"""PERF_EVENT_ARRAY: perf events by CPU, which programs read (bpf_perf_event_read_value) or write to
(bpf_perf_event_output).  kernel/bpf/arraymap.c.

New programs send records through a ring buffer; this is for counters, for packets (bpf_skb_output knows nothing else), and
for programs that were written for it.
"""

from __future__ import annotations

from struct import pack

from probee.kernel.maps.map import Map
from probee.kernel.syscalls.bpf import failure
from probee.kernel.syscalls.cpu import online_cpus, possible_cpus
from probee.kernel.syscalls.fd import Descriptor
from probee.kernel.syscalls.map import map_create, map_update
from probee.kernel.syscalls.perf import output_open, perf_event_open
from probee.model.spec import MapSpec

ENODEV = 19


class PerfEventArrayMap(Map):
    """Owns the events that are opened for it; they close with the map.  `max_entries` 0 means one for each CPU."""

    _events: tuple[Descriptor, ...] = ()

    def __init__(self, spec: MapSpec, descriptor: Descriptor) -> None:
        super().__init__(spec, descriptor)
        self.max_entries = spec.max_entries or _slots()

    @classmethod
    def _create(cls, spec: MapSpec) -> int:
        return map_create(spec.type, 4, 4, spec.max_entries or _slots(), flags=spec.flags, name=spec.name)

    def open(self, type: int, config: int, cpus: list[int], *, pid: int = -1) -> None:
        """Open a counting event on each CPU, of one process or of all (-1), and put it in the CPU's slot."""
        for cpu in cpus:
            self._own(perf_event_open(type, config, cpu=cpu, pid=pid), cpu)

    def open_output(self, *, wakeup_events: int = 1, wakeup_watermark: int = 0) -> dict[int, Descriptor]:
        """Open an event for records on each CPU that is online; return them by CPU, to be mapped and polled.

        See syscalls.perf.output_open.  What programs write on other CPUs is refused (-ENOENT, their helper's result).
        """
        found = {}
        for cpu in online_cpus():
            result = output_open(cpu, wakeup_events=wakeup_events, wakeup_watermark=wakeup_watermark)
            if result != -ENODEV:  # it went offline meanwhile
                found[cpu] = self._own(result, cpu)
        return found

    def _own(self, result: int, cpu: int) -> Descriptor:
        """Take an event over, if it was opened, and put it in its slot."""
        if result < 0:
            raise failure(-result, f"open a perf event for map {self.name}")
        event = Descriptor(result, f"perf event of map {self.name}")
        self._events += (event,)
        result = map_update(self.fd, pack("=I", cpu), pack("=I", event.fd))
        if result < 0:
            raise failure(-result, f"put a perf event into map {self.name}")
        return event

    def close(self) -> None:
        events, self._events = self._events, ()
        for event in events:
            event.close()
        super().close()


def _slots() -> int:
    """Return how many slots there must be for each CPU to have its own."""
    return max(possible_cpus(), *[cpu + 1 for cpu in online_cpus()])
