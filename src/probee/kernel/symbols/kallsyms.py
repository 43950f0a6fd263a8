"""/proc/kallsyms: the kernel's symbols, by name and by address.

A line is `ADDRESS TYPE NAME`, with `\\t[MODULE]` behind it for what is not in vmlinux (kernel/kallsyms.c, s_show).  The
file is made anew at each read, about 50 ms for 150,000 symbols, so it is read once, when first asked.  A name is found
with bytes.find; addresses become sorted arrays at the first question about one.  User programs' symbols are not here.
"""

from __future__ import annotations

import os
import sys
from array import array
from binascii import unhexlify
from bisect import bisect_left, bisect_right
from itertools import accumulate, compress, count
from operator import gt

from probee.errors import FormatError, PermissionMissing
from probee.model.value import Frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PATH = "/proc/kallsyms"
# No symbol of a kernel is this large: what lies further from its neighbour below has no name.
_LARGEST = 1 << 20
# Absolute and per-CPU symbols are offsets, not addresses; the kernel's half of the address space begins here.
_KERNEL_HALF = 1 << 63
_PIECE = 1 << 18


class Kallsyms:
    """The symbols of a kernel; `path` is another file in tests."""

    __slots__ = ("_addresses", "_data", "_starts", "path")

    def __init__(self, path: str = PATH) -> None:
        self.path = path
        self._data = bytearray()
        self._addresses: array[int] | None = None  # sorted
        self._starts: array[int] = array("I")  # where in the data the line of each address begins

    @property
    def data(self) -> bytearray:
        """The text of the file, with a newline on both sides of every line."""
        if not self._data:
            self._data += b"\n"
            try:
                fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except PermissionError as error:
                raise PermissionMissing(error.errno or 0, f"open({self.path})", self._hidden()) from None
            except FileNotFoundError:
                return self._data
            with open(fd, "rb", buffering=0) as file:
                while piece := file.read(_PIECE):  # in place: a second copy would be 10 MB
                    self._data += piece
            if not self._data.endswith(b"\n"):
                self._data += b"\n"
        return self._data

    def _pieces(self) -> Iterator[tuple[int, list[bytes]]]:
        """Yield the file in pieces, so that few lines exist at a time: (where it begins in the data, its lines)."""
        data, at = self.data, 1
        while at < len(data):
            end = data.rfind(b"\n", at, at + _PIECE) + 1 or data.find(b"\n", at) + 1
            yield at, bytes(data[at:end]).splitlines(keepends=True)
            at = end

    # -- by name

    def has(self, name: str) -> bool:
        """Return whether a symbol of vmlinux or of a module has this name."""
        return self._find(name, "") >= 0

    def address(self, name: str, module: str = "") -> int | None:
        """Return the address of the first symbol with this name, None when there is none.

        PermissionMissing when the kernel shows no addresses to this process.
        """
        at = self._find(name, module)
        if at < 0:
            return None
        found = int(self.data[self.data.rindex(b"\n", 0, at) + 1 : at - 2], 16)
        if not found and not self.shows_addresses():
            import errno

            raise PermissionMissing(errno.EPERM, f"read({self.path})", self._hidden())
        return found

    def functions_named(self, names: Iterable[str]) -> dict[str, list[tuple[int, str]]]:
        """Return (address, module or "") of every function of each of these names; a kernel has several of some."""
        wanted = {name.encode() for name in names}
        found: dict[str, list[tuple[int, str]]] = {}
        for _, lines in self._pieces():
            for line in lines:
                if line[19:-1].partition(b"\t")[0] in wanted and line[17:18] in b"tTwW":
                    name, _, module = line[19:-1].decode().partition("\t")
                    found.setdefault(name, []).append((int(line[:16], 16), module[1:-1]))
        return found

    def modules_with(self, name: str) -> tuple[str, ...]:
        """Return the modules that have a symbol of this name, "" for vmlinux, in the order of the file."""
        found = []
        data = self.data
        for end in (b"\n", b"\t["):
            wanted = b" " + name.encode() + end
            at = data.find(wanted)
            while at >= 0:
                line_end = data.find(b"\n", at + 1)
                found.append((at, data[at + len(wanted) : line_end - 1].decode() if end == b"\t[" else ""))
                at = data.find(wanted, at + 1)
        return tuple(dict.fromkeys(module for _, module in sorted(found)))

    def _find(self, name: str, module: str) -> int:
        """Return where the space before a name is, -1 when the name is not there."""
        wanted = b" " + name.encode()
        if module:
            return self.data.find(wanted + b"\t[" + module.encode() + b"]\n")
        at = self.data.find(wanted + b"\n")
        return at if at >= 0 else self.data.find(wanted + b"\t[")

    def shows_addresses(self) -> bool:
        """Return whether the kernel shows addresses to this process: without, all are 0 (kernel.kptr_restrict)."""
        self._index()
        return bool(self._addresses)

    def _hidden(self) -> str:
        from probee.kernel.syscalls.capability import remedy

        return (
            "the kernel hides its symbols' addresses from this process (sysctl kernel.kptr_restrict):"
            f" it needs CAP_SYSLOG and kernel.kptr_restrict at most 1\n{remedy()}"
        )

    # -- by address

    def resolve(self, address: int) -> Frame:
        """Return the symbol that an address lies in; a Frame without a symbol when there is none."""
        addresses = self._index()
        at = bisect_right(addresses, address) - 1
        if at < 0 or address - addresses[at] >= _LARGEST:
            return Frame(address)
        at = bisect_left(addresses, addresses[at])  # of several names for one address, the kernel takes the first, too
        name, module = self._name(self._starts[at])
        return Frame(address, name, address - addresses[at], module)

    def _name(self, start: int) -> tuple[str, str]:
        line = self._data[start : self._data.find(b"\n", start)].decode("utf-8", "replace")
        name, _, module = line.partition("\t")
        return name.split(" ", 2)[2], module[1:-1]

    def _index(self) -> array[int]:
        if self._addresses is None:
            addresses, starts = self._scan()
            broken = next(compress(count(1), map(gt, addresses, memoryview(addresses)[1:])), 0)
            if broken:  # modules: they are the file's end, and seldom in order
                sorted_end = bisect_left(addresses, min(addresses[broken:]), 0, broken)
                order = sorted(range(sorted_end, len(addresses)), key=addresses.__getitem__)
                addresses[sorted_end:] = array("Q", map(addresses.__getitem__, order))
                starts[sorted_end:] = array("I", map(starts.__getitem__, order))
            first = bisect_left(addresses, _KERNEL_HALF)
            self._addresses, self._starts = addresses[first:], starts[first:]
        return self._addresses

    def _scan(self) -> tuple[array[int], array[int]]:
        """Return the address and the start of every line."""
        addresses, starts = array("Q"), array("I")
        for start, lines in self._pieces():
            try:
                addresses.frombytes(unhexlify(b"".join([line[:16] for line in lines])))
            except ValueError:
                raise FormatError(f"{self.path} has a line that does not begin with an address") from None
            starts.extend(accumulate(map(len, lines[:-1]), initial=start))
        if sys.byteorder == "little":
            addresses.byteswap()
        return addresses, starts

    # -- lists

    def names(self) -> Iterator[str]:
        """Yield all names, in the order of the file, some more than once."""
        for name, _, _ in self.symbols():
            yield name

    def symbols(self) -> Iterator[tuple[str, str, str]]:
        """Yield (name, type letter, module) of all symbols; module is "" for vmlinux."""
        for _, lines in self._pieces():
            for line in lines:
                rest, _, module = line[:-1].decode("utf-8", "replace").partition("\t")
                _, letter, name = rest.split(" ", 2)
                yield name, letter, module[1:-1]
