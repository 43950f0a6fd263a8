"""Models of the key-value maps: hash and array, plain and per CPU, and maps of maps.

Behaviour and error numbers are those of kernel/bpf/hashtab.c and arraymap.c; a value has an address of its own, so that
running past its end is caught.  Updating a hash element makes a new one, and who held the old one keeps it until the
program ends.
"""

from __future__ import annotations

from collections.abc import Iterator

from probee.formats.insn.interpret.memory import InterpretError, Memory, Region

ENOENT, E2BIG, EEXIST, EINVAL = 2, 7, 17, 22
NOEXIST, EXIST, F_LOCK = 1, 2, 4  # BPF_NOEXIST, BPF_EXIST, BPF_F_LOCK


class MapModel:
    """Base of all maps.  A machine binds it to its memory; then `handle` is what a program knows it by."""

    per_cpu = False

    def __init__(self, key_size: int, value_size: int, max_entries: int) -> None:
        self.key_size = key_size
        self.value_size = value_size
        self.max_entries = max_entries
        self.name = ""
        self.n_cpus = 1
        self._memory: Memory | None = None
        self.handle = 0

    @property
    def memory(self) -> Memory:
        if self._memory is None:
            raise InterpretError(f"map {self.name} is in no machine yet")
        return self._memory

    @property
    def bound_to(self) -> Memory | None:
        return self._memory

    def bind(self, memory: Memory, name: str, n_cpus: int) -> None:
        """Give the map a place in a machine's memory; one map may be in several machines that share it."""
        if self._memory is memory:
            return
        if self._memory is not None:
            raise InterpretError(f"map {name} belongs to another machine's memory")
        self._memory = memory
        self.name = name
        self.n_cpus = n_cpus if self.per_cpu else 1
        self.handle = memory.add(b"", "handle", f"of map {name}", owner=self).base

    def _new_value(self, value: bytes) -> Region:
        return self.memory.add(bytearray(value), "map", f"value of {self.name}")

    # What helpers call; addresses and keys as bytes.

    def lookup(self, key: bytes, cpu: int = 0) -> int:
        """Return the address of a value, 0 if there is none."""
        raise InterpretError(f"map {self.name} has no lookup")

    def update(self, key: bytes, value: bytes, flags: int = 0, cpu: int = 0) -> int:
        """Store a value (on one CPU if the map is per CPU); 0 or a negative error number."""
        raise InterpretError(f"map {self.name} has no update")

    def delete(self, key: bytes) -> int:
        return -EINVAL

    def keys(self) -> Iterator[bytes]:
        raise InterpretError(f"map {self.name} has no keys")

    # What tests call.

    def get(self, key: bytes, cpu: int = 0) -> bytes | None:
        """Return a copy of a value, None if there is none."""
        address = self.lookup(key, cpu)
        return self.memory.read(address, self.value_size) if address else None

    def values(self, key: bytes) -> list[bytes]:
        """Return the values of a key on every CPU."""
        return [value for cpu in range(self.n_cpus) if (value := self.get(key, cpu)) is not None]

    def items(self) -> dict[bytes, bytes | list[bytes]]:
        """Return a copy of the whole map; per CPU a list under each key."""
        return {key: self.values(key) if self.per_cpu else self.values(key)[0] for key in self.keys()}


class HashMap(MapModel):
    """BPF_MAP_TYPE_HASH; with `lru` (BPF_MAP_TYPE_LRU_HASH) the eldest element makes room instead of E2BIG."""

    def __init__(self, key_size: int, value_size: int, max_entries: int, *, lru: bool = False) -> None:
        super().__init__(key_size, value_size, max_entries)
        self.lru = lru
        self._elements: dict[bytes, list[Region]] = {}

    def lookup(self, key: bytes, cpu: int = 0) -> int:
        element = self._elements.get(key)
        return element[cpu if self.per_cpu else 0].base if element else 0

    def update(self, key: bytes, value: bytes, flags: int = 0, cpu: int = 0) -> int:
        if flags > EXIST:
            return -EINVAL
        old = self._elements.get(key)
        if old is not None and flags == NOEXIST:
            return -EEXIST
        if old is None and flags == EXIST:
            return -ENOENT
        if old is None and len(self._elements) >= self.max_entries:
            if not self.lru:
                return -E2BIG
            self.delete(next(iter(self._elements)))
        if old is not None and self.per_cpu:
            self.memory.write(old[cpu].base, value)
            return 0
        if old is not None:
            self.memory.expire(old[0])
        empty = bytes(self.value_size)
        self._elements[key] = [self._new_value(value if at == cpu or not self.per_cpu else empty) for at in range(self.n_cpus)]
        return 0

    def delete(self, key: bytes) -> int:
        element = self._elements.pop(key, None)
        if element is None:
            return -ENOENT
        for region in element:
            self.memory.expire(region)
        return 0

    def keys(self) -> Iterator[bytes]:
        return iter(list(self._elements))


class PerCpuHashMap(HashMap):
    """BPF_MAP_TYPE_PERCPU_HASH: a program's update stores on its own CPU, a new element is zero on the others."""

    per_cpu = True


class ArrayMap(MapModel):
    """BPF_MAP_TYPE_ARRAY: keys 0 to max_entries - 1, all present, zero at first."""

    def __init__(self, key_size: int, value_size: int, max_entries: int) -> None:
        super().__init__(key_size, value_size, max_entries)
        self._elements: dict[tuple[int, int], Region] = {}  # made at first use

    def lookup(self, key: bytes, cpu: int = 0) -> int:
        index = int.from_bytes(key, "little")
        if index >= self.max_entries:
            return 0
        place = (index, cpu if self.per_cpu else 0)
        region = self._elements.get(place)
        if region is None:
            region = self._elements[place] = self._new_value(bytes(self.value_size))
        return region.base

    def update(self, key: bytes, value: bytes, flags: int = 0, cpu: int = 0) -> int:
        if flags & ~F_LOCK > EXIST:
            return -EINVAL
        address = self.lookup(key, cpu)
        if not address:
            return -E2BIG
        if flags & NOEXIST:
            return -EEXIST
        if flags & F_LOCK:  # no model has a bpf_spin_lock in its value
            return -EINVAL
        self.memory.write(address, value)
        return 0

    def keys(self) -> Iterator[bytes]:
        return (index.to_bytes(4, "little") for index in range(self.max_entries))


class PerCpuArrayMap(ArrayMap):
    """BPF_MAP_TYPE_PERCPU_ARRAY."""

    per_cpu = True


class MapOfMaps(MapModel):
    """BPF_MAP_TYPE_ARRAY_OF_MAPS and BPF_MAP_TYPE_HASH_OF_MAPS: a lookup gives the handle of an inner map."""

    def __init__(self, key_size: int, inner: dict[bytes, MapModel]) -> None:
        super().__init__(key_size, 4, len(inner))
        self.inner = inner

    def bind(self, memory: Memory, name: str, n_cpus: int) -> None:
        super().bind(memory, name, n_cpus)
        for key, inner in self.inner.items():
            inner.bind(memory, f"{name}[{key.hex()}]", n_cpus)

    def lookup(self, key: bytes, cpu: int = 0) -> int:
        inner = self.inner.get(key)
        return inner.handle if inner else 0
