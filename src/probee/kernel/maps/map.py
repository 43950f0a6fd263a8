"""Map: a live map of any type, and what all families share: single elements, walking, closing.

A Map owns its descriptor.  Keys and values are bytes as the kernel has them; their meaning (ValueType) is the runtime's.
Families override how whole maps are read and emptied; see hash.py, array.py, percpu.py.
"""

from __future__ import annotations

from probee.errors import MapError
from probee.kernel.maps.batch import NoBatch, delete_chunk, overwrite, split, write_chunk
from probee.kernel.syscalls import map as sys_map
from probee.kernel.syscalls.bpf import E2BIG, EEXIST, ENOENT, failure
from probee.kernel.syscalls.fd import Descriptor
from probee.model.spec import MapSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

RDONLY_PROG = 1 << 7  # BPF_F_RDONLY_PROG


class Map:
    """A live map.  `value_size` is one value's, `transfer_size` what one lookup moves (per-CPU maps: every CPU's)."""

    def __init__(self, spec: MapSpec, descriptor: Descriptor) -> None:
        self.spec = spec
        self.name = spec.name
        self.key_size = spec.key_size
        self.value_size = spec.value_size
        self.transfer_size = spec.value_size
        self.max_entries = spec.max_entries
        self.descriptor = descriptor

    @classmethod
    def create(cls, spec: MapSpec) -> Map:
        """Create the map in the kernel."""
        return cls(spec, Descriptor(cls._create(spec), f"map {spec.name}"))

    @classmethod
    def _create(cls, spec: MapSpec) -> int:
        return sys_map.map_create(
            spec.type, spec.key_size, spec.value_size, spec.max_entries, flags=spec.flags, name=spec.name
        )

    @property
    def fd(self) -> int:
        return self.descriptor.fd

    # -- single elements

    def lookup(self, key: bytes) -> bytes | None:
        """Return the value of `key`, None if there is none.  Per-CPU maps: all CPUs' values, each padded to 8 bytes."""
        self._check_key(key)
        return sys_map.map_lookup(self.fd, key, self.transfer_size)

    def update(self, key: bytes, value: bytes, flags: int = sys_map.ANY) -> None:
        """Write an entry; MapError when the map is full or `flags` (NOEXIST, EXIST) forbid it."""
        self._check_key(key)
        if len(value) != self.transfer_size:
            raise MapError(f"map {self.name}: a value has {self.transfer_size} bytes, not {len(value)}")
        result = sys_map.map_update(self.fd, key, value, flags)
        if result < 0:
            raise self._update_error(-result)

    def delete(self, key: bytes) -> bool:
        """Delete an entry; False if there was none."""
        self._check_key(key)
        return sys_map.map_delete(self.fd, key)

    def update_many(self, keys: bytes, values: bytes) -> None:
        """Write entries whose keys and values are given back to back, in order; stops at the first that fails."""
        try:
            write_chunk(self.fd, keys, values, len(keys) // self.key_size)
        except NoBatch:
            for key, value in zip(split(keys, self.key_size), split(values, self.transfer_size), strict=True):
                self.update(key, value)

    def delete_many(self, keys: bytes) -> None:
        """Delete entries whose keys are given back to back, in order; a key that is not there is an error (ENOENT)."""
        try:
            delete_chunk(self.fd, keys, len(keys) // self.key_size)
        except NoBatch:
            for key in split(keys, self.key_size):
                if not self.delete(key):
                    raise failure(ENOENT, "delete a map's entries") from None

    def freeze(self) -> None:
        """Let nobody in user space write any more; programs then see constants if the map is RDONLY_PROG."""
        sys_map.map_freeze(self.fd)

    def _check_key(self, key: bytes) -> None:
        if len(key) != self.key_size:
            raise MapError(f"map {self.name}: a key has {self.key_size} bytes, not {len(key)}")

    def _update_error(self, errno: int) -> Exception:
        if errno == E2BIG:
            return MapError(f"map {self.name} is full: it holds {self.max_entries} entries; raise max_map_keys")
        if errno == EEXIST:
            return MapError(f"map {self.name}: the key exists already")
        if errno == ENOENT:
            return MapError(f"map {self.name}: no such key")
        return failure(errno, f"write to map {self.name}")

    # -- the whole map

    def keys(self) -> Iterator[bytes]:
        """Yield every key once, also while programs insert and delete.

        The kernel begins anew when it is asked for what follows a deleted key, so keys seen before are passed over, and a
        walk that restarts without end is cut off: what it has not met by then was not there all the time.
        """
        seen: set[bytes] = set()
        key = sys_map.map_next_key(self.fd, None, self.key_size)
        steps_left = 64 + 8 * self.max_entries
        while key is not None and steps_left:
            if key not in seen:
                seen.add(key)
                yield key
            key = sys_map.map_next_key(self.fd, key, self.key_size)
            steps_left -= 1

    def read_all(self) -> list[tuple[bytes, bytes]]:
        """Return all (key, value) pairs; entries that vanish while reading are left out."""
        pairs = ((key, self.lookup(key)) for key in self.keys())
        return [(key, value) for key, value in pairs if value is not None]

    def clear(self) -> None:
        """Delete every entry."""
        for key in self.keys():
            self.delete(key)

    def zero(self) -> None:
        """Set every entry's value to zero bytes and keep the keys."""
        overwrite(self.fd, b"".join(self.keys()), self.key_size, bytes(self.transfer_size))

    # -- ownership

    def close(self) -> None:
        self.descriptor.close()

    def __enter__(self) -> Map:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.descriptor.closed else f"fd {self.fd}"
        return f"<{type(self).__name__} {self.name} {state}>"
