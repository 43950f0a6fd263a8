"""The interpreter's memory: regions at made-up 64-bit addresses, every access checked against its region.

The address space is cut into windows of 1 MB; a region owns whole windows, more than it fills, so that a pointer that
runs out of it at either end meets no other region.  Kernel and user addresses are two spaces, as they are for a
program: a load sees the kernel's only, probe_read_user the user's only.  A region of `bytes` is read-only, one of
`bytearray` is not.
"""

from __future__ import annotations

import struct

from probee.errors import ProbeeError

WINDOW_BITS = 20
_GUARD_BYTES = 1 << 16  # at least so much of nothing between two regions: what an instruction's offset can bridge
_KERNEL_BASE = 0xFFFF_8880_0000_0000
_USER_BASE = 0x0000_5555_0000_0000

INTEGER = {size: struct.Struct(code) for size, code in ((1, "<B"), (2, "<H"), (4, "<I"), (8, "<Q"))}


class InterpretError(ProbeeError):
    """The interpreted program did what no verified program does; `slot` says where, -1 if outside of any."""

    def __init__(self, message: str, slot: int = -1) -> None:
        super().__init__(message)
        self.slot = slot


class Region:
    """Bytes at an address.  `kind` is stack, ctx, map, packet, ring, kernel, user or handle; `owner` a map model.

    `pointers` gives 4-byte context fields their 64-bit values, as the verifier's rewriting of __sk_buff and xdp_md does.
    """

    __slots__ = ("base", "data", "kind", "name", "owner", "pointers")

    def __init__(self, base: int, data: bytes | bytearray, kind: str, name: str, owner: object | None) -> None:
        self.base = base
        self.data = data
        self.kind = kind
        self.name = name
        self.owner = owner
        self.pointers: dict[int, int] = {}

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".strip()


def _n_windows(data: bytes | bytearray) -> int:
    return (len(data) + _GUARD_BYTES >> WINDOW_BITS) + 1


class Memory:
    """All regions that a program can reach."""

    def __init__(self) -> None:
        self.kernel: dict[int, Region] = {}
        self.user: dict[int, Region] = {}
        self._next = {"kernel": _KERNEL_BASE >> WINDOW_BITS, "user": _USER_BASE >> WINDOW_BITS}
        self._expiring: list[Region] = []

    def add(
        self,
        data: bytes | bytearray,
        kind: str,
        name: str = "",
        *,
        at: int | None = None,
        owner: object | None = None,
    ) -> Region:
        """Map `data` (not copied) and return its region; `at` asks for an address, a multiple of 1 MB."""
        space = "user" if kind == "user" else "kernel"
        windows = self.user if space == "user" else self.kernel
        n_windows = _n_windows(data)
        first = self._next[space] if at is None else at >> WINDOW_BITS
        if at is None:
            self._next[space] += n_windows
        elif at != first << WINDOW_BITS or any(window in windows for window in range(first, first + n_windows)):
            raise InterpretError(f"address {at:#x} is no multiple of 1 MB, or taken")
        region = Region(first << WINDOW_BITS, data, kind, name, owner)
        for window in range(first, first + n_windows):
            windows[window] = region
        return region

    def remove(self, region: Region) -> None:
        """Unmap a region: any later access to it is an error."""
        windows = self.user if region.kind == "user" else self.kernel
        first = region.base >> WINDOW_BITS
        for window in range(first, first + _n_windows(region.data)):
            del windows[window]

    def expire(self, region: Region) -> None:
        """Unmap a region when the running program ends, as RCU keeps a deleted map element until then."""
        self._expiring.append(region)

    def end_run(self) -> None:
        for region in self._expiring:
            self.remove(region)
        self._expiring.clear()

    def read(self, address: int, size: int) -> bytes:
        """Return `size` bytes that the program may read."""
        region = self.kernel.get(address >> WINDOW_BITS)
        if region is None or address - region.base + size > len(region.data):
            raise self.fault(address, size, "read")
        start = address - region.base
        return bytes(region.data[start : start + size])

    def write(self, address: int, data: bytes) -> None:
        """Store bytes where the program may write."""
        region = self.kernel.get(address >> WINDOW_BITS)
        start = address - region.base if region else 0
        if region is None or start + len(data) > len(region.data) or not isinstance(region.data, bytearray):
            raise self.fault(address, len(data), "write")
        region.data[start : start + len(data)] = data

    def peek(self, address: int, size: int, *, user: bool) -> bytes | None:
        """Return bytes as a probe_read helper gets them: None instead of an error where nothing is mapped."""
        region = (self.user if user else self.kernel).get(address >> WINDOW_BITS)
        if region is None or address - region.base + size > len(region.data):
            return None
        start = address - region.base
        return bytes(region.data[start : start + size])

    def peek_string(self, address: int, size: int, *, user: bool) -> bytes | None:
        """Return at most `size - 1` bytes up to a NUL, None if the memory ends before either."""
        region = (self.user if user else self.kernel).get(address >> WINDOW_BITS)
        if region is None:
            return None
        start = address - region.base
        chunk = bytes(region.data[start : start + size])
        end = chunk.find(0)
        if end >= 0:
            return chunk[:end]
        return chunk[: size - 1] if len(chunk) == size else None

    def fault(self, address: int, size: int, verb: str) -> InterpretError:
        """Return the error that tells why an access is impossible."""
        region = self.kernel.get(address >> WINDOW_BITS)
        above = self.kernel.get(address + _GUARD_BYTES >> WINDOW_BITS)
        if above is not None and (region is None or address - region.base >= len(region.data)):
            region = above  # a pointer that ran below its region
        what = f"{verb} of {size} bytes at {address:#x}"
        if region is None:
            where = "user memory" if address >> WINDOW_BITS in self.user else "nothing" if address >= 4096 else "NULL"
            return InterpretError(f"{what}: that is {where}")
        offset = address - region.base
        if offset + size <= len(region.data) and verb != "read":
            return InterpretError(f"{what}: {region} is read-only")
        after = f"offset {offset} of {region}, which has {len(region.data)} bytes"
        return InterpretError(f"{what}: {after}")
