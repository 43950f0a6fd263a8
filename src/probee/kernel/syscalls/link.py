"""Commands of bpf(2) that attach: BPF_LINK_CREATE in its forms, BPF_RAW_TRACEPOINT_OPEN, BPF_ITER_CREATE, BPF_LINK_DETACH,
BPF_PROG_ATTACH; and those that pin and open what is pinned.

All give the link's descriptor or -errno: what an errno means depends on the probe, so kernel/links puts it in words.
"""

from __future__ import annotations

from itertools import accumulate
from struct import pack, pack_into

from probee.kernel.syscalls.bpf import Command, bpf
from probee.kernel.syscalls.libc import address_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

ITER = 28  # BPF_TRACE_ITER
PERF_EVENT = 41  # BPF_PERF_EVENT
KPROBE_MULTI = 42  # BPF_TRACE_KPROBE_MULTI
UPROBE_MULTI = 48  # BPF_TRACE_UPROBE_MULTI
KPROBE_SESSION = 56  # BPF_TRACE_KPROBE_SESSION

_KPROBE_MULTI_RETURN = 1  # BPF_F_KPROBE_MULTI_RETURN
_UPROBE_MULTI_RETURN = 1  # BPF_F_UPROBE_MULTI_RETURN
_RDONLY = 1 << 3  # BPF_F_RDONLY


def link_create(program_fd: int, target_fd: int, attach_type: int, rest: bytes = b"", flags: int = 0) -> int:
    """Create a link; `target_fd` may be an interface's index, `rest` is what follows `flags` in the attribute."""
    attribute = bytearray(16 + len(rest))
    pack_into("=IIII", attribute, 0, program_fd, target_fd, attach_type, flags)
    attribute[16:] = rest
    return bpf(Command.LINK_CREATE, attribute)


def perf_link(program_fd: int, event_fd: int, cookie: int = 0) -> int:
    """Attach a program to a perf event.  Linux 5.15 (commit b89fbfbb854c "bpf: Implement minimal BPF perf link")."""
    return link_create(program_fd, event_fd, PERF_EVENT, pack("=Q", cookie) if cookie else b"")


def kprobe_multi_link(
    program_fd: int, functions: Sequence[str] | Sequence[int], *, cookies: list[int] | None = None, on_return: bool = False,
    attach_type: int = KPROBE_MULTI,
) -> int:  # fmt: skip
    """Attach a program to many functions at once, by name or by address; all of them exist or none is attached (-ESRCH).

    Linux 5.18 (commit 0dcac2725406 "bpf: Add multi kprobe link"), with CONFIG_FPROBE.
    """
    addresses = [function for function in functions if isinstance(function, int)]
    encoded = [function.encode() for function in functions if isinstance(function, str)]
    text = bytearray(b"\0".join(encoded) + b"\0")
    starts = accumulate([len(name) + 1 for name in encoded[:-1]], initial=address_of(text))
    array = bytearray(pack(f"={len(functions)}Q", *(addresses or starts)))
    cookie_array = bytearray(pack(f"={len(cookies)}Q", *cookies) if cookies else b"")
    flags = _KPROBE_MULTI_RETURN if on_return else 0
    by_name, by_address = (0, address_of(array)) if addresses else (address_of(array), 0)
    rest = pack("=IIQQQ", flags, len(functions), by_name, by_address, address_of(cookie_array))
    return link_create(program_fd, 0, attach_type, rest)


def uprobe_multi_link(
    program_fd: int, path: str, offsets: list[int], *, semaphores: list[int] | None = None,
    cookies: list[int] | None = None, pid: int = 0, on_return: bool = False,
) -> int:  # fmt: skip
    """Attach a program to many places of one file at once; all of them can be probed or none is attached.

    `semaphores` are offsets of USDT semaphores in the file, 0 where there is none.
    Linux 6.6 (commit 89ae89f53d20 "bpf: Add multi uprobe link").
    """
    name = bytearray(path.encode(errors="surrogateescape") + b"\0")
    arrays = [bytearray(pack(f"={len(values)}Q", *values) if values else b"") for values in (offsets, semaphores, cookies)]
    places, counters, cookie_array = (address_of(array) if array else 0 for array in arrays)
    flags = _UPROBE_MULTI_RETURN if on_return else 0
    rest = pack("=QQQQIII", address_of(name), places, counters, cookie_array, len(offsets), flags, pid)
    return link_create(program_fd, 0, UPROBE_MULTI, rest)


def iter_link(program_fd: int, info: bytes = b"") -> int:
    """Make a link that iterators are opened from; `info` is a union bpf_iter_link_info, which restricts what is walked.

    Linux 5.8 (commit de4e05cac46d "bpf: Support bpf tracing/iter programs for BPF_LINK_CREATE").
    """
    union = bytearray(info)
    return link_create(program_fd, 0, ITER, pack("=QI", address_of(union), len(union)) if info else b"")


def iter_create(link_fd: int) -> int:
    """Open an iterator: reading it runs the program once for each thing, and gives what it wrote."""
    attribute = bytearray(8)
    pack_into("=II", attribute, 0, link_fd, 0)
    return bpf(Command.ITER_CREATE, attribute)


def pin(fd: int, path: str) -> int:
    """Give a BPF object a name in a BPF file system, which keeps it alive; return 0 or -errno."""
    name = bytearray(path.encode(errors="surrogateescape") + b"\0")
    attribute = bytearray(16)
    pack_into("=QII", attribute, 0, address_of(name), fd, 0)
    return bpf(Command.OBJ_PIN, attribute)


def raw_tracepoint_open(program_fd: int, name: str, cookie: int = 0) -> int:
    """Attach to a raw tracepoint by name; with name "" attach a tracing program (fentry …) to the target it was loaded for."""
    text = bytearray(name.encode() + b"\0") if name else bytearray()
    attribute = bytearray(24 if cookie else 12)
    pack_into("=QI", attribute, 0, address_of(text), program_fd)
    if cookie:  # Linux 6.10 (commit 68ca5d4eebb8 "bpf: support BPF cookie in raw_tracepoint (raw_tp, tp_btf) programs")
        pack_into("=Q", attribute, 16, cookie)
    return bpf(Command.RAW_TRACEPOINT_OPEN, attribute)


def link_detach(fd: int) -> int:
    """Detach a link while its descriptor stays open; return 0 or -errno.  Not all kinds can (-EOPNOTSUPP)."""
    attribute = bytearray(4)
    pack_into("=I", attribute, 0, fd)
    return bpf(Command.LINK_DETACH, attribute)


def link_update(fd: int, program_fd: int) -> int:
    """Give a link another program of the same type; return 0 or -errno.  Linux 5.7 (commit 0c991ebc8c69)."""
    attribute = bytearray(16)
    pack_into("=IIII", attribute, 0, fd, program_fd, 0, 0)
    return bpf(Command.LINK_UPDATE, attribute)


def program_attach(program_fd: int, target_fd: int, attach_type: int, flags: int = 0) -> int:
    """Attach a program to a cgroup or to a map of sockets, until `program_detach`; return 0 or -errno."""
    attribute = bytearray(20)
    pack_into("=IIIII", attribute, 0, target_fd, program_fd, attach_type, flags, 0)
    return bpf(Command.PROG_ATTACH, attribute)


def program_detach(program_fd: int, target_fd: int, attach_type: int) -> int:
    """Undo `program_attach`; return 0 or -errno."""
    attribute = bytearray(20)
    pack_into("=IIIII", attribute, 0, target_fd, program_fd, attach_type, 0, 0)
    return bpf(Command.PROG_DETACH, attribute)


def object_get(path: str, *, read_only: bool = False) -> int:
    """Open what is pinned at a path; return its descriptor or -errno."""
    name = bytearray(path.encode(errors="surrogateescape") + b"\0")
    attribute = bytearray(16)
    pack_into("=QII", attribute, 0, address_of(name), 0, _RDONLY if read_only else 0)
    return bpf(Command.OBJ_GET, attribute)
