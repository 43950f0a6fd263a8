"""Maps as bcc's macros declare them, as specs for the kernel."""

from __future__ import annotations

from probee.compiler.lang.c.basic import INT
from probee.compiler.lang.c.unit import MapDeclaration, TranslationUnit
from probee.errors import CompileError
from probee.model.ctype import CType, size_of
from probee.model.spec import MapSpec, MapType
from probee.model.target import Target

TYPES = {
    "hash": MapType.HASH, "array": MapType.ARRAY, "histogram": MapType.HASH, "percpu_hash": MapType.PERCPU_HASH,
    "percpu_array": MapType.PERCPU_ARRAY, "lru_hash": MapType.LRU_HASH, "lru_percpu_hash": MapType.LRU_PERCPU_HASH,
    "lpm_trie": MapType.LPM_TRIE, "stacktrace": MapType.STACK_TRACE, "prog": MapType.PROG_ARRAY,
    "perf_output": MapType.PERF_EVENT_ARRAY, "perf_array": MapType.PERF_EVENT_ARRAY, "ringbuf": MapType.RINGBUF,
    "cgroup_array": MapType.CGROUP_ARRAY, "devmap": MapType.DEVMAP, "cpumap": MapType.CPUMAP, "xskmap": MapType.XSKMAP,
    "array_of_maps": MapType.ARRAY_OF_MAPS, "hash_of_maps": MapType.HASH_OF_MAPS, "queue": MapType.QUEUE,
    "stack": MapType.STACK, "sockmap": MapType.SOCKMAP, "sockhash": MapType.SOCKHASH, "sk_storage": MapType.SK_STORAGE,
    "inode_storage": MapType.INODE_STORAGE, "task_storage": MapType.TASK_STORAGE,
    "cgroup_storage": MapType.CGROUP_STORAGE, "percpu_cgroup_storage": MapType.PERCPU_CGROUP_STORAGE,
    "extern": MapType.HASH,  # it is the map of that name, whatever its type
}  # fmt: skip
_KEYLESS = frozenset(("queue", "stack", "ringbuf"))
_PAGE_SIZE = 4096
_EVERYWHERE = MapType.RINGBUF  # the last type that all kernels have which can run this


def map_spec(parsed: TranslationUnit, declaration: MapDeclaration, target: Target) -> MapSpec:
    """Return the spec of a map.  Sizes are those of the C types; that of a perf buffer is the loader's business."""
    kind = declaration.kind
    if kind not in TYPES:
        from probee.probes.candidate import closest

        near = closest(kind, TYPES, 1)
        hint = f"Did you mean {near[0]!r}?" if near else ""
        raise CompileError(f"there is no type of map called '{kind}'", declaration.span, hint=hint)
    type = TYPES[kind]
    if kind == "histogram" and declaration.key is INT:
        type = MapType.ARRAY
    if type > _EVERYWHERE and target.has_btf and target.enumerator(f"BPF_MAP_TYPE_{kind.upper()}") is None:
        raise CompileError(f"this kernel has no maps of type {kind}", declaration.span)
    key_size = 0 if kind in _KEYLESS else _size(parsed, declaration.key)
    value_size = 0 if kind == "ringbuf" else _size(parsed, declaration.leaf)
    entries = declaration.max_entries * (_PAGE_SIZE if kind == "ringbuf" else 1)
    return MapSpec(
        declaration.name, type, key_size, value_size, entries, flags=declaration.flags,
        role="extern" if kind == "extern" else declaration.sharing or "user", inner=declaration.inner, pin=declaration.pin,
    )  # fmt: skip


def _size(parsed: TranslationUnit, ctype: CType | None) -> int:
    return size_of(parsed.scope.complete(ctype)) if ctype is not None else 0


def map_types(parsed: TranslationUnit) -> dict[str, CType]:
    """Return what goes into the object's BTF for Python: types of keys and values, and of what is submitted."""
    found: dict[str, CType] = {}
    for name, declaration in parsed.maps.items():
        for part, ctype in (("key", declaration.key), ("leaf", declaration.leaf)):
            if ctype is not None:
                found[f"{part} {name}"] = ctype
    for name, ctype in parsed.events.items():
        found[f"event {name}"] = ctype
    return found
