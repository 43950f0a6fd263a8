"""BPF_OBJ_GET_INFO_BY_FD: what the kernel tells about a program, map, link or BTF.

Mirrors struct bpf_prog_info, bpf_map_info, bpf_link_info and bpf_btf_info.  The kernel says how much of the
structure it filled; what lies beyond was unknown to it and is None here, never 0.
"""

from __future__ import annotations

from struct import pack_into, unpack_from

from probee.kernel.syscalls.bpf import Command, checked
from probee.kernel.syscalls.libc import address_of


def object_info(fd: int, info: bytearray) -> int:
    """Fill `info` (what it holds goes in: buffers' addresses and sizes) and return how many bytes the kernel knows."""
    attribute = bytearray(16)
    pack_into("=IIQ", attribute, 0, fd, len(info), address_of(info))
    checked(Command.OBJ_GET_INFO_BY_FD, attribute, "ask about a BPF object")
    return int(unpack_from("=I", attribute, 4)[0])


def _number(info: bytearray, filled: int, at: int, form: str = "=I") -> int | None:
    size = 8 if form == "=Q" else 4
    return int(unpack_from(form, info, at)[0]) if at + size <= filled else None


class ProgramInfo:
    """From struct bpf_prog_info.

    `run_count` and `run_time_ns` rise only while kernel.bpf_stats_enabled is 1.  `recursion_misses`: runs that the kernel
    left out because the program was running on that CPU; Linux 5.12 (commit 9ed9e9ba2337).  `verified_instructions`: what
    the verifier walked; Linux 5.16.
    """

    __slots__ = (
        "btf_id", "id", "jited_size", "load_time_ns", "name", "recursion_misses", "run_count", "run_time_ns", "tag",
        "translated_size", "type", "verified_instructions",
    )  # fmt: skip

    def __init__(self, fd: int) -> None:
        info = bytearray(232)
        filled = object_info(fd, info)
        self.type, self.id = unpack_from("=II", info)
        self.tag = info[8:16].hex()
        self.jited_size, self.translated_size = unpack_from("=II", info, 16)
        self.load_time_ns = int(unpack_from("=Q", info, 40)[0])
        self.name = bytes(info[64:80]).partition(b"\0")[0].decode(errors="replace")
        self.btf_id = _number(info, filled, 128)
        self.run_time_ns = _number(info, filled, 192, "=Q")
        self.run_count = _number(info, filled, 200, "=Q")
        self.recursion_misses = _number(info, filled, 208, "=Q")
        self.verified_instructions = _number(info, filled, 216)


def translated_instructions(fd: int) -> bytes:
    """Return a program's instructions as the verifier left them; b"" when the kernel hides them (kptr_restrict)."""
    code = bytearray(ProgramInfo(fd).translated_size)
    info = bytearray(232)
    pack_into("=I", info, 20, len(code))
    pack_into("=Q", info, 32, address_of(code))
    object_info(fd, info)
    return bytes(code[: unpack_from("=I", info, 20)[0]])


class MapInfo:
    """From struct bpf_map_info."""

    __slots__ = ("btf_id", "flags", "id", "key_size", "max_entries", "name", "type", "value_size")

    def __init__(self, fd: int) -> None:
        info = bytearray(88)
        object_info(fd, info)
        self.type, self.id, self.key_size, self.value_size, self.max_entries, self.flags = unpack_from("=6I", info)
        self.name = bytes(info[24:40]).partition(b"\0")[0].decode(errors="replace")
        self.btf_id = int(unpack_from("=I", info, 64)[0])


class LinkType:
    """enum bpf_link_type, as far as links here are counted."""

    RAW_TRACEPOINT = 1
    TRACING = 2
    PERF_EVENT = 7
    KPROBE_MULTI = 8


LINK_INFO_WITH_MISSED = 56  # bytes of struct bpf_link_info since links count misses


class LinkInfo:
    """From struct bpf_link_info.

    `missed`: hits that did not run the program, for kprobes and kprobe-multi; None where the kernel does not count.
    Linux 6.7 (commits e2b2cd592adb for kprobe-multi, 3acf8ace6823 for perf events; the latter made the structure longer).
    """

    __slots__ = ("id", "missed", "program_id", "type")

    def __init__(self, fd: int) -> None:
        info = bytearray(64)
        filled = object_info(fd, info)
        self.type, self.id, self.program_id = unpack_from("=III", info)
        self.missed: int | None = None
        if filled >= LINK_INFO_WITH_MISSED and self.type == LinkType.KPROBE_MULTI:
            self.missed = _number(info, filled, 32, "=Q")
        elif self.type == LinkType.PERF_EVENT and unpack_from("=I", info, 16)[0] in (3, 4):  # kprobe, kretprobe
            self.missed = _number(info, filled, 48, "=Q")


class BtfInfo:
    """From struct bpf_btf_info: `name` is "vmlinux", a module's, or "" for one that a program brought."""

    __slots__ = ("id", "is_kernel", "name", "size")

    def __init__(self, fd: int) -> None:
        name = bytearray(64)
        info = bytearray(32)
        pack_into("=QI", info, 16, address_of(name), len(name))
        filled = object_info(fd, info)
        self.size, self.id = unpack_from("=II", info, 8)
        self.name = bytes(name).partition(b"\0")[0].decode(errors="replace")
        self.is_kernel = bool(_number(info, filled, 28))


def read_btf(fd: int) -> bytes:
    """Return the whole BTF blob behind a descriptor."""
    blob = bytearray(BtfInfo(fd).size)
    info = bytearray(32)
    pack_into("=QI", info, 0, address_of(blob), len(blob))
    object_info(fd, info)
    return bytes(blob)
