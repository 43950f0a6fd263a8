"""Small ELF files for tests, made from parts: sections, symbols, notes, segments, of 32 and 64 bits and both byte orders.

Every file has its text at file offset 0x1000 and, unless told otherwise, one segment that maps the whole file at `base`.
"""

from __future__ import annotations

from struct import pack

TEXT_OFFSET = 0x1000


class ElfImage:
    def __init__(
        self, *, wide: bool = True, order: str = "<", type: int = 3, machine: int = 62, base: int = 0x400000
    ) -> None:  # fmt: skip
        self.wide, self.order, self.type, self.machine, self.base = wide, order, type, machine, base
        self.parts: list[dict] = [{"name": "", "type": 0, "data": b"", "offset": 0}]
        self.extra_segments: list[tuple[int, int, str]] = []  # type, flags, the section it covers
        self.segments: list[tuple[int, int, int, int, int, int]] | None = None  # type, flags, offset, address, sizes
        self.text = self.section(".text", 1, b"\xc3" * 0x1000, flags=6, offset=TEXT_OFFSET)

    @property
    def text_address(self) -> int:
        return self.base + TEXT_OFFSET

    def section(self, name: str, type: int, data: bytes, **more: int) -> int:
        self.parts.append({"name": name, "type": type, "data": data, **more})
        return len(self.parts) - 1

    def symbols(self, rows: list[tuple], *, dynamic: bool = False, strings: bytes = b"") -> int:
        """Add a table of (name, address, size, type, binding[, section]); `strings` is a ready table that has all names."""
        table = strings or b"\0" + b"".join([row[0].encode() + b"\0" for row in rows])
        packed = [bytes(24 if self.wide else 16)]
        for name, address, size, type, binding, *section in rows:
            at = table.index(b"\0" + name.encode() + b"\0") + 1 if not strings else table.index(name.encode() + b"\0")
            info, number = binding << 4 | type, section[0] if section else self.text
            if self.wide:
                packed.append(pack(self.order + "IBBHQQ", at, info, 0, number, address, size))
            else:
                packed.append(pack(self.order + "IIIBBH", at, address, size, info, 0, number))
        names = self.section(".dynstr" if dynamic else ".strtab", 3, table)
        return self.section(
            ".dynsym" if dynamic else ".symtab", 11 if dynamic else 2, b"".join(packed), link=names, info=1,
            entry_size=24 if self.wide else 16,
        )  # fmt: skip

    def note(self, section: str, name: bytes, type: int, content: bytes, *, segment: bool = False) -> int:
        raw = pack(self.order + "III", len(name) + 1, len(content), type) + _padded(name + b"\0") + _padded(content)
        known = next((part for part in self.parts if part["name"] == section), None)
        if known is not None:
            known["data"] += raw
            return self.parts.index(known)
        if segment:
            self.extra_segments.append((4, 4, section))
        return self.section(section, 7, raw, flags=2, align=4)

    def usdt(self, provider: str, name: str, address: int, arguments: str = "", *, base: int = 0, semaphore: int = 0) -> None:
        numbers = pack(self.order + ("3Q" if self.wide else "3I"), address, base, semaphore)
        self.note(".note.stapsdt", b"stapsdt", 3, numbers + b"".join([t.encode() + b"\0" for t in (provider, name, arguments)]))

    def build_id(self, id: bytes, *, segment: bool = False) -> None:
        self.note(".note.gnu.build-id", b"GNU", 3, id, segment=segment)

    def debug_link(self, name: str, crc: int) -> None:
        self.section(".gnu_debuglink", 1, _padded(name.encode() + b"\0") + pack(self.order + "I", crc))

    def interpreter(self, path: str = "/lib/ld.so") -> None:
        self.section(".interp", 1, path.encode() + b"\0", flags=2)
        self.extra_segments.append((3, 4, ".interp"))

    def build(self) -> bytes:
        """Return the file: header, segments, sections' contents, table of sections."""
        names = b"\0" + b"".join([part["name"].encode() + b"\0" for part in self.parts[1:]]) + b".shstrtab\0"
        self.section(".shstrtab", 3, names)
        body = bytearray(TEXT_OFFSET)
        for part in self.parts[1:]:
            offset = part.get("offset", -(-len(body) // 8) * 8)
            body += bytes(max(0, offset - len(body)))
            part["offset"] = offset
            if part["type"] != 8:
                body[offset : offset + len(part["data"])] = part["data"]
        body += bytes(-len(body) % 8)
        rows = b"".join(self._section_row(part, names) for part in self.parts)
        segments = self._segments(len(body) + len(rows))
        start = 64 if self.wide else 52
        body[start : start + len(segments)] = segments
        body[: start] = self._header(len(body), len(segments))
        return bytes(body) + rows

    def _section_row(self, part: dict, names: bytes) -> bytes:
        name = names.index(part["name"].encode() + b"\0", 0 if not part["name"] else 1)
        address = part.get("address", self.base + part["offset"] if part.get("flags", 0) & 2 else 0)
        size = part.get("size", len(part["data"]))
        row = (
            name, part["type"], part.get("flags", 0), address, part["offset"], size, part.get("link", 0), part.get("info", 0),
            part.get("align", 1), part.get("entry_size", 0),
        )  # fmt: skip
        return pack(self.order + ("IIQQQQIIQQ" if self.wide else "10I"), *row)

    def _segments(self, size: int) -> bytes:
        rows = [(1, 5, 0, self.base, size, size)] if self.segments is None else [*self.segments]
        for type, flags, name in self.extra_segments:
            part = next(part for part in self.parts if part["name"] == name)
            rows.append((type, flags, part["offset"], self.base + part["offset"], len(part["data"]), len(part["data"])))
        return b"".join([self._segment_row(*row) for row in rows])

    def _segment_row(self, type: int, flags: int, offset: int, address: int, file_size: int, memory_size: int) -> bytes:
        if self.wide:
            return pack(self.order + "IIQQQQQQ", type, flags, offset, address, address, file_size, memory_size, 4)
        return pack(self.order + "8I", type, offset, address, address, file_size, memory_size, flags, 4)

    def _header(self, sections_at: int, segment_bytes: int) -> bytes:
        wide = self.wide
        kind = b"\x7fELF" + bytes([2 if wide else 1, 1 if self.order == "<" else 2, 1]) + bytes(9)
        header, segment, section = (64, 56, 64) if wide else (52, 32, 40)
        numbers = (self.type, self.machine, 1, self.text_address, header, sections_at, 0, header, segment)
        counts = (segment_bytes // segment, section, len(self.parts), len(self.parts) - 1)
        return kind + pack(self.order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"), *numbers, *counts)


def _padded(raw: bytes) -> bytes:
    return raw + bytes(-len(raw) % 4)
