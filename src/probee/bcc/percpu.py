"""Per-CPU tables: a leaf is an array with each possible CPU's value; `sum`, `max`, `average` and `reducer` put them together.

The kernel moves each value rounded up to 8 bytes, so leaves must be whole multiples of that, save int and unsigned int.
"""

from __future__ import annotations

import ctypes as ct
from functools import reduce

from probee.bcc.array import ArrayBase
from probee.bcc.mapping import HashTable, TableBase, decoded
from probee.kernel.syscalls.cpu import possible_cpus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from probee.bcc.core import Core


class _PerCpu(TableBase):
    """Adds the layout of leaves; mixed into both families."""

    def __init__(
        self, bpf: Core, map_id: int, map_fd: int, keytype: Any, leaftype: Any, name: bytes | None = None, *,
        reducer: Callable[[Any, Any], Any] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(bpf, map_id, map_fd, keytype, leaftype, name)
        self.reducer = reducer
        self.sLeaf = leaftype
        self.total_cpu = possible_cpus()
        self.alignment = ct.sizeof(leaftype) % 8
        if self.alignment == 0:
            self.Leaf = leaftype * self.total_cpu
        elif leaftype in (ct.c_uint, ct.c_int):
            self.Leaf = (ct.c_uint64 if leaftype is ct.c_uint else ct.c_int64) * self.total_cpu
        else:
            raise IndexError("Leaf must be aligned to 8 bytes")

    def getvalue(self, key: Any) -> Any:
        """Return the array of all CPUs' values."""
        return self._narrow(super().__getitem__(key))

    def _narrow(self, transfer: Any) -> Any:
        """Return values as the program has them: of an int, the lower half of what was moved."""
        if self.alignment == 0:
            return transfer
        mask = (1 << 8 * ct.sizeof(self.sLeaf)) - 1
        return (self.sLeaf * self.total_cpu)(*[self.sLeaf(value & mask).value for value in transfer])

    def __getitem__(self, key: Any) -> Any:
        value = self.getvalue(key)
        return reduce(self.reducer, value) if self.reducer else value

    def _leaves(self, values: bytes) -> list[Any]:
        leaves = [self._narrow(leaf) for leaf in decoded(self.Leaf, values)]
        return [reduce(self.reducer, leaf) for leaf in leaves] if self.reducer else leaves

    def sum(self, key: Any) -> Any:
        """Return the sum as one leaf."""
        self._check_number("sum")
        return self.sLeaf(sum(self.getvalue(key)))

    def max(self, key: Any) -> Any:
        """Return the largest as one leaf."""
        self._check_number("max")
        return self.sLeaf(max(self.getvalue(key)))

    def average(self, key: Any) -> float:
        """Return the sum divided by the number of possible CPUs."""
        return float(self.sum(key).value / self.total_cpu)

    def _check_number(self, what: str) -> None:
        if not issubclass(self.sLeaf, ct._SimpleCData):
            raise IndexError(f"Leaf must be an integer type for default {what} functions")


class PerCpuHash(_PerCpu, HashTable):
    """PERCPU_HASH."""


class LruPerCpuHash(PerCpuHash):
    """LRU_PERCPU_HASH."""


class PerCpuArray(_PerCpu, ArrayBase):
    """PERCPU_ARRAY: elements cannot be deleted, so they are set to zero."""

    def __delitem__(self, key: Any) -> None:
        self.clearitem(key)
