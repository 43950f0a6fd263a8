"""Commands of bpf(2) on maps: create, single elements, batches, freeze.

Functions take a raw descriptor number and bytes; ownership and value layouts are for kernel/maps.  Results that are part
of normal work (no such key, no more entries) are values, not exceptions.
"""

from __future__ import annotations

from struct import pack_into, unpack_from

from probee.errors import MapError
from probee.kernel.syscalls.bpf import ENOENT, Command, bpf, checked, failure
from probee.kernel.syscalls.libc import address_of

ANY = 0  # BPF_ANY: create or replace
NOEXIST = 1  # BPF_NOEXIST: create only
EXIST = 2  # BPF_EXIST: replace only
MOST = 0xFFFFFFFF  # max_entries of union bpf_attr is a __u32


def object_name(name: str) -> bytes:
    """Return a name that the kernel takes: 15 characters of [A-Za-z0-9_.], anything else becomes "_"."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "_.") else "_" for c in name[:15]).encode()


def map_create(
    type: int, key_size: int, value_size: int, max_entries: int, *,
    flags: int = 0, name: str = "", inner_map_fd: int = 0, btf: tuple[int, int, int] = (0, 0, 0), map_extra: int = 0,
    device: int = 0,
) -> int:  # fmt: skip
    """Create a map, return its descriptor.  `btf` is (BTF descriptor, key type id, value type id); `device` the number of a
    network device that is to hold it (Linux 4.16, commit a38845729ea3 "bpf: offload: add map offload infrastructure")."""
    if max_entries > MOST:
        raise MapError(f"map {name} cannot have {max_entries} entries: the kernel takes {MOST} at most")
    attribute = bytearray(72 if map_extra else 64)
    pack_into("=7I16sI3I", attribute, 0, type, key_size, value_size, max_entries, flags, inner_map_fd, 0,
              object_name(name), device, *btf)  # fmt: skip
    if map_extra:
        pack_into("=Q", attribute, 64, map_extra)
    return checked(Command.MAP_CREATE, attribute, f"create map {name}" if name else "create a map")


def _element(command: int, fd: int, key: int, value: int, flags: int = 0) -> int:
    attribute = bytearray(32)
    pack_into("=IxxxxQQQ", attribute, 0, fd, key, value, flags)
    return bpf(command, attribute)


def map_lookup(fd: int, key: bytes, value_size: int, *, delete: bool = False) -> bytes | None:
    """Return the value of a key, None if there is none.  `value_size` is that of the transfer: all CPUs' values."""
    key_buffer, value = bytearray(key), bytearray(value_size)
    command = Command.MAP_LOOKUP_AND_DELETE_ELEM if delete else Command.MAP_LOOKUP_ELEM
    result = _element(command, fd, address_of(key_buffer), address_of(value))
    if result == -ENOENT:
        return None
    if result < 0:
        raise failure(-result, "look up a map's entry")
    return bytes(value)


def map_update(fd: int, key: bytes, value: bytes, flags: int = ANY) -> int:
    """Write one entry; return 0, or -errno (E2BIG full, EEXIST, ENOENT)."""
    key_buffer, value_buffer = bytearray(key), bytearray(value)
    return _element(Command.MAP_UPDATE_ELEM, fd, address_of(key_buffer), address_of(value_buffer), flags)


def map_delete(fd: int, key: bytes) -> bool:
    """Delete an entry; False if there was none."""
    key_buffer = bytearray(key)
    result = _element(Command.MAP_DELETE_ELEM, fd, address_of(key_buffer), 0)
    if result < 0 and result != -ENOENT:
        raise failure(-result, "delete a map's entry")
    return result == 0


def map_next_key(fd: int, key: bytes | None, key_size: int) -> bytes | None:
    """Return the key after `key`: the first one for None or for a key that is gone, None after the last."""
    key_buffer, next_key = bytearray(key or b""), bytearray(key_size)
    result = _element(Command.MAP_GET_NEXT_KEY, fd, address_of(key_buffer), address_of(next_key))
    if result == -ENOENT:
        return None
    if result < 0:
        raise failure(-result, "walk a map")
    return bytes(next_key)


def map_batch(
    command: int, fd: int, keys: bytearray, values: bytearray, count: int, *,
    position: bytearray | None = None, first: bool = False, flags: int = 0,
) -> tuple[int, int]:  # fmt: skip
    """Make one MAP_*_BATCH call; return (0 or -errno, entries done).

    Lookups go on from `position`, a buffer of the key's size but at least 8 bytes, which they update; `first` begins anew.
    -ENOENT from a lookup: this was the last batch, and its entries count.
    Linux 5.6 (commit cb4d03ab499d "bpf: Add generic support for lookup batch op").
    """
    attribute = bytearray(56)
    at = address_of(position) if position is not None else 0
    pack_into("=QQQQIIQQ", attribute, 0, 0 if first else at, at, address_of(keys), address_of(values), count, fd,
              flags, 0)  # fmt: skip
    result = bpf(command, attribute)
    return min(result, 0), unpack_from("=I", attribute, 32)[0]


def map_freeze(fd: int) -> None:
    """Make a map read-only for system calls from now on.  Linux 5.2 (commit 87df15de441b)."""
    attribute = bytearray(4)
    pack_into("=I", attribute, 0, fd)
    checked(Command.MAP_FREEZE, attribute, "freeze a map")
