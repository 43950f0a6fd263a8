"""Tables of ELF symbols: by name, by address, and all functions.

Mirrors Elf64_Sym and Elf32_Sym of /usr/include/elf.h.  A table is seen as columns (strided memoryviews), and names are
searched as bytes in the table of strings: half a million symbols are never made into objects.  Which of a file's tables
is asked first is its owner's decision.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from itertools import accumulate, compress
from operator import add, and_
from struct import Struct, pack

from probee.errors import FormatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from probee.formats.elf.read import ElfFile, Section

NOTYPE, OBJECT, FUNC, SECTION, FILE, COMMON, TLS, IFUNC = 0, 1, 2, 3, 4, 5, 6, 10  # types of symbols
LOCAL, GLOBAL, WEAK = 0, 1, 2  # bindings
UNDEFINED, ABSOLUTE = 0, 0xFFF1  # sections of symbols that are in none

_FUNCTIONS = bytes([type & 15 in (FUNC, IFUNC) for type in range(256)])
_PLACES = bytes([type & 15 in (FUNC, IFUNC, OBJECT, COMMON, NOTYPE) for type in range(256)])
_VERSYM, _HIDDEN = 0x6FFF_FFFF, 0x8000
_LAST = (1 << 64) - 1
_FEW = 16  # places of a name in the strings up to which each is searched for alone
_FARTHEST = 4096  # neighbours below an address that are looked at


class Symbol:
    """A symbol: `address` is as the linker gave it, `size` 0 when it is unknown, `section` the section's number."""

    __slots__ = ("address", "binding", "name", "section", "size", "type")

    def __init__(self, name: str, address: int, size: int, type: int, binding: int, section: int) -> None:
        self.name = name
        self.address = address
        self.size = size
        self.type = type
        self.binding = binding
        self.section = section

    @property
    def is_function(self) -> bool:
        return self.type in (FUNC, IFUNC)

    def __repr__(self) -> str:
        return f"Symbol({self.name!r}, {self.address:#x}, size={self.size})"


class SymbolTable:
    """The symbols of one section of a file."""

    __slots__ = ("_count", "_functions", "_infos", "_names", "_places", "_sections", "_sizes", "_strings", "_values", "file")

    def __init__(self, file: ElfFile, section: Section) -> None:
        self.file = file
        size = 24 if file.wide else 16
        if section.entry_size != size:
            raise file.broken(f"has symbols of {section.entry_size} bytes each")
        if section.link >= len(file.sections):
            raise file.broken("has symbols without a table of names")
        rows = file.contents(section)
        self._count = len(rows) // size
        self._strings = file.contents(file.sections[section.link])
        self._names: Sequence[int]
        self._infos: Sequence[int]
        self._sections: Sequence[int]
        self._values: Sequence[int]
        self._sizes: Sequence[int]
        self._split(rows[: self._count * size])
        self._functions: _AddressIndex | None = None
        self._places: _AddressIndex | None = None

    def _split(self, rows: memoryview) -> None:
        """Make columns of the rows."""
        if not self.file.native:
            row = Struct(self.file.order + ("IBBHQQ" if self.file.wide else "IIIBBH"))
            columns = list(zip(*row.iter_unpack(rows), strict=True)) or [()] * 6
            if self.file.wide:
                self._names, self._infos, _, self._sections, self._values, self._sizes = columns
            else:
                self._names, self._values, self._sizes, self._infos, _, self._sections = columns
        elif self.file.wide:
            self._names, self._infos, self._sections = rows.cast("I")[::6], rows[4::24], rows.cast("H")[3::12]
            self._values, self._sizes = rows.cast("Q")[1::3], rows.cast("Q")[2::3]
        else:
            words = rows.cast("I")
            self._names, self._values, self._sizes = words[::4], words[1::4], words[2::4]
            self._infos, self._sections = rows[12::16], rows.cast("H")[7::8]

    def __len__(self) -> int:
        return self._count

    def symbol(self, index: int) -> Symbol:
        """Return a symbol by its number."""
        info = self._infos[index]
        return Symbol(
            self.name(index), self._values[index], self._sizes[index], info & 15, info >> 4, self._sections[index]
        )

    def name(self, index: int) -> str:
        at, strings = self._names[index], self._strings
        step = 64
        while True:
            text = bytes(strings[at : at + step])
            end = text.find(b"\0")
            if end >= 0 or len(text) < step:
                return text[: end if end >= 0 else None].decode("utf-8", "surrogateescape")
            step *= 8

    # -- by name

    def find(self, name: str) -> list[Symbol]:
        """Return the symbols of a name that are defined here: functions first, of several versions the default one first.

        Symbols of a table for the linker may have their version in their name, `memcpy@@GLIBC_2.14`: these are found, too.
        """
        found = [index for index in self._named(name) if self._sections[index] != UNDEFINED]
        order = sorted(found, key=self._order)
        return [self.symbol(index) for index in order]

    def _order(self, index: int) -> tuple[bool, bool, bool]:
        type = self._infos[index] & 15
        return type not in (FUNC, IFUNC), self._is_hidden(index), self._infos[index] >> 4 == LOCAL

    def _named(self, name: str) -> list[int]:
        if not name:
            return []
        strings, offsets = bytes(self._strings), []
        raw = name.encode("utf-8", "surrogateescape")
        endings = (b"\0",) if "@" in name else (b"\0", b"@")
        for ending in endings:
            at = strings.find(raw + ending)
            while at >= 0:
                offsets.append(at)
                at = strings.find(raw + ending, at + 1)
        if len(offsets) <= _FEW and self.file.native:
            return self._indexes(offsets)
        wanted = set(offsets)
        return [index for index, offset in enumerate(self._names) if offset in wanted]

    def _indexes(self, offsets: list[int]) -> list[int]:
        """Return the numbers of the symbols whose names begin at these offsets; searches the column as bytes."""
        if not offsets:
            return []
        assert isinstance(self._names, memoryview)
        column, found = self._names.tobytes(), []
        for offset in offsets:
            wanted = pack("=I", offset)
            at = column.find(wanted)
            while at >= 0:
                if not at & 3:
                    found.append(at >> 2)
                at = column.find(wanted, at + 1)
        return sorted(found)

    def _is_hidden(self, index: int) -> bool:
        """Return whether a dynamic symbol is only there for programs linked against an older version."""
        if self is not self.file.dynsym:
            return "@" in self.name(index).replace("@@", "")
        section = next((section for section in self.file.sections if section.type == _VERSYM), None)
        if section is None or section.size < 2 * index + 2:
            return False
        return bool(self.file.unpack("H", section.offset + 2 * index)[0] & _HIDDEN)

    # -- all

    def function_names(self) -> list[str]:
        """Return the names of the functions that are defined here, each once, in the order of the table; without versions."""
        names = dict.fromkeys(self._texts(self._defined(_FUNCTIONS)))
        if not any("@" in name for name in names):
            return list(names)
        return list(dict.fromkeys([name.partition("@")[0] or name for name in names]))

    def _texts(self, indexes: list[int]) -> list[str]:
        """Return the names of many symbols."""
        offsets = list(map(self._names.__getitem__, indexes))
        raw = bytes(self._strings) + b"\0"
        text = raw.decode("utf-8", "surrogateescape")
        if len(text) != len(raw):  # offsets are of bytes
            return [raw[at : raw.find(b"\0", at)].decode("utf-8", "surrogateescape") for at in offsets]
        find = text.find
        return [text[at : find("\0", at)] for at in offsets]

    def find_many(self, names: Iterable[str]) -> dict[str, list[Symbol]]:
        """Return what `find` returns for each of many names that is here; one pass over the table."""
        wanted: dict[str, list[int]] = {name: [] for name in names}
        indexes = self._defined(_PLACES)
        for index, name in zip(indexes, self._texts(indexes), strict=True):
            found = wanted.get(name) if name in wanted else wanted.get(name.partition("@")[0])
            if found is not None:
                found.append(index)
        return {name: list(map(self.symbol, sorted(each, key=self._order))) for name, each in wanted.items() if each}

    def functions(self) -> Iterator[Symbol]:
        """Yield the functions that are defined here, in the order of the table."""
        return map(self.symbol, self._defined(_FUNCTIONS))

    def _defined(self, types: bytes) -> list[int]:
        """Return the numbers of the symbols of some types that are not undefined."""
        of_types = bytes(self._infos).translate(types)
        defined = map(bool, self._sections)
        return list(compress(range(self._count), map(and_, of_types, defined)))

    # -- by address

    def at(self, address: int) -> Symbol | None:
        """Return the function that an address lies in, else whatever symbol it lies in.

        A symbol of unknown size ends where the next one begins, or its section ends.
        """
        if self._functions is None:
            self._functions = _AddressIndex(self._defined(_FUNCTIONS), self._values, self._sizes)
        found = self._best(self._functions.holding(address), address)
        if found is None:
            if self._places is None:
                self._places = _AddressIndex(self._defined(_PLACES), self._values, self._sizes)
            found = self._best(self._places.holding(address), address)
        return found

    def _best(self, indexes: list[int], address: int) -> Symbol | None:
        """Return the one of several symbols for one address that a reader would know: exported, short of underscores."""
        symbols = [symbol for index in indexes if self._holds(symbol := self.symbol(index), address)]
        return min(symbols, key=_strangeness, default=None)

    def _holds(self, symbol: Symbol, address: int) -> bool:
        if symbol.name.startswith("$") or not symbol.name:  # where code and data change, on ARM
            return False
        if symbol.size:
            return True
        if symbol.section >= len(self.file.sections):
            return address == symbol.address
        section = self.file.sections[symbol.section]
        return address < section.address + section.size


def _strangeness(symbol: Symbol) -> tuple[bool, int, bool]:
    underscores = len(symbol.name) - len(symbol.name.lstrip("_"))
    return symbol.binding == LOCAL, underscores if symbol.name[:2] not in ("_Z", "_R") else 0, symbol.binding == WEAK


class _AddressIndex:
    """Symbols sorted by address; `ends` are the greatest ends of all up to each, to know when to stop looking below."""

    __slots__ = ("addresses", "ends", "indexes", "sizes")

    def __init__(self, indexes: list[int], values: Sequence[int], sizes: Sequence[int]) -> None:
        address_of, size_of = list(values), list(sizes)
        indexes.sort(key=address_of.__getitem__)
        self.indexes = array("I", indexes)
        self.addresses = array("Q", map(address_of.__getitem__, indexes))
        self.sizes = array("Q", map(size_of.__getitem__, indexes))
        ends = accumulate(map(add, self.addresses, self.sizes), max)
        try:
            self.ends = array("Q", ends)
        except OverflowError:  # of a damaged file
            self.ends = array("Q", [_LAST] * len(indexes))

    def holding(self, address: int) -> list[int]:
        """Return the numbers of the symbols with the greatest address that hold an address, or may: those of size 0."""
        addresses, sizes = self.addresses, self.sizes
        if not 0 <= address < 1 << 64:
            raise FormatError(f"{address:#x} is no address")
        nearest = bisect_right(addresses, address) - 1
        at = nearest
        while at >= 0 and nearest - at < _FARTHEST and self.ends[at] > address:
            if address - addresses[at] < sizes[at]:
                first, end = bisect_left(addresses, addresses[at]), bisect_right(addresses, addresses[at])
                return [self.indexes[i] for i in range(first, end) if address - addresses[i] < sizes[i]]
            at -= 1
        if nearest < 0:
            return []
        first = bisect_left(addresses, addresses[nearest])
        return [self.indexes[i] for i in range(first, nearest + 1) if not sizes[i]]
