"""Loss accounting: reads the "loss" map's per-CPU counters and the links' miss counters, and says what is new.

The map is a PERCPU_ARRAY of u64 numbers, one per entry or all in one value: the counters that model.loss.REASONS names, and
then, if there is a fourth, what exit() leaves when its record had no room in the ring: its status plus one.
"""

from __future__ import annotations

from time import monotonic

from probee.model.event import Lost
from probee.model.loss import REASONS, Loss

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from probee.kernel.links.link import Link
    from probee.kernel.maps.map import Map

LOSS_INTERVAL_S = 0.1


class LossReader:
    """`counters` is the live "loss" map, None when the program cannot lose anything."""

    def __init__(self, counters: Map | None) -> None:
        self._counters = counters
        self._shown = [0] * len(REASONS)
        self._missed: int | None = None
        self._next_s = 0.0

    def totals(self) -> list[int]:
        """Return the counters summed over CPUs, in the order of REASONS."""
        sums = [sum(numbers) for numbers in self._numbers()]
        return (sums + [0] * len(REASONS))[: len(REASONS)]

    @property
    def due(self) -> bool:
        """True when the counters were not looked at for a while; asking counts as looking."""
        now = monotonic()
        if now < self._next_s:
            return False
        self._next_s = now + LOSS_INTERVAL_S
        return True

    def exit_status(self) -> int | None:
        """Return the status of an exit() whose record was dropped, None when there was none."""
        numbers = self._numbers()
        left = max(numbers[len(REASONS)], default=0) if len(numbers) > len(REASONS) else 0
        return left - 1 & 255 if left else None

    def _numbers(self) -> list[list[int]]:
        """Return the CPUs' values of each number of the map."""
        counters = self._counters
        if counters is None:
            return []
        found: list[list[int]] = []
        per_cpu = (counters.value_size + 7) // 8
        for index in range(counters.max_entries):
            transfer = counters.lookup(index.to_bytes(4, "little")) or b""
            words = memoryview(transfer).cast("Q").tolist()
            found.extend(words[at::per_cpu] for at in range(per_cpu))
        return found

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
        """Read the miss counters of links and programs; to be called while they are attached.

        The kernel counts misses of kprobes (link, Linux 6.7) and runs left out because another program was running (program,
        Linux 5.12), but none of a sampling probe that interrupts a program: None means that nothing at all is counted.
        """
        attached = list(links)
        programs = {id(link.program): link.program for link in attached}.values()
        counts = [link.missed() for link in attached] + [program.missed() for program in programs]
        known = [count for count in counts if count is not None]
        self._missed = sum(known) if known else None

    def loss(self) -> Loss:
        return Loss(**dict(zip(REASONS, self.totals(), strict=False)), missed=self._missed)


def left_undone(missed: int, commands: int, unheard: int = 0) -> list[str]:
    """Return what to say at the end of hits that the kernel missed, commands not run, and mappings that nobody told of."""
    said = []
    if missed:
        why = "the kernel does not run a program inside of itself, or had no room to track the call"
        said.append(f"{missed} hits were missed: {why}")
    if commands:
        said.append(f"{commands} commands of system() were not run: the session ended with so many of them waiting")
    if unheard:
        said.append(f"{unheard} reports of what processes mapped were lost: some that have exited may lack names")
    return said
