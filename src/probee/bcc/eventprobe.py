"""Attaching to perf events: sampling by the CPU's clock, software and hardware counters, on one CPU or all."""

from __future__ import annotations

from probee.bcc.constant import BPFProgType
from probee.bcc.core import Core
from probee.bcc.error import BccError, because
from probee.bcc.utils import as_bytes, as_text
from probee.errors import ProbeeError
from probee.model.spec import LinkSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class EventProbes(Core):
    """The part of BPF that attaches to perf events."""

    def attach_perf_event(
        self, ev_type: int = -1, ev_config: int = -1, fn_name: bytes | str = b"", sample_period: int = 0, sample_freq: int = 0,
        pid: int = -1, cpu: int = -1, group_fd: int = -1,
    ) -> None:  # fmt: skip
        """Run a function after every `sample_period` occurrences of an event, or `sample_freq` times a second."""
        parameters = {"type": ev_type, "config": ev_config, "period": sample_period, "pid": pid, "cpu": cpu}
        if sample_freq:
            parameters["frequency_hz"] = sample_freq
        self._attach_event(as_bytes(fn_name), (ev_type, ev_config), parameters, b"", group_fd)

    def attach_perf_event_raw(
        self, attr: Any = None, fn_name: bytes | str = b"", pid: int = -1, cpu: int = -1, group_fd: int = -1
    ) -> None:
        """Run a function at an event that a Perf.perf_event_attr describes."""
        self._attach_event(as_bytes(fn_name), (attr.type, attr.config), {"pid": pid, "cpu": cpu}, bytes(attr), group_fd)

    def _attach_event(
        self, name: bytes, event: tuple[int, int], parameters: dict[str, int], attribute: bytes, group_fd: int
    ) -> None:
        from probee.kernel.links.counter import attach_perf_event

        function = self.load_func(name, BPFProgType.PERF_EVENT)
        spec = LinkSpec("perf_event", as_text(name), f"perf event {event[0]}:{event[1]}", parameters)
        try:
            link = attach_perf_event(spec, self.program_of(function), attribute=attribute, group_fd=group_fd)
        except ProbeeError as error:
            raise because(f"Failed to attach BPF to perf {'raw ' if attribute else ''}event", error) from None
        self.keep(link, "perf_event", event, name)
        opened = [descriptor.fd for descriptor in link.descriptors if descriptor not in link.bpf_links]
        first = parameters["cpu"] if parameters["cpu"] >= 0 else 0
        self.open_perf_events[event] = dict(enumerate(opened, first))

    def detach_perf_event(self, ev_type: int = -1, ev_config: int = -1) -> None:
        """Detach from an event on all CPUs."""
        if (ev_type, ev_config) not in self.open_perf_events:
            raise BccError(f"Perf event type {ev_type} config {ev_config} not attached")
        del self.open_perf_events[ev_type, ev_config]
        self.drop("perf_event", (ev_type, ev_config))
