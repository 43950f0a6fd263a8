"""Tables that have an element for each number: ARRAY, PROG_ARRAY, CGROUP_ARRAY, and maps of devices, CPUs and maps."""

from __future__ import annotations

import ctypes as ct
import os

from probee.bcc.error import BccError
from probee.bcc.mapping import TableBase
from probee.kernel.syscalls import map as sys_map

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class ArrayBase(TableBase):
    """What has an element for each number below `max_entries`."""

    def _index(self, key: Any) -> Any:
        if isinstance(key, int):
            key = self.Key(key + len(self) if key < 0 else key)
        if not isinstance(key, ct._SimpleCData):
            raise IndexError("Array index must be an integer type")
        if key.value >= len(self):
            raise IndexError("Array index out of range")
        return key

    def __len__(self) -> int:
        return self.max_entries

    def __iter__(self) -> Iterator[Any]:
        return map(self.Key, range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(self._index(key))

    def __setitem__(self, key: Any, leaf: Any) -> None:
        super().__setitem__(self._index(key), leaf)

    def __delitem__(self, key: Any) -> None:
        super().__delitem__(self._index(key))

    def clearitem(self, key: Any) -> None:
        """Set an element to zero."""
        try:
            self._update(bytes(self._index(key)), bytes(self._live.transfer_size))
        except BccError:
            raise BccError("Could not clear item") from None

    def items(self) -> Any:
        if self._live.spec.type in _NUMBERS_ONLY:
            return super().items()
        return [(key, self[key]) for key in self if self._lookup(bytes(key)) is not None]


_NUMBERS_ONLY = (2, 6)  # ARRAY and PERCPU_ARRAY: what is there can be read all at once


class Array(ArrayBase):
    """ARRAY: elements cannot be deleted, so they are set to zero."""

    def __delitem__(self, key: Any) -> None:
        self.clearitem(key)


class ProgArray(ArrayBase):
    """PROG_ARRAY: programs to go on with, by number; a leaf is a function that was loaded, or a descriptor."""

    def __setitem__(self, key: Any, leaf: Any) -> None:
        super().__setitem__(key, self.Leaf(getattr(leaf, "fd", leaf)) if not isinstance(leaf, ct._SimpleCData) else leaf)

    def clear(self) -> None:
        for key in self:
            sys_map.map_delete(self.map_fd, bytes(key))


class CgroupArray(ArrayBase):
    """CGROUP_ARRAY: a leaf is given as the path of a cgroup or as its descriptor."""

    def __setitem__(self, key: Any, leaf: Any) -> None:
        if isinstance(leaf, int):
            super().__setitem__(key, self.Leaf(leaf))
        elif isinstance(leaf, str):
            fd = os.open(leaf, os.O_RDONLY | os.O_CLOEXEC)
            try:
                super().__setitem__(key, self.Leaf(fd))
            finally:
                os.close(fd)
        else:
            raise BccError("Cgroup array key must be either FD or cgroup path")


class DevMap(ArrayBase):
    """DEVMAP."""


class CpuMap(ArrayBase):
    """CPUMAP."""


class XskMap(ArrayBase):
    """XSKMAP."""


class MapInMapArray(ArrayBase):
    """ARRAY_OF_MAPS: a leaf is written as a map's descriptor, and read as its id."""
