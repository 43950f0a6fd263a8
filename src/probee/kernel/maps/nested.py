"""ARRAY_OF_MAPS and HASH_OF_MAPS: maps whose values are maps.  kernel/bpf/map_in_map.c."""

from __future__ import annotations

from struct import pack, unpack

from probee.kernel.maps.map import Map
from probee.kernel.syscalls.fd import Descriptor
from probee.kernel.syscalls.map import map_create, map_update
from probee.model.spec import MapSpec


class NestedMap(Map):
    """Values are given as live maps and read as map ids: the kernel tells ids only, descriptors stay with their process."""

    @classmethod
    def create_like(cls, spec: MapSpec, inner: Map) -> NestedMap:
        """Create the outer map; every inner map must look like `inner` (type, sizes and flags)."""
        fd = map_create(
            spec.type, spec.key_size, 4, spec.max_entries, flags=spec.flags, name=spec.name, inner_map_fd=inner.fd
        )
        return cls(spec, Descriptor(fd, f"map {spec.name}"))

    def put(self, key: bytes, inner: Map) -> None:
        """Make `inner` the map at `key`; the outer map keeps it alive."""
        self._check_key(key)
        result = map_update(self.fd, key, pack("=I", inner.fd))
        if result < 0:
            raise self._update_error(-result)

    def id_at(self, key: bytes) -> int | None:
        """Return the id of the map at `key`, None if there is none."""
        raw = self.lookup(key)
        return None if raw is None else int(unpack("=I", raw)[0])
