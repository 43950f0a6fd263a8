"""Kernel stacks: lists of addresses to Frames.

The same few thousand addresses come again and again, so each is resolved once.  Users' stacks are not here.
"""

from __future__ import annotations

from probee.kernel.symbols.kallsyms import Kallsyms
from probee.model.value import Frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_KEPT = 1 << 16


class KernelResolver:
    """Names for kernel addresses, with a memory; `kallsyms` is shared with whoever else needs it."""

    __slots__ = ("_known", "kallsyms")

    def __init__(self, kallsyms: Kallsyms | None = None) -> None:
        self.kallsyms = kallsyms or Kallsyms()
        self._known: dict[int, Frame] = {}

    def frame(self, address: int) -> Frame:
        """Return the Frame of one address; without a symbol when nothing is there or the kernel hides addresses."""
        found = self._known.get(address)
        if found is None:
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            found = self._known[address] = self.kallsyms.resolve(address)
        return found

    def frames(self, addresses: Iterable[int]) -> tuple[Frame, ...]:
        """Return the Frames of a stack, up to its first zero: the kernel pads stacks with zeros."""
        frames = []
        for address in addresses:
            if not address:
                break
            frames.append(self.frame(address))
        return tuple(frames)
