"""Pinned maps: maps with a name in a BPF file system, which outlive their process and are shared by it.  kernel/bpf/inode.c."""

from __future__ import annotations

import os

from probee.errors import MapError
from probee.kernel.maps.map import Map
from probee.kernel.syscalls.bpf import EACCES, EEXIST, EINVAL, ENOENT, EPERM, failure
from probee.kernel.syscalls.fd import Descriptor
from probee.kernel.syscalls.info import MapInfo
from probee.kernel.syscalls.link import object_get, pin
from probee.model.spec import MapSpec


def pin_map(live: Map, path: str) -> None:
    """Give a map a name; MapError when the path exists or is not in a BPF file system."""
    result = pin(live.fd, path)
    if result < 0:
        cause = _CAUSES.get(-result, "{path}: " + os.strerror(-result)).format(path=path)
        raise MapError(f"map {live.name} cannot be pinned: {cause}")


def open_pinned(spec: MapSpec, family: type[Map]) -> Map | None:
    """Open the map that is pinned where the spec says, None if there is none; MapError if it is of another kind."""
    result = object_get(spec.pin)
    if result == -ENOENT:
        return None
    if result < 0:
        raise failure(-result, f"open the map pinned at {spec.pin}")
    descriptor = Descriptor(result, f"map {spec.name}")
    try:
        _compare(spec, MapInfo(descriptor.fd))
        return family(spec, descriptor)
    except BaseException:
        descriptor.close()
        raise


def _compare(spec: MapSpec, found: MapInfo) -> None:
    wanted = {name: getattr(spec, name) for name in ("type", "key_size", "value_size", "max_entries")}
    for name, value in wanted.items():
        if getattr(found, name) != value:
            difference = f"its {name.replace('_', ' ')} is {getattr(found, name)}, not {value}"
            raise MapError(
                f"the map pinned at {spec.pin} is another than {spec.name}: {difference}; "
                "remove the file, or pin to another path"
            )


_CAUSES = {
    EEXIST: "{path} exists: remove it first",
    EINVAL: "{path} is not in a BPF file system; try /sys/fs/bpf/NAME",
    EPERM: "{path} is not in a BPF file system, or may not be written to; try /sys/fs/bpf/NAME",
    EACCES: "{path} may not be written to",
    ENOENT: "there is no directory for {path}; BPF file systems are usually at /sys/fs/bpf",
}
