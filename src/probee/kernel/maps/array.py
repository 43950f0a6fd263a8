"""Arrays: ARRAY, keyed by u32 index; every index exists always.  kernel/bpf/arraymap.c."""

from __future__ import annotations

from struct import pack

from probee.kernel.maps.batch import NoBatch, read_chunks, split, write_chunk
from probee.kernel.maps.map import Map

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class ArrayMap(Map):
    """An array; reading in batches since Linux 5.6, one by one before."""

    def read_values(self) -> list[bytes]:
        """Return the values of all indices in order."""
        if self.max_entries == 1:  # globals and counters: one lookup
            return [self.at(0)]
        try:
            return [value for _, values in self._chunks() for value in split(values, self.transfer_size)]
        except NoBatch:
            return [self.at(index) for index in range(self.max_entries)]

    def at(self, index: int) -> bytes:
        """Return the value at `index`; IndexError beyond the end."""
        value = self.lookup(pack("=I", index)) if 0 <= index < self.max_entries else None
        if value is None:
            raise IndexError(f"map {self.name} has {self.max_entries} elements, no number {index}")
        return value

    def set(self, index: int, value: bytes) -> None:
        """Write the value at `index`."""
        self.update(pack("=I", index), value)

    def _chunks(self) -> Iterator[tuple[bytes, bytes]]:
        return read_chunks(self.fd, self.key_size, self.transfer_size, self.max_entries)

    def keys(self) -> Iterator[bytes]:
        return (pack("=I", index) for index in range(self.max_entries))

    def read_all(self) -> list[tuple[bytes, bytes]]:
        return list(zip(self.keys(), self.read_values(), strict=True))

    def clear(self) -> None:
        """Set every element to zero; an array has no other emptiness."""
        self.zero()

    def zero(self) -> None:
        keys = b"".join(self.keys())
        try:
            write_chunk(self.fd, keys, bytes(self.max_entries * self.transfer_size), self.max_entries)
        except NoBatch:
            super().zero()
