"""Commands of bpf(2) on type information: load our own; and ids, by which the kernel lists all its objects."""

from __future__ import annotations

from struct import pack_into, unpack_from

from probee.errors import BtfError
from probee.kernel.syscalls.bpf import ENOENT, Command, bpf, checked, failure
from probee.kernel.syscalls.libc import address_of


def btf_load(blob: bytes) -> int:
    """Load a BTF blob, return its descriptor.  A refusal's message carries the end of the kernel's log."""
    buffer = bytearray(blob)
    result = _load(buffer, bytearray())
    if result >= 0:
        return result
    log = bytearray(1 << 16)
    _load(buffer, log)
    lines = log.partition(b"\0")[0].decode(errors="replace").strip().splitlines()
    raise failure(-result, "load the program's BTF", " | ".join(lines[-3:]))


def _load(buffer: bytearray, log: bytearray) -> int:
    attribute = bytearray(32)
    pack_into("=QQIII", attribute, 0, address_of(buffer), address_of(log), len(buffer), len(log), 1 if log else 0)
    return bpf(Command.BTF_LOAD, attribute)


def object_by_id(command: int, id: int) -> int:
    """Return a descriptor for the object with this id; `command` is one of Command.*_GET_FD_BY_ID."""
    attribute = bytearray(12)
    pack_into("=I", attribute, 0, id)
    return checked(command, attribute, f"open BPF object {id}")


def next_id(command: int, id: int) -> int | None:
    """Return the smallest id above `id`, None after the last; `command` is one of Command.*_GET_NEXT_ID."""
    attribute = bytearray(12)
    pack_into("=I", attribute, 0, id)
    result = bpf(command, attribute)
    if result == -ENOENT:
        return None
    if result < 0:
        raise failure(-result, "list BPF objects")
    return int(unpack_from("=I", attribute, 4)[0])


def module_btf(name: str) -> int:
    """Return a descriptor of a loaded module's BTF.  Linux 5.11 (commit 5329722057d4)."""
    from probee.kernel.syscalls.fd import Descriptor
    from probee.kernel.syscalls.info import BtfInfo

    id = next_id(Command.BTF_GET_NEXT_ID, 0)
    while id is not None:
        fd = object_by_id(Command.BTF_GET_FD_BY_ID, id)
        info = BtfInfo(fd)
        if info.is_kernel and info.name == name:
            return fd
        Descriptor(fd, f"BTF {id}").close()
        id = next_id(Command.BTF_GET_NEXT_ID, id)
    raise BtfError(f"the kernel has no BTF of a module {name}: is it loaded?")
