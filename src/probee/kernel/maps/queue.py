"""QUEUE and STACK: values without keys, first in first out or last in first out.  kernel/bpf/queue_stack_maps.c."""

from __future__ import annotations

from probee.errors import MapError
from probee.kernel.maps.map import Map
from probee.kernel.syscalls.map import ANY, map_lookup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class QueueMap(Map):
    """A queue or a stack: its key has no bytes."""

    def push(self, value: bytes, flags: int = ANY) -> None:
        """Put a value in; MapError when the map is full, unless `flags` is EXIST: then the oldest makes room."""
        self.update(b"", value, flags)

    def pop(self) -> bytes | None:
        """Take the next value out; None when there is none."""
        return map_lookup(self.fd, b"", self.transfer_size, delete=True)

    def peek(self) -> bytes | None:
        """Return the next value and leave it in; None when there is none."""
        return self.lookup(b"")

    def take_values(self) -> list[bytes]:
        """Take all values out, in the order in which they come; those that are put in meanwhile are among them or are left."""
        taken: list[bytes] = []
        while len(taken) < self.max_entries and (value := self.pop()) is not None:
            taken.append(value)
        return taken

    def clear(self) -> None:
        self.take_values()

    def keys(self) -> Iterator[bytes]:
        raise MapError(f"map {self.name} is a queue or stack: it has no keys")

    def zero(self) -> None:
        raise MapError(f"map {self.name} is a queue or stack: its values cannot be overwritten")
