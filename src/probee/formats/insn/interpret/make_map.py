"""From the kernel's map type number to a model of that map."""

from __future__ import annotations

from probee.formats.insn.interpret.map import ArrayMap, HashMap, MapModel, PerCpuArrayMap, PerCpuHashMap
from probee.formats.insn.interpret.memory import InterpretError
from probee.formats.insn.interpret.ring import PerfEventArray, RingBuf, StackTraceMap


def make_map(map_type: int, key_size: int, value_size: int, max_entries: int) -> MapModel:
    """Return an empty map of enum bpf_map_type's kind `map_type`.  Maps of maps are made by hand."""
    if map_type in (1, 9):  # HASH, LRU_HASH
        return HashMap(key_size, value_size, max_entries, lru=map_type == 9)
    if map_type in (5, 10):  # PERCPU_HASH, LRU_PERCPU_HASH
        return PerCpuHashMap(key_size, value_size, max_entries, lru=map_type == 10)
    if map_type in (2, 6):  # ARRAY, PERCPU_ARRAY
        return (ArrayMap if map_type == 2 else PerCpuArrayMap)(key_size, value_size, max_entries)
    if map_type == 4:
        return PerfEventArray(max_entries)
    if map_type == 7:
        return StackTraceMap(value_size // 8, max_entries)
    if map_type == 27:
        return RingBuf(max_entries)
    raise InterpretError(f"maps of type {map_type} are not modelled")
