"""Maps whose values are descriptors when they are written and something else, or nothing, when they are read: programs for
tail calls, cgroups, devices, sockets.

The kernel takes a descriptor and keeps the object; it gives ids of programs (PROG_ARRAY) and cookies of sockets (SOCKMAP with
values of 8 bytes), and numbers of devices.
"""

from __future__ import annotations

from struct import pack

from probee.kernel.maps.map import Map
from probee.kernel.syscalls.bpf import ENOENT
from probee.kernel.syscalls.map import map_update
from probee.model.spec import MapType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_ARRAYS = frozenset((MapType.PROG_ARRAY, MapType.CGROUP_ARRAY, MapType.DEVMAP, MapType.CPUMAP, MapType.XSKMAP, MapType.SOCKMAP))


class HandleMap(Map):
    """PROG_ARRAY, CGROUP_ARRAY, DEVMAP, CPUMAP, XSKMAP, SOCKMAP: indexed from 0; DEVMAP_HASH, SOCKHASH: with keys."""

    def put(self, key: bytes, fd: int) -> None:
        """Put the object behind a descriptor at a key; MapError or KernelError when the kernel does not take it."""
        self._check_key(key)
        result = map_update(self.fd, key, pack("=I", fd).ljust(self.value_size, b"\0"))
        if result < 0:
            raise self._update_error(-result)

    def put_at(self, index: int, fd: int) -> None:
        """Put the object behind a descriptor at an index."""
        self.put(pack("=I", index), fd)

    def keys(self) -> Iterator[bytes]:
        """Yield the keys that have something: of an array the kernel names every index."""
        if self.spec.type not in _ARRAYS:
            yield from super().keys()
            return
        for index in range(self.max_entries):
            key = pack("=I", index)
            if self._has(key):
                yield key

    def _has(self, key: bytes) -> bool:
        """Whether something is there; of what cannot be read (cgroups) nobody knows, so it may be."""
        from probee.errors import KernelError

        try:
            return self.lookup(key) is not None
        except KernelError as error:
            return error.errno != ENOENT
