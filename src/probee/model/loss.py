"""Loss: what did not arrive, in three kinds that are never mixed.

missed    the kernel did not run a program (recursion, link misses); None where the kernel does not tell
dropped   a record had no room in the ring, or a program found no scratch slot
refused   a map update that failed: full, busy, no memory
"""

from __future__ import annotations

REASONS = ("ring_full", "no_scratch", "refused_update")  # the u64s of the "loss" map, in order


class Loss:
    """Totals since the session started.  produced = delivered + dropped."""

    __slots__ = ("missed", "no_scratch", "refused_update", "ring_full")

    def __init__(
        self, *, ring_full: int = 0, no_scratch: int = 0, refused_update: int = 0, missed: int | None = None
    ) -> None:
        self.ring_full = ring_full
        self.no_scratch = no_scratch
        self.refused_update = refused_update
        self.missed = missed

    @property
    def dropped(self) -> int:
        """How many records never reached user space."""
        return self.ring_full + self.no_scratch

    @property
    def refused(self) -> int:
        return self.refused_update

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Loss) and all(getattr(self, n) == getattr(other, n) for n in self.__slots__)

    __hash__ = None  # type: ignore[assignment]  # a running total

    def __repr__(self) -> str:
        return f"Loss(missed={self.missed}, dropped={self.dropped}, refused={self.refused})"
