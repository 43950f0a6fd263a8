"""From MapSpec to the live map of the right class; a family's file is imported when the first such map is made."""

from __future__ import annotations

from probee.errors import MapError
from probee.kernel.maps.map import Map
from probee.kernel.syscalls.fd import Descriptor
from probee.kernel.syscalls.map import map_create
from probee.model.spec import MapSpec, MapType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_HANDLES = frozenset(
    (
        MapType.PROG_ARRAY, MapType.CGROUP_ARRAY, MapType.DEVMAP, MapType.DEVMAP_HASH, MapType.CPUMAP, MapType.XSKMAP,
        MapType.SOCKMAP, MapType.SOCKHASH,
    )
)  # fmt: skip

_WITH_FIELDS = (MapType.HASH, MapType.ARRAY, MapType.LRU_HASH)  # whose values may have a struct bpf_spin_lock or bpf_timer


def family(map_type: int) -> type[Map]:
    """Return the class for a map type; one without a family of its own has single elements only."""
    if map_type in (MapType.HASH, MapType.LRU_HASH):
        from probee.kernel.maps.hash import HashMap

        return HashMap
    if map_type == MapType.ARRAY:
        from probee.kernel.maps.array import ArrayMap

        return ArrayMap
    if map_type == MapType.RINGBUF:
        from probee.kernel.maps.ringbuf import RingMap

        return RingMap
    if map_type in MapType.PER_CPU:
        from probee.kernel.maps.percpu import PerCpuArrayMap, PerCpuHashMap

        return PerCpuArrayMap if map_type == MapType.PERCPU_ARRAY else PerCpuHashMap
    if map_type == MapType.STACK_TRACE:
        from probee.kernel.maps.stack import StackTraceMap

        return StackTraceMap
    if map_type == MapType.PERF_EVENT_ARRAY:
        from probee.kernel.maps.event import PerfEventArrayMap

        return PerfEventArrayMap
    return _rare_family(map_type)


def _rare_family(map_type: int) -> type[Map]:
    if map_type in (MapType.QUEUE, MapType.STACK):
        from probee.kernel.maps.queue import QueueMap

        return QueueMap
    if map_type == MapType.LPM_TRIE:
        from probee.kernel.maps.trie import TrieMap

        return TrieMap
    if map_type in MapType.OF_MAPS:
        from probee.kernel.maps.nested import NestedMap

        return NestedMap
    if map_type in MapType.LOCAL_STORAGE:
        from probee.kernel.maps.storage import StorageMap

        return StorageMap
    if map_type in _HANDLES:
        from probee.kernel.maps.handle import HandleMap

        return HandleMap
    return Map


def create(spec: MapSpec, *, inner: Map | None = None, btf: tuple[int, int, int] = (0, 0, 0), device: int = 0) -> Map:
    """Create the map that a spec describes, or open it where the spec says that it is pinned.

    A map of maps needs `inner`, a map that its maps look like; local storage, and a value with a lock or timer in it, need
    `btf`: (descriptor of a BTF object, type id of the key, type id of the value).  `device` is the number of a network device
    that is to hold the map.
    """
    kind = family(spec.type)
    if device and spec.type != MapType.PERF_EVENT_ARRAY:  # which is the host's, also for a program on a device
        return _offloaded(kind, spec, device)
    if not spec.pin:
        return _create(kind, spec, inner, btf)
    from probee.kernel.maps.pin import open_pinned, pin_map

    found = open_pinned(spec, kind)
    if found is not None:
        return found
    made = _create(kind, spec, inner, btf)
    try:
        pin_map(made, spec.pin)
    except BaseException:
        made.close()
        raise
    return made


def _create(kind: type[Map], spec: MapSpec, inner: Map | None, btf: tuple[int, int, int]) -> Map:
    if spec.type in MapType.OF_MAPS:
        from probee.kernel.maps.nested import NestedMap

        if inner is None:
            raise MapError(f"map {spec.name} holds maps, but nothing says what they look like")
        return NestedMap.create_like(spec, inner)
    if spec.type in MapType.LOCAL_STORAGE:
        from probee.kernel.maps.storage import StorageMap

        return StorageMap.create_typed(spec, btf)
    if btf[0] and btf[2] and spec.type in _WITH_FIELDS:
        fd = map_create(
            spec.type, spec.key_size, spec.value_size, spec.max_entries, flags=spec.flags, name=spec.name, btf=btf
        )
        return kind(spec, Descriptor(fd, f"map {spec.name}"))
    return kind.create(spec)


def _offloaded(kind: type[Map], spec: MapSpec, device: int) -> Map:
    fd = map_create(
        spec.type, spec.key_size, spec.value_size, spec.max_entries, flags=spec.flags, name=spec.name, device=device
    )
    return kind(spec, Descriptor(fd, f"map {spec.name}"))


def create_all(
    specs: Iterable[MapSpec], *, btf_fd: int = 0, types: Mapping[str, int] | None = None, device: int = 0
) -> dict[str, Map]:
    """Create maps by name, maps of maps after the maps they look like; when one fails, those made before are closed.

    `types` are an ObjectSpec's ("key NAME", "leaf NAME" → type id in the BTF object that `btf_fd` is).
    """
    maps: dict[str, Map] = {}
    ids = types or {}
    try:
        for spec in sorted(specs, key=lambda spec: spec.type in MapType.OF_MAPS):
            btf = (btf_fd, ids.get(f"key {spec.name}", 0), ids.get(f"leaf {spec.name}", 0))
            maps[spec.name] = create(spec, inner=maps.get(spec.inner), btf=btf, device=device)
    except BaseException:
        for made in maps.values():
            made.close()
        raise
    return maps
