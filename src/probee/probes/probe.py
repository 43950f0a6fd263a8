"""A Probe: one attach point with typed fields, its canonical name, and what the LinkSpec needs of it.

The canonical name is stable text: it is what the `probe` builtin gives, what listings and messages show.  The same class
holds patterns (`kprobe:vfs_*`) and concrete probes; match.py makes the one from the other.
"""

from __future__ import annotations

from probee.probes.event import EVENTS
from probee.probes.provider import Provider

TYPE_CHECKING = False
if TYPE_CHECKING:
    from probee.model.target import Binary

_UNIT_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000}


def has_wildcard(text: str) -> bool:
    """True for `*`, and for `[…]`, which counts as a pattern though brackets only match themselves (as in bpftrace)."""
    return "*" in text or ("[" in text and "]" in text)


class Probe:
    """An attach point.  Fields that its provider does not use are empty or 0.

    kprobe kretprobe           module ("" any), function, offset, address (None unless by address)
    fentry fexit               module, function; program_id with module "bpf"
    iter                       function (the iterator's name), pin
    tracepoint, self           category, event
    rawtracepoint              module, event
    software hardware          event, count (0: the default)
    interval profile           unit ("hz", "s", "ms" or "us"), count
    uprobe uretprobe           path, file, language, function, offset, address, source_file, line, column
    usdt                       path, file, namespace, event
    watchpoint                 address, length, mode
    test bench                 event (the name)
    `path` is how a probe's name shows its program or library, `file` where that lies ("" until it was looked for), `binary`
    what it has.
    `label` is the name that the script gave the probe (`label=kprobe:f`).
    """

    __slots__ = (
        "address", "binary", "category", "column", "count", "event", "file", "function", "label", "language", "length", "line",
        "mode", "module", "namespace", "offset", "path", "pin", "program_id", "provider", "source_file", "unit",
    )  # fmt: skip

    def __init__(self, provider: Provider, *, label: str = "") -> None:
        self.provider = provider
        self.label = label
        self.module = ""
        self.function = ""
        self.offset = 0
        self.address: int | None = None
        self.program_id = 0
        self.category = ""
        self.event = ""
        self.unit = ""
        self.count = 0
        self.path = ""
        self.file = ""
        self.binary: Binary | None = None
        self.language = ""
        self.namespace = ""
        self.source_file = ""
        self.line = 0
        self.column = 0
        self.length = 0
        self.mode = ""
        self.pin = ""

    def replace(
        self, *, module: str | None = None, function: str = "", category: str = "", event: str = "", path: str = "",
        file: str = "", namespace: str = "",
    ) -> Probe:  # fmt: skip
        """Return a copy with other names; an empty one stays as it is."""
        copy = Probe(self.provider, label=self.label)
        for field in self.__slots__:
            setattr(copy, field, getattr(self, field))
        copy.module = self.module if module is None else module
        copy.function = function or self.function
        copy.category = category or self.category
        copy.event = event or self.event
        copy.path = path or self.path
        copy.file = file or self.file
        copy.namespace = namespace or self.namespace
        return copy

    def at(self, address: int) -> Probe:
        """Return a copy at one of the addresses that a line of source stands for."""
        copy = self.replace()
        copy.address = address
        return copy

    @property
    def name(self) -> str:
        """The canonical full name, or the label."""
        return self.label or ":".join([self.provider.name, *self._parts()])

    def _parts(self) -> list[str]:
        address = "" if self.address is None else str(self.address)
        number = str(self.count) if self.count else ""
        program = str(self.program_id) if self.program_id else ""
        function = f"{self.function}+{self.offset}" if self.offset else self.function
        place = f"{self.source_file}:{self.line}" if self.source_file and self.address is None else ""
        parts = (
            self.path, self.module, self.category, self.language, self.namespace, program, function, self.event,
            self.unit, address, number, str(self.length or ""), self.mode, place,
        )  # fmt: skip
        return [part for part in parts if part]

    @property
    def target_name(self) -> str:
        """What bpftrace's "No matches for TYPE …" names: the parts without counts."""
        parts = (self.path, self.module, self.category, self.namespace, self.function, self.event, self.unit)
        return ":".join(part for part in parts if part)

    @property
    def is_pattern(self) -> bool:
        """True when any name in it holds a wildcard."""
        names = (self.module, self.function, self.category, self.event, self.path, self.namespace)
        return any(has_wildcard(name) for name in names)

    @property
    def period_ns(self) -> int:
        """Nanoseconds between two firings of an interval or profile probe; 0 when it has a frequency."""
        return self.count * _UNIT_NS.get(self.unit, 0)

    @property
    def frequency_hz(self) -> int:
        """Firings per second of an interval or profile probe; 0 when it has a period."""
        return self.count if self.unit == "hz" else 0

    def link_parameters(self) -> dict[str, int | str | list[str]]:
        """Return LinkSpec.parameters for a concrete probe (see there for the keys by kind)."""
        kind = self.provider.name
        if kind in ("kprobe", "kretprobe"):
            place: dict[str, int | str | list[str]] = {"function": self.function, "module": self.module}
            place["offset"] = self.offset
            if self.address is not None:
                place["address"] = self.address
            return place
        if kind in ("uprobe", "uretprobe"):
            if self.source_file and self.binary is not None:
                return located_parameters([self])
            if self.address is not None:
                return {"path": self.file, "address": self.address}
            where: dict[str, int | str | list[str]] = {"path": self.file, "function": self.function, "offset": self.offset}
            return {**where, **debug_parameters(self)}
        if kind == "tracepoint":
            return {"category": self.category, "name": self.event}
        if kind == "rawtracepoint":
            return {"name": self.event}
        if kind == "watchpoint":
            return {"address": self.address or 0, "length": self.length, "mode": self.mode}
        if kind == "iter":
            return {"name": self.function, "pin": self.pin}
        if kind in ("interval", "profile"):
            return {"frequency_hz": self.count} if self.unit == "hz" else {"period_ns": self.period_ns}
        if kind in EVENTS:
            event = EVENTS[kind][self.event]
            return {"event": event.number, "period": self.count or event.period}
        return {}

    def __repr__(self) -> str:
        return f"<Probe {self.name}>"


def located_parameters(probes: list[Probe]) -> dict[str, int | str | list[str]]:
    """Return LinkSpec.parameters for places in the source of one file; they hold for this build of it only."""
    binary = probes[0].binary
    places = [str(probe.address) for probe in probes]
    return {"path": probes[0].file, "addresses": places, "build_id": binary.build_id if binary is not None else ""}


def debug_parameters(probe: Probe) -> dict[str, list[str]]:
    """Return where else symbols of a probe's file are looked for, when it is attached."""
    given = probe.binary.given_directories if probe.binary is not None else ()
    return {"debug_directories": list(given)} if given else {}
