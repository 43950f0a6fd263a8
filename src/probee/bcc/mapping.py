"""TableBase: a map as bcc shows it, a mutable mapping whose keys and leaves are ctypes objects.

Single elements go through bpf(2) one by one; whole tables are read in batches, decoded many at a time, and never walked key by
key where the kernel has batches.  What a family does otherwise is in the files beside this one.
"""

from __future__ import annotations

import ctypes as ct
import os
from collections.abc import MutableMapping

from probee.bcc.error import BccError
from probee.errors import KernelError, ProbeeError
from probee.kernel.maps.batch import NoBatch, read_chunks
from probee.kernel.syscalls import map as sys_map
from probee.kernel.syscalls.fd import Descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from probee.bcc.core import Core
    from probee.kernel.maps.map import Map


_OBJECTS = (ct.Structure, ct.Union, ct.Array, ct._SimpleCData)


def decoded(kind: Any, chunk: bytes) -> list[Any]:
    """Return the objects of a class that lie back to back in some bytes."""
    array = (kind * (len(chunk) // ct.sizeof(kind))).from_buffer_copy(chunk)
    found = list(array)
    if found and not isinstance(found[0], _OBJECTS):
        return list(map(kind, found))  # numbers and the like come out as Python's
    return found


def raw(value: Any, size: int, what: str = "key") -> bytes:
    """Return the bytes of an object of ctypes, zeros behind them up to a size; TypeError for Python's own numbers and text."""
    try:
        return bytes(memoryview(value)).ljust(size, b"\0")
    except TypeError:
        kind = type(value).__name__
        raise TypeError(f"a table's {what} is an object of ctypes, as table.{what.title()}() makes them, not {kind}") from None


class _Borrowed(Descriptor):
    """A descriptor that belongs to the program, which closes it."""

    def __init__(self, fd: int, what: str) -> None:
        self._fd = fd
        self.what = what

    def close(self) -> None:
        self._fd = -1

    def __del__(self) -> None:
        pass


def _borrowed(fd: int) -> Map:
    """Return the map of a descriptor, as the kernel describes it."""
    from probee.kernel.maps.create import family
    from probee.kernel.syscalls.info import MapInfo
    from probee.model.spec import MapSpec

    info = MapInfo(fd)
    spec = MapSpec(info.name, info.type, info.key_size, info.value_size, info.max_entries, flags=info.flags)
    return family(info.type)(spec, _Borrowed(fd, f"map {info.name}"))


class TableBase(MutableMapping):  # type: ignore[type-arg]  # of whatever classes the map's are
    """`Key` and `Leaf` are the classes; `map_fd`, `map_id`, `ttype`, `flags` and `max_entries` are the map's."""

    def __init__(self, bpf: Core, map_id: int, map_fd: int, keytype: Any, leaftype: Any, name: bytes | None = None) -> None:
        self.bpf = bpf
        self.map_id = map_id
        self.map_fd = map_fd
        self.Key = keytype
        self.Leaf = leaftype
        self._live: Map = bpf.map_at(map_id)
        self.ttype = self._live.spec.type
        self.flags = self._live.spec.flags
        self.max_entries = self._live.max_entries
        self._name = name if name is not None else self._live.name.encode()

    def __getattr__(self, name: str) -> Any:
        """Tell what a program's own class, which has given a descriptor and the classes alone, has left to the kernel."""
        if name not in ("_live", "_name", "flags", "max_entries", "ttype") or "map_fd" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        live = self.__dict__.get("_live") or _borrowed(self.map_fd)
        found = {
            "_live": live, "_name": live.name.encode(), "flags": live.spec.flags, "max_entries": live.max_entries,
            "ttype": live.spec.type,
        }  # fmt: skip
        self.__dict__.update({**found, **self.__dict__})
        return found[name]

    def get_fd(self) -> int:
        return self.map_fd

    # -- single elements

    def __getitem__(self, key: Any) -> Any:
        value = self._lookup(raw(key, self._live.key_size))
        if value is None:
            raise KeyError
        return self.Leaf.from_buffer_copy(value)

    def _lookup(self, key: bytes) -> bytes | None:
        try:
            return sys_map.map_lookup(self.map_fd, key, max(self._live.transfer_size, ct.sizeof(self.Leaf)))
        except KernelError:
            return None

    def __setitem__(self, key: Any, leaf: Any) -> None:
        self._update(raw(key, self._live.key_size), raw(leaf, self._live.transfer_size, "leaf"))

    def _update(self, key: bytes, value: bytes, flags: int = 0) -> None:
        result = sys_map.map_update(self.map_fd, key, value, flags)
        if result < 0:
            raise BccError(f"Could not update table: {os.strerror(-result)}")

    def __delitem__(self, key: Any) -> None:
        try:
            found = sys_map.map_delete(self.map_fd, raw(key, self._live.key_size))
        except KernelError:
            found = False
        if not found:
            raise KeyError

    # -- walking

    def __iter__(self) -> Iterator[Any]:
        make = self.Key.from_buffer_copy
        yield from map(make, self._live.keys())

    def iter(self) -> Iterator[Any]:
        return iter(self)

    def keys(self) -> Any:
        """Return an iterator, as bcc does."""
        return iter(self)

    def next(self, key: Any) -> Any:
        """Return the key after `key`, the first for None; StopIteration behind the last."""
        size = self._live.key_size
        found = sys_map.map_next_key(self.map_fd, None if key is None else raw(key, size), size)
        if found is None:
            raise StopIteration
        return self.Key.from_buffer_copy(found)

    def __len__(self) -> int:
        return sum(map(bool, self._live.keys()))

    # -- the whole table

    def items(self) -> Any:
        """Return a list of (key, leaf)."""
        import gc

        collecting = gc.isenabled()
        gc.disable()  # a million objects that stay would have the collector walk through them again and again
        try:
            found: list[tuple[Any, Any]] = []
            for keys, values in self._chunks():
                found += zip(decoded(self.Key, keys), self._leaves(values), strict=True)
            return found
        finally:
            if collecting:
                gc.enable()

    def _leaves(self, values: bytes) -> list[Any]:
        return decoded(self.Leaf, values)

    def _chunks(self, *, delete: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Yield (keys, values), each back to back."""
        live = self._live
        try:
            yield from read_chunks(live.fd, live.key_size, live.transfer_size, live.max_entries, delete=delete)
        except NoBatch:
            pairs = live.read_all()
            if delete:
                for key, _ in pairs:
                    live.delete(key)
            yield b"".join([key for key, _ in pairs]), b"".join([value for _, value in pairs])

    def iteritems(self) -> Iterator[tuple[Any, Any]]:
        return iter(self.items())

    def values(self) -> Any:
        """Return a list of leaves."""
        return [leaf for _, leaf in self.items()]

    def itervalues(self) -> Iterator[Any]:
        return iter(self.values())

    def clear(self) -> None:
        """Delete every entry."""
        self._live.clear()

    def zero(self) -> None:
        """Set every leaf to zero."""
        self._live.zero()

    # -- batches

    def items_lookup_batch(self) -> Iterator[tuple[Any, Any]]:
        """Yield (key, leaf) of all entries."""
        yield from self._batch("BPF_MAP_LOOKUP_BATCH", delete=False)

    def items_lookup_and_delete_batch(self) -> Iterator[tuple[Any, Any]]:
        """Yield (key, leaf) of all entries and take them out."""
        yield from self._batch("BPF_MAP_LOOKUP_AND_DELETE_BATCH", delete=True)

    def _batch(self, command: str, *, delete: bool) -> Iterator[tuple[Any, Any]]:
        try:
            chunks = list(self._chunks(delete=delete))
        except ProbeeError as error:
            raise _batch_failure(command, error) from None
        for keys, values in chunks:
            yield from zip(decoded(self.Key, keys), self._leaves(values), strict=True)

    def items_delete_batch(self, ct_keys: Any = None) -> None:
        """Delete the keys of a ctypes array, or all."""
        if ct_keys is None:
            for _ in self._chunks(delete=True):
                pass
            return
        self._check_lengths(ct_keys, None)
        try:
            self._live.delete_many(bytes(ct_keys))
        except ProbeeError as error:
            raise _batch_failure("BPF_MAP_DELETE_BATCH", error) from None

    def items_update_batch(self, ct_keys: Any, ct_values: Any) -> None:
        """Write the leaves of one ctypes array to the keys of another, of the same length."""
        self._check_lengths(ct_keys, ct_values)
        try:
            self._live.update_many(bytes(ct_keys), bytes(ct_values))
        except ProbeeError as error:
            raise _batch_failure("BPF_MAP_UPDATE_BATCH", error) from None

    def _check_lengths(self, keys: Any, values: Any) -> None:
        for array in (keys, values):
            if array:
                if not isinstance(array, ct.Array):
                    raise TypeError("keys and values are ctypes arrays")
                if not 1 <= len(array) <= self.max_entries:
                    raise ValueError("Array's length is wrong")
        if keys and values and len(keys) != len(values):
            raise ValueError("keys array length != values array length")

    # -- histograms

    def print_log2_hist(
        self, val_type: str = "value", section_header: str = "Bucket ptr", section_print_fn: Any = None, bucket_fn: Any = None,
        strip_leading_zero: Any = None, bucket_sort_fn: Any = None,
    ) -> None:  # fmt: skip
        """Print counts by power of two; one histogram for each first member of the key, if keys are structs."""
        from probee.bcc.histogram import print_log2

        print_log2(self, val_type, section_header, section_print_fn, bucket_fn, strip_leading_zero, bucket_sort_fn)

    def print_linear_hist(
        self, val_type: str = "value", section_header: str = "Bucket ptr", section_print_fn: Any = None, bucket_fn: Any = None,
        strip_leading_zero: Any = None, bucket_sort_fn: Any = None,
    ) -> None:  # fmt: skip
        """Print counts by number, as print_log2_hist does."""
        from probee.bcc.histogram import print_linear

        print_linear(self, val_type, section_header, section_print_fn, bucket_fn, strip_leading_zero, bucket_sort_fn)

    def print_json_hist(
        self, val_type: str = "value", section_header: str = "Bucket ptr", section_print_fn: Any = None, bucket_fn: Any = None,
        bucket_sort_fn: Any = None,
    ) -> None:  # fmt: skip
        """Print counts by power of two as dictionaries."""
        from probee.bcc.histogram import print_json

        print_json(self, val_type, section_header, section_print_fn, bucket_fn, bucket_sort_fn)

    # -- text

    def key_sprintf(self, key: Any) -> bytes:
        """Return a key as text."""
        return _text_of(self.Key, key, "Could not printf key")

    def leaf_sprintf(self, leaf: Any) -> bytes:
        """Return a leaf as text."""
        return leaf_sprintf(self.Leaf, leaf)

    def key_scanf(self, key_str: bytes) -> Any:
        """Return the key that a text means."""
        return _scanned(self.Key, key_str, "Could not scanf key")

    def leaf_scanf(self, leaf_str: bytes) -> Any:
        """Return the leaf that a text means."""
        return leaf_scanf(self.Leaf, leaf_str)


def leaf_sprintf(kind: Any, leaf: Any) -> bytes:
    """Return a leaf as text."""
    return _text_of(kind, leaf, "Could not printf leaf")


def leaf_scanf(kind: Any, text: bytes) -> Any:
    """Return the leaf that a text means."""
    return _scanned(kind, text, "Could not scanf leaf")


def _text_of(kind: Any, value: Any, complaint: str) -> bytes:
    from probee.bcc.notation import write_text

    try:
        return write_text(kind, value)
    except (TypeError, ValueError, AttributeError) as error:
        raise BccError(f"{complaint}: {error}") from None


def _scanned(kind: Any, text: bytes, complaint: str) -> Any:
    from probee.bcc.notation import read_text

    try:
        return read_text(kind, text)
    except (TypeError, ValueError) as error:
        raise BccError(f"{complaint}: {error}") from None


def _batch_failure(command: str, error: ProbeeError) -> BccError:
    cause = os.strerror(error.errno or 0) if isinstance(error, KernelError) else str(error)
    return BccError(f"{command} has failed: {cause}")


class HashTable(TableBase):
    """HASH."""


class LruHash(HashTable):
    """LRU_HASH."""


class LpmTrie(TableBase):
    """LPM_TRIE."""

    def __len__(self) -> int:
        raise NotImplementedError


class MapInMapHash(HashTable):
    """HASH_OF_MAPS: a leaf is written as a map's descriptor, and read as its id."""
