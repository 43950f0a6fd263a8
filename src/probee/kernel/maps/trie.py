"""LPM_TRIE: values by prefix, of which a lookup finds the longest that fits.  kernel/bpf/lpm_trie.c, Linux 4.11.

A key is a u32 with the number of bits that count, then the data, most significant byte first.
"""

from __future__ import annotations

from struct import pack

from probee.kernel.maps.map import Map
from probee.kernel.syscalls.map import map_create
from probee.model.spec import MapSpec

NO_PREALLOC = 1  # BPF_F_NO_PREALLOC: a trie is refused without


class TrieMap(Map):
    """A trie; `lookup` finds the longest prefix that the key begins with, `delete` only the prefix itself."""

    @classmethod
    def _create(cls, spec: MapSpec) -> int:
        flags = spec.flags | NO_PREALLOC
        return map_create(spec.type, spec.key_size, spec.value_size, spec.max_entries, flags=flags, name=spec.name)

    def prefix(self, data: bytes, bits: int | None = None) -> bytes:
        """Return the key of the first `bits` of some data, of all of it for None."""
        return pack("=I", len(data) * 8 if bits is None else bits) + data.ljust(self.key_size - 4, b"\0")
