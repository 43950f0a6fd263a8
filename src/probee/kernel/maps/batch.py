"""Whole maps through the batch commands: chunks of keys and values, with one fall-back rule for all families.

A chunk is two byte strings, keys and values back to back.  Hash tables are read bucket by bucket, so entries that come and go
meanwhile neither stop nor repeat the walk (__htab_map_lookup_and_delete_batch of kernel/bpf/hashtab.c).
"""

from __future__ import annotations

from struct import iter_unpack, pack_into

from probee.kernel.syscalls.bpf import EINTR, EINVAL, ENOENT, ENOSPC, ENOTSUPP, EOPNOTSUPP, Command, bpf, failure
from probee.kernel.syscalls.libc import address_of
from probee.kernel.syscalls.map import EXIST, map_batch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK_BYTES = 1 << 20


class NoBatch(Exception):
    """This kernel has no such batch command for the map's type; never leaves kernel/maps."""


def read_chunks(
    fd: int, key_size: int, value_size: int, max_entries: int, *, delete: bool = False
) -> Iterator[tuple[bytes, bytes]]:
    """Yield chunks (keys, values) until the map is read; `delete` takes the entries out as they are read.

    Raises NoBatch before anything was read when the command is missing.
    """
    command = Command.MAP_LOOKUP_AND_DELETE_BATCH if delete else Command.MAP_LOOKUP_BATCH
    capacity = min(max_entries, max(256, CHUNK_BYTES // (key_size + value_size)))
    position, first = bytearray(max(key_size, 8)), True
    keys, values = bytearray(capacity * key_size), bytearray(capacity * value_size)
    while True:
        error, count = map_batch(command, fd, keys, values, capacity, position=position, first=first)
        if error == -ENOSPC:  # a bucket with more entries than fit
            capacity *= 2
            keys, values = bytearray(capacity * key_size), bytearray(capacity * value_size)
            continue
        if first and error in (-EINVAL, -EOPNOTSUPP, -ENOTSUPP):
            raise NoBatch
        # EINTR: an element of an array-like map went away three times; what was copied counts.
        if error not in (0, -ENOENT, -EINTR):
            raise failure(-error, "read a map")
        if count:
            yield bytes(memoryview(keys)[: count * key_size]), bytes(memoryview(values)[: count * value_size])
        if error == -ENOENT:
            return
        first = False


def write_chunk(fd: int, keys: bytes, values: bytes, count: int) -> None:
    """Create or replace `count` entries.  Raises NoBatch when the command is missing.

    The kernel takes no BPF_EXIST here (generic_map_update_batch), so this is for arrays, whose entries always exist.
    """
    error, written = map_batch(Command.MAP_UPDATE_BATCH, fd, bytearray(keys), bytearray(values), count)
    if error in (-EINVAL, -EOPNOTSUPP, -ENOTSUPP):
        raise NoBatch
    if error or written != count:
        raise failure(-error, "write to a map")


def delete_chunk(fd: int, keys: bytes, count: int) -> None:
    """Delete `count` entries.  Raises NoBatch when the command is missing, and stops at a key that is not there (ENOENT)."""
    error, deleted = map_batch(Command.MAP_DELETE_BATCH, fd, bytearray(keys), bytearray(), count)
    if error in (-EINVAL, -EOPNOTSUPP, -ENOTSUPP):
        raise NoBatch
    if error or deleted != count:
        raise failure(-error, "delete a map's entries")


def overwrite(fd: int, keys: bytes, key_size: int, value: bytes) -> None:
    """Write one value to every key of a chunk that still exists.

    One call per key, since batches cannot be told to leave out what does not exist; but nothing else per key.
    """
    key_buffer, value_buffer, attribute = bytearray(keys), bytearray(value), bytearray(32)
    pack_into("=IxxxxQQQ", attribute, 0, fd, 0, address_of(value_buffer), EXIST)
    first = address_of(key_buffer)
    for address in range(first, first + len(keys), key_size):
        pack_into("=Q", attribute, 8, address)
        result = bpf(Command.MAP_UPDATE_ELEM, attribute)
        if result and result != -ENOENT:
            raise failure(-result, "write to a map")


def split(chunk: bytes, size: int) -> list[bytes]:
    """Return the items of a chunk."""
    return [item for (item,) in iter_unpack(f"{size}s", chunk)]
