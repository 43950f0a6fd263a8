"""Reading ELF files: header, sections, segments, notes, and what they say about a file as a whole.

The structures of /usr/include/elf.h: Ehdr, Shdr, Phdr, Nhdr and Dyn, of 32 and 64 bits and of both byte orders.  Nothing is
decoded before it is asked for, so that opening a file of 500 MB costs its headers.  Whatever the bytes are, the only error
is FormatError.  Symbols are in symbol.py, USDT probes in usdt.py; opening a path is the work of kernel/symbols/binary.py.
"""

from __future__ import annotations

import sys
from struct import Struct, calcsize, unpack_from

from probee.errors import FormatError
from probee.formats.elf.lookup import SymbolLookup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap

    from probee.formats.elf.symbol import SymbolTable

    Buffer = bytes | mmap

RELOCATABLE, EXECUTABLE, SHARED, CORE = 1, 2, 3, 4  # types of files; position-independent executables are SHARED
X86, ARM, X86_64, AARCH64 = 3, 40, 62, 183  # machines
SYMTAB, STRTAB, DYNAMIC, NOTE, NOBITS, DYNSYM = 2, 3, 6, 7, 8, 11  # types of sections
ALLOC, EXEC = 2, 4  # flags of sections
LOAD, PT_DYNAMIC, INTERP, PT_NOTE = 1, 2, 3, 4  # types of segments
SEGMENT_EXEC = 1  # flag of segments
BUILD_ID, STAPSDT = 3, 3  # types of notes: of "GNU" and of "stapsdt"

_MAGIC = b"\x7fELF"
_DT_STRTAB, _DT_SONAME, _DT_FLAGS_1 = 5, 14, 0x6FFF_FFFB
_DF_1_PIE = 0x0800_0000
_EXTENDED = 0xFFFF  # SHN_XINDEX, PN_XNUM: the number does not fit; it is in section 0
_LARGEST_DEBUGDATA = 1 << 28
MACHINES = {X86: "i386", ARM: "arm", X86_64: "x86_64", AARCH64: "aarch64"}


class Section:
    """A row of the table of sections; `link` and `info` mean what the type says."""

    __slots__ = ("address", "align", "entry_size", "flags", "info", "link", "name", "name_offset", "offset", "size", "type")

    def __init__(self, row: tuple[int, ...]) -> None:
        self.name = ""
        self.name_offset, self.type, self.flags, self.address, self.offset, self.size = row[:6]
        self.link, self.info, self.align, self.entry_size = row[6:]


class Segment:
    """A row of the table of segments (program headers)."""

    __slots__ = ("address", "align", "file_size", "flags", "memory_size", "offset", "type")

    def __init__(self, row: tuple[int, ...], *, wide: bool) -> None:
        if wide:
            self.type, self.flags, self.offset, self.address, _, self.file_size, self.memory_size, self.align = row
        else:
            self.type, self.offset, self.address, _, self.file_size, self.memory_size, self.flags, self.align = row


class ElfFile(SymbolLookup):
    """One ELF file in memory, mapped or read; `name` is what messages call it.

    Addresses are those the linker gave, file offsets count from the first byte of the file; `base` is where this one begins
    in another file, an archive, from whose first byte offsets then count.
    """

    __slots__ = (
        "_sections", "_segments", "_shnum", "_shoff", "_shstrndx", "_tables", "base", "data", "entry", "machine", "name",
        "order", "type", "view", "wide",
    )  # fmt: skip

    def __init__(self, data: Buffer, name: str = "the file", *, base: int = 0) -> None:
        self.data = data
        self.base = base
        self.view = memoryview(data)
        self.name = name
        if len(data) < 52 or data[:4] != _MAGIC:
            raise self.broken("is no ELF file" if data[:4] != _MAGIC else "ends within its header")
        bits, order, version = data[4:7]
        if bits not in (1, 2) or order not in (1, 2) or version != 1:
            raise self.broken(f"has an unknown ELF header (class {bits}, byte order {order}, version {version})")
        self.wide = bits == 2
        self.order = "<" if order == 1 else ">"
        self.type, self.machine, _, self.entry, phoff, self._shoff, *rest = self._header()
        _, _, phentsize, phnum, shentsize, self._shnum, self._shstrndx = rest
        self._sections: list[Section] | None = None
        self._tables: dict[int, SymbolTable | None] = {}
        self._extend(shentsize)
        if phnum == _EXTENDED and self._shnum:
            phnum = self.sections[0].info
        self._segments = self._read_segments(phoff, phentsize, phnum)

    def broken(self, what: str) -> FormatError:
        return FormatError(f"{self.name} {what}")

    @property
    def native(self) -> bool:
        """Whether numbers in the file are as this machine has them."""
        return (self.order == "<") == (sys.byteorder == "little")

    def unpack(self, format: str, offset: int) -> tuple[int, ...]:
        """Return the numbers at an offset of the file."""
        if offset < 0 or offset + calcsize(f"={format}") > len(self.data):
            raise self.broken(f"ends before offset {offset:#x}, where it should go on")
        return unpack_from(self.order + format, self.data, offset)

    def _header(self) -> tuple[int, ...]:
        return self.unpack("HHIQQQIHHHHHH" if self.wide else "HHIIIIIHHHHHH", 16)

    # -- sections and segments

    def _extend(self, entry_size: int) -> None:
        """Find the number of sections where the header has no room for it, and check the table."""
        size = 64 if self.wide else 40
        if not self._shoff:
            self._shnum = 0
            return
        if entry_size != size:
            raise self.broken(f"has a table of sections with rows of {entry_size} bytes")
        if not self._shnum or self._shstrndx == _EXTENDED:
            first = Section(self.unpack("IIQQQQIIQQ" if self.wide else "10I", self._shoff))
            self._shnum = self._shnum or first.size
            self._shstrndx = first.link if self._shstrndx == _EXTENDED else self._shstrndx
        if self._shoff + self._shnum * size > len(self.data):
            raise self.broken("is cut off: its table of sections lies behind its end")

    @property
    def sections(self) -> list[Section]:
        """The sections in the order of their numbers."""
        if self._sections is None:
            row = Struct(self.order + ("IIQQQQIIQQ" if self.wide else "10I"))
            rows = self.view[self._shoff : self._shoff + self._shnum * row.size]
            self._sections = [Section(numbers) for numbers in row.iter_unpack(rows)]
            if self._shstrndx < len(self._sections):
                self._name(self._sections, self._sections[self._shstrndx])
        return self._sections

    def _name(self, sections: list[Section], names: Section) -> None:
        try:
            text = bytes(self.contents(names))
        except FormatError:
            return  # sections without names are still sections
        for section in sections:
            end = text.find(b"\0", section.name_offset)
            section.name = text[section.name_offset : end if end >= 0 else None].decode("utf-8", "replace")

    def section(self, name: str) -> Section | None:
        """Return the first section of a name."""
        return next((section for section in self.sections if section.name == name), None)

    def contents(self, section: Section) -> memoryview:
        """Return the bytes of a section; none of one without bytes in the file."""
        if section.type == NOBITS:
            return self.view[:0]
        return self.bytes_at(section.offset, section.size, f"section {section.name}")

    def bytes_at(self, offset: int, size: int, what: str) -> memoryview:
        if offset + size > len(self.data):
            raise self.broken(f"is cut off: {what} lies behind its end")
        return self.view[offset : offset + size]

    @property
    def segments(self) -> list[Segment]:
        return self._segments

    def _read_segments(self, offset: int, entry_size: int, count: int) -> list[Segment]:
        if not offset or not count:
            return []
        row = Struct(self.order + ("IIQQQQQQ" if self.wide else "8I"))
        if entry_size != row.size:
            raise self.broken(f"has a table of segments with rows of {entry_size} bytes")
        rows = self.bytes_at(offset, count * row.size, "the table of segments")
        return [Segment(numbers, wide=self.wide) for numbers in row.iter_unpack(rows)]

    # -- addresses

    def file_offset(self, address: int) -> int | None:
        """Return where in the file an address of the program is; None when the file does not hold it (.bss, no segment)."""
        for segment in self._segments:
            if segment.type == LOAD and 0 <= address - segment.address < segment.file_size:
                return address - segment.address + segment.offset + self.base
        return None

    def address(self, file_offset: int) -> int | None:
        """Return the address that a byte of the file gets; of several segments that hold it, code goes first."""
        found = None
        file_offset -= self.base
        for segment in self._segments:
            if segment.type == LOAD and 0 <= file_offset - segment.offset < segment.file_size:
                if segment.flags & SEGMENT_EXEC:
                    return file_offset - segment.offset + segment.address
                found = file_offset - segment.offset + segment.address if found is None else found
        return found

    # -- the file as a whole

    @property
    def architecture(self) -> str:
        """The machine as `uname -m` calls it, or its number."""
        return MACHINES.get(self.machine, str(self.machine))

    @property
    def interpreter(self) -> str:
        """The dynamic linker that the kernel starts (PT_INTERP), "" for libraries and static programs."""
        for segment in self._segments:
            if segment.type == INTERP:
                return _text(bytes(self.bytes_at(segment.offset, segment.file_size, "the interpreter's name")))
        return ""

    @property
    def is_pie(self) -> bool:
        """Whether this is an executable that can be loaded anywhere."""
        if self.type != SHARED:
            return False
        return bool(self.interpreter) or any(tag == _DT_FLAGS_1 and value & _DF_1_PIE for tag, value in self.dynamic())

    @property
    def soname(self) -> str:
        """The name by which programs ask for this library (DT_SONAME), "" without one."""
        entries = dict(self.dynamic())
        at = self.file_offset(entries.get(_DT_STRTAB, -1))
        if _DT_SONAME not in entries or at is None or at - self.base + entries[_DT_SONAME] >= len(self.data):
            return ""
        at += entries[_DT_SONAME] - self.base
        return _text(self.data[at : at + 4096])

    def dynamic(self) -> Iterator[tuple[int, int]]:
        """Yield (tag, value) of the dynamic linker's table."""
        for segment in self._segments:
            if segment.type == PT_DYNAMIC:
                row = Struct(self.order + ("qQ" if self.wide else "iI"))
                table = self.bytes_at(segment.offset, segment.file_size, "the dynamic linker's table")
                for tag, value in row.iter_unpack(table[: len(table) // row.size * row.size]):
                    if not tag:
                        return
                    yield tag, value

    @property
    def build_id(self) -> str:
        """The build id in hexadecimal, "" when there is none."""
        for area, align in self._note_areas():
            try:
                for name, type, content in self.notes(area, align):
                    if type == BUILD_ID and name == b"GNU":
                        return content.hex()
            except FormatError:
                continue  # broken notes say nothing; another area may
        return ""

    def _note_areas(self) -> Iterator[tuple[memoryview, int]]:
        """Yield (bytes, alignment) of what holds notes: the segments, and the sections for files without."""
        for segment in self._segments:
            if segment.type == PT_NOTE and segment.offset + segment.file_size <= len(self.data):
                yield self.view[segment.offset : segment.offset + segment.file_size], segment.align
        for section in self.sections:
            if section.type == NOTE and section.offset + section.size <= len(self.data):
                yield self.view[section.offset : section.offset + section.size], section.align

    def notes(self, area: memoryview, align: int = 4) -> Iterator[tuple[bytes, int, memoryview]]:
        """Yield (name, type, content) of each note in an area."""
        mask = 7 if align == 8 else 3
        at, row = 0, Struct(self.order + "III")
        while at + 12 <= len(area):
            name_size, size, type = row.unpack_from(area, at)
            start = (at + 12 + name_size + mask) & ~mask
            if start + size > len(area):
                raise self.broken("has a note that is cut off")
            yield bytes(area[at + 12 : at + 12 + name_size]).rstrip(b"\0"), type, area[start : start + size]
            at = (start + size + mask) & ~mask

    @property
    def debug_link(self) -> tuple[str, int] | None:
        """The file name of the separate debug file and the CRC-32 of its bytes (.gnu_debuglink)."""
        section = self.section(".gnu_debuglink")
        if section is None:
            return None
        content = bytes(self.contents(section))
        end = content.find(b"\0")
        at = (end + 4) & ~3
        if end <= 0 or at + 4 > len(content):
            raise self.broken("has a .gnu_debuglink that is cut off")
        (crc,) = unpack_from(self.order + "I", content, at)
        return _text(content[:end]), crc

    def mini_debug(self) -> ElfFile | None:
        """Return the file within the file that holds the symbols of a stripped one (.gnu_debugdata, compressed by xz)."""
        section = self.section(".gnu_debugdata")
        if section is None:
            return None
        import lzma

        try:
            data = lzma.LZMADecompressor().decompress(bytes(self.contents(section)), _LARGEST_DEBUGDATA)
        except (lzma.LZMAError, EOFError):
            raise self.broken("has a .gnu_debugdata that cannot be decompressed") from None
        return ElfFile(data, f"{self.name}'s .gnu_debugdata")

    # -- symbols

    @property
    def symtab(self) -> SymbolTable | None:
        """The linker's symbols; stripped files have none."""
        return self._symbol_table(SYMTAB)

    @property
    def dynsym(self) -> SymbolTable | None:
        """The symbols that the dynamic linker needs."""
        return self._symbol_table(DYNSYM)

    def _symbol_table(self, type: int) -> SymbolTable | None:
        if type not in self._tables:
            from probee.formats.elf.symbol import SymbolTable

            section = next((section for section in self.sections if section.type == type and section.size), None)
            self._tables[type] = SymbolTable(self, section) if section is not None else None
        return self._tables[type]

    def tables(self) -> list[SymbolTable]:
        """Return the tables of symbols in the order in which names are looked up: all symbols, then the dynamic ones."""
        return [table for table in (self.symtab, self.dynsym) if table is not None]


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("utf-8", "surrogateescape")
