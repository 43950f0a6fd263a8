"""QueueStack: QUEUE and STACK, which have values and no keys."""

from __future__ import annotations

import ctypes as ct
import os

from probee.bcc.error import BccError
from probee.bcc.mapping import leaf_scanf, leaf_sprintf, raw
from probee.errors import KernelError
from probee.kernel.syscalls.map import map_lookup, map_update

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from probee.bcc.core import Core


class QueueStack:
    """`Leaf` is the class of values."""

    BPF_EXIST = 2

    def __init__(self, bpf: Core, map_id: int, map_fd: int, leaftype: Any) -> None:
        self.bpf = bpf
        self.map_id = map_id
        self.map_fd = map_fd
        self.Leaf = leaftype
        live = bpf.map_at(map_id)
        self.ttype = live.spec.type
        self.flags = live.spec.flags
        self.max_entries = live.max_entries

    def get_fd(self) -> int:
        return self.map_fd

    def leaf_sprintf(self, leaf: Any) -> bytes:
        """Return a value as text."""
        return leaf_sprintf(self.Leaf, leaf)

    def leaf_scanf(self, leaf_str: bytes) -> Any:
        """Return the value that a text means."""
        return leaf_scanf(self.Leaf, leaf_str)

    def push(self, leaf: Any, flags: int = 0) -> None:
        """Add a value; with BPF_EXIST the oldest goes when there is no room."""
        result = map_update(self.map_fd, b"", raw(leaf, ct.sizeof(self.Leaf), "leaf"), flags)
        if result < 0:
            raise BccError(f"Could not push to table: {os.strerror(-result)}")

    def pop(self) -> Any:
        """Take a value out; KeyError when there is none."""
        return self._look("Could not pop from table", delete=True)

    def peek(self) -> Any:
        """Return the value that `pop` would take; KeyError when there is none."""
        return self._look("Could not peek table", delete=False)

    def _look(self, message: str, *, delete: bool) -> Any:
        try:
            value = map_lookup(self.map_fd, b"", ct.sizeof(self.Leaf), delete=delete)
        except KernelError:
            value = None
        if value is None:
            raise KeyError(message)
        return self.Leaf.from_buffer_copy(value)

    def itervalues(self) -> Iterator[Any]:
        """Take out and yield values, as many as the map may hold."""
        for _ in range(self.max_entries):
            try:
                yield self.pop()
            except KeyError:
                return

    def values(self) -> list[Any]:
        return list(self.itervalues())
