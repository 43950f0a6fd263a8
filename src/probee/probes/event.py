"""Events of the software and hardware providers: names, numbers, default periods.

Numbers are enum perf_sw_ids and enum perf_hw_id of include/uapi/linux/perf_event.h; names and default periods are
bpftrace's.
"""

from __future__ import annotations


class Event:
    """A perf event: `number` is its config, `period` how many occurrences make one sample when the script gives none."""

    __slots__ = ("alias", "name", "number", "period")

    def __init__(self, name: str, number: int, period: int, alias: str = "") -> None:
        self.name = name
        self.number = number
        self.period = period
        self.alias = alias


_SOFTWARE = (
    Event("alignment-faults", 7, 1),
    Event("bpf-output", 10, 1),
    Event("context-switches", 3, 1000, "cs"),
    Event("cpu-clock", 0, 1_000_000, "cpu"),
    Event("cpu-migrations", 4, 1),
    Event("dummy", 9, 1),
    Event("emulation-faults", 8, 1),
    Event("major-faults", 6, 1),
    Event("minor-faults", 5, 100),
    Event("page-faults", 2, 100, "faults"),
    Event("task-clock", 1, 1),
)
_HARDWARE = (
    Event("backend-stalls", 8, 1_000_000),
    Event("branch-instructions", 4, 100_000, "branches"),
    Event("branch-misses", 5, 100_000),
    Event("bus-cycles", 6, 100_000),
    Event("cache-misses", 3, 1_000_000),
    Event("cache-references", 2, 1_000_000),
    Event("cpu-cycles", 0, 1_000_000, "cycles"),
    Event("frontend-stalls", 7, 1_000_000),
    Event("instructions", 1, 1_000_000),
    Event("ref-cycles", 9, 1_000_000),
)


def _by_name(events: tuple[Event, ...]) -> dict[str, Event]:
    return {name: event for event in events for name in (event.name, event.alias) if name}


SOFTWARE_EVENTS = _by_name(_SOFTWARE)
HARDWARE_EVENTS = _by_name(_HARDWARE)
EVENTS = {"software": SOFTWARE_EVENTS, "hardware": HARDWARE_EVENTS}
