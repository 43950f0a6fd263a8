"""Contents: the script's maps as snapshots, one reader per map, made when it is first asked for."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from probee.model.snapshot import MapSnapshot
    from probee.runtime.installation import Installation
    from probee.runtime.resolve import Resolver
    from probee.runtime.snapshot import MapReader


class Contents:
    """What is in the live maps of an Installation, with the Resolver's names."""

    def __init__(self, installed: Installation, resolver: Resolver) -> None:
        self._installed = installed
        self._resolver = resolver
        self._readers: dict[str, MapReader] = {}

    def snapshot(self, name: str, *, top: int = 0, div: int = 1) -> MapSnapshot:
        """Return one of the maps as it is now; KeyError when there is none."""
        live = self._installed.maps[name]
        return self._reader(name).snapshot(live.read_all(), top=top, div=div)

    def printed(self, name: str, *, top: int = 0, div: int = 1) -> MapSnapshot:
        """Return what print() shows of a map: a scalar map that was never written shows its zero."""
        found = self.snapshot(name, top=top, div=div)
        if found.scalar and not found.rows and found.form in ("map", "stats"):
            found.rows = [(None, self._reader(name).unset())]
        return found

    def all(self) -> dict[str, MapSnapshot]:
        """Return the script's own maps, sorted by name."""
        names = sorted(live.name for live in self._installed.of_role("user"))
        return {name: self.snapshot(name) for name in names}

    def _reader(self, name: str) -> MapReader:
        reader = self._readers.get(name)
        if reader is None:
            from probee.kernel.syscalls.cpu import possible_cpus
            from probee.runtime.snapshot import MapReader

            reader = self._readers[name] = MapReader(self._installed.maps[name].spec, self._resolver, possible_cpus())
        return reader
