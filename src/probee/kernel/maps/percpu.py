"""Per-CPU maps: PERCPU_ARRAY, PERCPU_HASH, LRU_PERCPU_HASH: a value per key and possible CPU.

One transfer moves all CPUs' values of a key in CPU order, each rounded up to 8 bytes (bpf_percpu_hash_copy and its like).
"""

from __future__ import annotations

from struct import unpack

from probee.kernel.maps.array import ArrayMap
from probee.kernel.maps.hash import HashMap
from probee.kernel.maps.map import Map
from probee.kernel.syscalls.cpu import possible_cpus
from probee.kernel.syscalls.fd import Descriptor
from probee.model.spec import MapSpec


class _PerCpu(Map):
    """Adds the layout of values; mixed into both families."""

    def __init__(self, spec: MapSpec, descriptor: Descriptor) -> None:
        super().__init__(spec, descriptor)
        self.stride = (spec.value_size + 7) & ~7
        self.transfer_size = self.stride * possible_cpus()
        self._layout = f"{spec.value_size}s{self.stride - spec.value_size}x" * possible_cpus()

    def per_cpu(self, transfer: bytes) -> list[bytes]:
        """Cut what a lookup gave into the CPUs' values."""
        return list(unpack(self._layout, transfer))

    def lookup_per_cpu(self, key: bytes) -> list[bytes] | None:
        """Return each possible CPU's value of `key`, None if there is none."""
        transfer = self.lookup(key)
        return None if transfer is None else self.per_cpu(transfer)

    def update_per_cpu(self, key: bytes, values: list[bytes]) -> None:
        """Write each possible CPU's value of `key`."""
        self.update(key, b"".join(value.ljust(self.stride, b"\0") for value in values))

    def read_per_cpu(self) -> list[tuple[bytes, list[bytes]]]:
        """Return all (key, [value of each possible CPU])."""
        return [(key, list(unpack(self._layout, transfer))) for key, transfer in self.read_all()]


class PerCpuHashMap(_PerCpu, HashMap):
    """PERCPU_HASH and LRU_PERCPU_HASH."""


class PerCpuArrayMap(_PerCpu, ArrayMap):
    """PERCPU_ARRAY.  Batches since Linux 5.13 (commit f008d732ab18 "bpf: Add batched ops support for percpu array")."""
