"""bcc.table: every class of tables under one roof, and Table(), which picks one by the type of a map."""

from __future__ import annotations

from probee.bcc.array import Array, ArrayBase, CgroupArray, CpuMap, DevMap, MapInMapArray, ProgArray, XskMap
from probee.bcc.error import BccError
from probee.bcc.histogram import LINEAR_SLOTS, LOG2_SLOTS, STARS
from probee.bcc.mapping import HashTable, LpmTrie, LruHash, MapInMapHash, TableBase
from probee.bcc.output import PerfEventArray, RingBuf
from probee.bcc.percpu import LruPerCpuHash, PerCpuArray, PerCpuHash
from probee.bcc.queuestack import QueueStack
from probee.bcc.stack import StackTrace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from probee.bcc.core import Core

# enum bpf_map_type; names are what decode_table prints
_TYPES = (
    "HASH", "ARRAY", "PROG_ARRAY", "PERF_EVENT_ARRAY", "PERCPU_HASH", "PERCPU_ARRAY", "STACK_TRACE", "CGROUP_ARRAY", "LRU_HASH",
    "LRU_PERCPU_HASH", "LPM_TRIE", "ARRAY_OF_MAPS", "HASH_OF_MAPS", "DEVMAP", "SOCKMAP", "CPUMAP", "XSKMAP", "SOCKHASH",
    "CGROUP_STORAGE", "REUSEPORT_SOCKARRAY", "PERCPU_CGROUP_STORAGE", "QUEUE", "STACK", "SK_STORAGE", "DEVMAP_HASH",
    "STRUCT_OPS", "RINGBUF", "INODE_STORAGE", "TASK_STORAGE",
)  # fmt: skip
map_type_name = dict(enumerate(_TYPES, 1))
globals().update({f"BPF_MAP_TYPE_{name}": number for number, name in map_type_name.items()})  # programs import these

stars_max, log2_index_max, linear_index_max = STARS, LOG2_SLOTS, LINEAR_SLOTS

_CLASSES: dict[str, Any] = {
    "HASH": HashTable, "ARRAY": Array, "PROG_ARRAY": ProgArray, "PERF_EVENT_ARRAY": PerfEventArray, "PERCPU_HASH": PerCpuHash,
    "PERCPU_ARRAY": PerCpuArray, "STACK_TRACE": StackTrace, "CGROUP_ARRAY": CgroupArray, "LRU_HASH": LruHash,
    "LRU_PERCPU_HASH": LruPerCpuHash, "LPM_TRIE": LpmTrie, "ARRAY_OF_MAPS": MapInMapArray, "HASH_OF_MAPS": MapInMapHash,
    "DEVMAP": DevMap, "CPUMAP": CpuMap, "XSKMAP": XskMap, "RINGBUF": RingBuf, "SOCKMAP": ArrayBase, "SOCKHASH": HashTable,
    "DEVMAP_HASH": HashTable, "TASK_STORAGE": HashTable, "INODE_STORAGE": HashTable, "SK_STORAGE": HashTable,
    "CGROUP_STORAGE": HashTable, "PERCPU_CGROUP_STORAGE": HashTable,
}  # fmt: skip
_REDUCED = ("PERCPU_HASH", "PERCPU_ARRAY", "LRU_PERCPU_HASH")


def get_table_type_name(ttype: int) -> str:
    """Return the name of a map type, "<unknown>" for a number without one."""
    return map_type_name.get(ttype, "<unknown>")


def Table(bpf: Core, map_id: int, map_fd: int, keytype: Any, leaftype: Any, name: bytes, **kwargs: Any) -> Any:
    """Return the table of a map; `reducer` is for per-CPU ones and ignored by others."""
    type = bpf.map_at(map_id).spec.type
    kind = get_table_type_name(type)
    if kind in ("QUEUE", "STACK"):
        return QueueStack(bpf, map_id, map_fd, leaftype)
    if kind not in _CLASSES:
        raise BccError(f"Unknown table type {type}")
    extra = kwargs if kind in _REDUCED else {}
    return _CLASSES[kind](bpf, map_id, map_fd, keytype, leaftype, name, **extra)


__all__ = [
    "Array", "ArrayBase", "CgroupArray", "CpuMap", "DevMap", "HashTable", "LpmTrie", "LruHash", "LruPerCpuHash",
    "MapInMapArray", "MapInMapHash", "PerCpuArray", "PerCpuHash", "PerfEventArray", "ProgArray", "QueueStack", "RingBuf",
    "StackTrace", "Table", "TableBase", "XskMap", "get_table_type_name", "map_type_name",
]  # fmt: skip
