"""Writing a relocatable ELF object for BPF: sections, symbols, relocations.

The layout of /usr/include/elf.h for ELFCLASS64 and the byte order of this machine; EM_BPF is 247.  What goes into the
sections is object.py's business.
"""

from __future__ import annotations

import sys
from struct import pack

from probee.errors import FormatError

NULL, PROGBITS, SYMTAB, STRTAB, REL = 0, 1, 2, 3, 9  # section types
WRITE, ALLOC, EXEC, INFO_LINK = 1, 2, 4, 0x40  # section flags
LOCAL, GLOBAL = 0, 1  # symbol bindings
NOTYPE, OBJECT, FUNC, SECTION = 0, 1, 2, 3  # symbol types
UNDEFINED = 0  # section of a symbol that somebody else defines
R_BPF_64_64 = 1  # the 64-bit immediate of an instruction of two slots

_RELOCATABLE, _EM_BPF = 1, 247
_HEADER_SIZE, _SECTION_SIZE, _SYMBOL_SIZE = 64, 64, 24


class Section:
    __slots__ = ("data", "flags", "name", "relocations", "type")

    def __init__(self, name: str, data: bytes, flags: int, type: int) -> None:
        self.name = name
        self.data = data
        self.flags = flags
        self.type = type
        self.relocations: list[tuple[int, int, int]] = []  # offset, number of the symbol, kind


class ElfWriter:
    """Sections and symbols are numbered as they are added; local symbols must come before global ones."""

    def __init__(self) -> None:
        self._sections = [Section("", b"", 0, NULL)]
        self._symbols = [bytes(_SYMBOL_SIZE)]
        self._locals = 1
        self._strings: dict[str, int] = {"": 0}
        self._string_size = 1

    def section(self, name: str, data: bytes, flags: int = 0, *, type: int = PROGBITS) -> int:
        """Add a section; return its number."""
        self._sections.append(Section(name, data, flags, type))
        return len(self._sections) - 1

    def symbol(
        self, name: str, section: int, value: int = 0, size: int = 0, *, type: int = NOTYPE, binding: int = GLOBAL
    ) -> int:  # fmt: skip
        """Add a symbol; return its number."""
        if binding == LOCAL:
            if self._locals != len(self._symbols):
                raise FormatError(f"the local symbol {name} comes after a global one")
            self._locals += 1
        self._symbols.append(pack("=IBBHQQ", self._string(name), binding << 4 | type, 0, section, value, size))
        return len(self._symbols) - 1

    def relocate(self, section: int, offset: int, symbol: int, kind: int = R_BPF_64_64) -> None:
        """Have the linker put a symbol's address at an offset of a section."""
        self._sections[section].relocations.append((offset, symbol, kind))

    def _string(self, text: str) -> int:
        offset = self._strings.get(text)
        if offset is None:
            offset = self._strings[text] = self._string_size
            self._string_size += len(text.encode("utf-8", "surrogateescape")) + 1
        return offset

    def bytes(self) -> bytes:
        """Return the file: the header, the sections' contents, the table of sections."""
        sections = [*self._sections]
        symtab, strtab = len(sections), len(sections) + 1
        sections += [Section(".symtab", b"".join(self._symbols), 0, SYMTAB), Section(".strtab", b"", 0, STRTAB)]
        links = {symtab: (strtab, self._locals, _SYMBOL_SIZE)}
        for number, section in enumerate(self._sections):
            if section.relocations:
                rows = b"".join(pack("=QQ", at, symbol << 32 | kind) for at, symbol, kind in section.relocations)
                links[len(sections)] = (symtab, number, 16)
                sections.append(Section(f".rel{section.name}", rows, INFO_LINK, REL))
        names = [self._string(section.name) for section in sections]
        sections[strtab].data = b"".join(text.encode("utf-8", "surrogateescape") + b"\0" for text in self._strings)
        return _file(sections, names, links, strtab)


def _file(sections: list[Section], names: list[int], links: dict[int, tuple[int, int, int]], strtab: int) -> bytes:
    body, table, at = [], [bytes(_SECTION_SIZE)], _HEADER_SIZE
    for number, section in enumerate(sections):
        if section.type == NULL:
            continue
        padding = -at % 8
        body += [bytes(padding), section.data]
        link, info, entry = links.get(number, (0, 0, 0))
        size, offset, align = len(section.data), at + padding, 1 if section.type == STRTAB else 8
        row = (names[number], section.type, section.flags, 0, offset, size, link, info, align, entry)
        table.append(pack("=IIQQQQIIQQ", *row))
        at = offset + size
    padding = -at % 8
    order = 1 if sys.byteorder == "little" else 2
    kind = pack("=4sBBBB8s", b"\x7fELF", 2, order, 1, 0, b"")
    places = (0, 0, at + padding, 0, _HEADER_SIZE, 0, 0, _SECTION_SIZE, len(sections), strtab)
    head = pack("=HHIQQQIHHHHHH", _RELOCATABLE, _EM_BPF, 1, *places)
    return b"".join([kind, head, *body, bytes(padding), *table])
