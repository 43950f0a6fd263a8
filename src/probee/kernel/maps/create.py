"""From MapSpec to the live map of the right class; a family's file is imported when the first such map is made."""

from __future__ import annotations

from probee.kernel.maps.map import Map
from probee.model.spec import MapSpec, MapType


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
    return Map


def create(spec: MapSpec) -> Map:
    """Create the map that a spec describes; maps of maps need a template and are made by nested.py."""
    return family(spec.type).create(spec)


def create_all(specs: tuple[MapSpec, ...]) -> dict[str, Map]:
    """Create maps by name; when one fails, those made before are closed."""
    maps: dict[str, Map] = {}
    try:
        for spec in specs:
            maps[spec.name] = create(spec)
    except BaseException:
        for made in maps.values():
            made.close()
        raise
    return maps
