"""StackTrace: stacks by the number that get_stackid() gave; `walk` yields their addresses, innermost first."""

from __future__ import annotations

from probee.bcc.mapping import TableBase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


class StackTrace(TableBase):
    """STACK_TRACE.  A leaf has `ip`, an array of addresses, or for stacks by build id `trace`, an array of structs."""

    MAX_DEPTH = 127
    BPF_F_STACK_BUILD_ID = 1 << 5
    BPF_STACK_BUILD_ID_EMPTY = 0
    BPF_STACK_BUILD_ID_VALID = 1
    BPF_STACK_BUILD_ID_IP = 2

    def walk(self, stack_id: int, resolve: Callable[[Any], Any] | None = None) -> Iterator[Any]:
        """Yield what `resolve` makes of each address, or the address; KeyError for a stack that is not there."""
        frames = self._frames(self[self.Key(stack_id)])
        return map(resolve, frames) if resolve else iter(frames)

    def _frames(self, leaf: Any) -> list[Any]:
        if self.flags & self.BPF_F_STACK_BUILD_ID:
            found = []
            for frame in leaf.trace:
                if frame.status != self.BPF_STACK_BUILD_ID_VALID:
                    break
                found.append(frame)
            return found
        addresses = list(leaf.ip)
        return addresses[: addresses.index(0)] if 0 in addresses else addresses

    def clear(self) -> None:
        """Do nothing, as bcc does: stacks stay until their place is used again."""
