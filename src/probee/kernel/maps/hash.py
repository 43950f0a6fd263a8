"""Hash tables: HASH, LRU_HASH (one value per key).  kernel/bpf/hashtab.c."""

from __future__ import annotations

from probee.kernel.maps.batch import NoBatch, read_chunks, split
from probee.kernel.maps.map import Map

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class HashMap(Map):
    """A hash table, read and emptied in batches."""

    def read_chunks(self, *, delete: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Yield (keys, values) chunks, each back to back, to be cut by `key_size` and `transfer_size`.

        With `delete`, every entry is taken out as it is read: what programs add later is in the next reading, nothing is lost.
        """
        try:
            yield from read_chunks(self.fd, self.key_size, self.transfer_size, self.max_entries, delete=delete)
        except NoBatch:
            yield from self._read_singly(delete=delete)

    def _read_singly(self, *, delete: bool) -> Iterator[tuple[bytes, bytes]]:
        for key in self.keys():
            value = self.lookup(key)
            if value is not None:
                yield key, value
                if delete:
                    self.delete(key)

    def read_all(self) -> list[tuple[bytes, bytes]]:
        return self._pairs(delete=False)

    def take_all(self) -> list[tuple[bytes, bytes]]:
        """Return all entries and delete them, each in one step where the kernel has batches."""
        return self._pairs(delete=True)

    def _pairs(self, *, delete: bool) -> list[tuple[bytes, bytes]]:
        pairs: list[tuple[bytes, bytes]] = []
        for keys, values in self.read_chunks(delete=delete):
            pairs.extend(zip(split(keys, self.key_size), split(values, self.transfer_size), strict=True))
        return pairs

    def clear(self) -> None:
        for _ in self.read_chunks(delete=True):
            pass

    def keys(self) -> Iterator[bytes]:
        """Yield every key; in batches, so entries that come and go disturb nothing."""
        try:
            for keys, _ in read_chunks(self.fd, self.key_size, self.transfer_size, self.max_entries):
                yield from split(keys, self.key_size)
        except NoBatch:
            yield from super().keys()
