"""Local storage: a value for each socket, inode, task or cgroup that has one, found by a descriptor of it.

kernel/bpf/bpf_local_storage.c: the value lives with the object it belongs to, and only who has the object finds it, so such a
map has no size and cannot be walked.  The kernel wants to know the types of key (an int) and value.
"""

from __future__ import annotations

from probee.errors import MapError
from probee.kernel.maps.map import Map
from probee.kernel.syscalls.fd import Descriptor
from probee.kernel.syscalls.map import map_create
from probee.model.spec import MapSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NO_PREALLOC = 1  # BPF_F_NO_PREALLOC


class StorageMap(Map):
    """SK_STORAGE, INODE_STORAGE, TASK_STORAGE (keys are pidfds) or CGRP_STORAGE: keys are descriptors, as 4 bytes."""

    @classmethod
    def create_typed(cls, spec: MapSpec, btf: tuple[int, int, int]) -> StorageMap:
        """Create the map; `btf` is (descriptor of a BTF object, type id of an int, type id of the value)."""
        fd = map_create(spec.type, 4, spec.value_size, 0, flags=spec.flags | NO_PREALLOC, name=spec.name, btf=btf)
        return cls(spec, Descriptor(fd, f"map {spec.name}"))

    def keys(self) -> Iterator[bytes]:
        raise MapError(f"map {self.name} keeps its values with their owners: it cannot be walked")
