"""Loss accounting: reads the "loss" map's per-CPU counters and the links' miss counters, and says what is new.

The map is a PERCPU_ARRAY: u64 counters named by model.loss.REASONS, in one value of 24 bytes or in as many entries of 8.
"""

from __future__ import annotations

from probee.model.event import Lost
from probee.model.loss import REASONS, Loss

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from probee.kernel.links.link import Link
    from probee.kernel.maps.map import Map


class LossReader:
    """`counters` is the live "loss" map, None when the program cannot lose anything."""

    def __init__(self, counters: Map | None) -> None:
        self._counters = counters
        self._shown = [0] * len(REASONS)
        self._missed: int | None = None

    def totals(self) -> list[int]:
        """Return the counters summed over CPUs, in the order of REASONS."""
        counters = self._counters
        if counters is None:
            return [0] * len(REASONS)
        sums: list[int] = []
        for index in range(counters.max_entries):
            transfer = counters.lookup(index.to_bytes(4, "little")) or b""
            words = memoryview(transfer).cast("Q").tolist()
            per_cpu = (counters.value_size + 7) // 8
            sums.extend(sum(words[at::per_cpu]) for at in range(per_cpu))
        return (sums + [0] * len(REASONS))[: len(REASONS)]

    def news(self) -> list[Lost]:
        """Return what was dropped since the last call; refused updates are shown by the programs themselves."""
        totals = self.totals()
        new = [
            Lost(total - before, reason)
            for total, before, reason in zip(totals, self._shown, REASONS, strict=False)
            if total > before and reason != "refused_update"
        ]
        self._shown = totals
        return new

    def remember_missed(self, links: Iterable[Link]) -> None:
        """Read the links' miss counters; to be called while they are attached."""
        counts = [link.missed() for link in links]
        known = [count for count in counts if count is not None]
        self._missed = sum(known) if len(known) == len(counts) else None

    def loss(self) -> Loss:
        return Loss(**dict(zip(REASONS, self.totals(), strict=False)), missed=self._missed)
