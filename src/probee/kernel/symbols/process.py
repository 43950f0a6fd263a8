"""What is known of one process, and for as long as it is one program: what it has mapped, and the map of its compiler.

A process that runs is read from /proc while that can be done; one that only the kernel told of (history.py) has fewer
properties.  Which symbol an address has is user.py's business.
"""

from __future__ import annotations

import os
from time import monotonic

from probee.kernel.symbols import maps
from probee.kernel.symbols.maps import AddressSpace, Mapping
from probee.kernel.symbols.perfmap import PerfMap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from probee.kernel.symbols.module import Module
    from probee.model.value import Frame


class Process:
    """`older` is what it was before exec or fork; `start_time` and `executable` say which one it is, where that is known."""

    __slots__ = (
        "checked_s", "ended", "executable", "frames", "modules", "older", "owner", "perf_map", "pid", "prefix", "read_s",
        "refresh_s", "space", "start_time",
    )  # fmt: skip

    def __init__(self, pid: int, *, start_time: int = 0, executable: str = "", mappings: Iterable[Mapping] = ()) -> None:
        self.pid = pid
        self.start_time = start_time
        self.executable = executable
        self.owner = -1
        self.prefix = ""  # before the paths of its mappings
        self.space = AddressSpace(mappings)
        self.frames: dict[int, Frame] = {}
        self.modules: dict[int, Module | None] = {}  # by the start of the mapping
        self.older: Process | None = None
        self.perf_map = PerfMap(f"/tmp/perf-{pid}.map", (0, os.geteuid()))
        self.ended = False
        self.checked_s = self.read_s = monotonic()
        self.refresh_s = 0.0  # when its maps may be read again

    def look(self, proc: str) -> Process:
        """Note what /proc says of it beside its mappings; nothing is taken amiss if it has gone meanwhile."""
        self.owner = maps.owner(self.pid, proc)
        self.prefix = maps.mount_root(self.pid, proc)
        owners = (0, os.geteuid(), self.owner)
        self.perf_map.owners = owners
        root = maps.root(self.pid, proc)
        if root:
            inside = PerfMap(f"{root}/tmp/perf-{maps.pid_inside(self.pid, proc)}.map", owners)
            if inside.refresh():  # it is out of reach once the process has gone
                self.perf_map = inside
        return self

    def remap(self, mappings: Iterable[Mapping]) -> None:
        """Replace what it has mapped."""
        self.space = AddressSpace(mappings)
        self.modules.clear()
        self.frames.clear()

    def map(self, mapping: Mapping) -> None:
        """Add a mapping, which takes the place of what was there."""
        self.space.add(mapping)
        self.modules.pop(mapping.start, None)
        self.frames.clear()
