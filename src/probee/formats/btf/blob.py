"""A BTF blob's sections: header, type words, strings.  Mirrors struct btf_header of include/uapi/linux/btf.h.

Works on bytes, an mmap or a memoryview without copying.  Every access is checked against the section it falls in:
whatever the bytes are, the only error is BtfError, and it names the offset.  What the words mean is reader.py's work.
"""

from __future__ import annotations

import mmap
import struct

from probee.errors import BtfError
from probee.formats.btf import kind

Buffer = bytes | bytearray | mmap.mmap | memoryview


class Blob:
    """The sections of one blob.  `types` is a view of native u32 words, `strings` a view of bytes."""

    __slots__ = ("flags", "size", "strings", "tails", "types", "types_at")

    flags: int
    types_at: int  # where the type section begins in the data, in bytes

    def __init__(self, data: Buffer, *, split: bool = False) -> None:
        view = memoryview(data).cast("B")
        self.size = len(view)
        if self.size < kind.HEADER_SIZE:
            raise BtfError(f"BTF ends inside its header: {self.size} bytes")
        magic, version, self.flags, header, type_off, type_len, str_off, str_len = struct.unpack_from("=HBBIIIII", view)
        if magic != kind.MAGIC:
            swapped = magic == 0x9FEB
            raise BtfError("BTF of the other byte order" if swapped else f"not BTF: magic {magic:#06x} at offset 0")
        if version != kind.VERSION:
            raise BtfError(f"BTF version {version} at offset 2; only version {kind.VERSION} is known")
        if header < kind.HEADER_SIZE:
            raise BtfError(f"BTF header length {header} at offset 4 is less than {kind.HEADER_SIZE}")
        if type_len % 4:
            raise BtfError(f"BTF type section length {type_len} at offset 12 is not a multiple of 4")
        self.types_at = header + type_off
        self.types = self._section(view, "type", self.types_at, type_len).cast("I")
        self.strings = self._section(view, "string", header + str_off, str_len)
        if not split and (not str_len or self.strings[0]):
            raise BtfError(f"BTF strings at offset {header + str_off} do not begin with a zero byte")
        if str_len and self.strings[-1]:  # split BTF may have no strings of its own
            raise BtfError(f"BTF strings at offset {header + str_off} do not end with a zero byte")
        self.tails = self._layout(view, header)

    def _section(self, view: memoryview, name: str, start: int, length: int) -> memoryview:
        if start + length > self.size:
            raise BtfError(f"BTF {name} section [{start}, {start + length}) ends after the data's {self.size} bytes")
        return view[start : start + length]

    def _layout(self, view: memoryview, header: int) -> dict[int, tuple[int, int]]:
        """Return kind.TAILS, with the kinds that only the blob's own layout section knows (Linux 7.1) added.

        struct btf_layout { u8 info_sz; u8 elem_sz; u16 flags; } per kind, sizes in bytes after the three words.
        """
        if header < 32 or self.size < 32:
            return kind.TAILS
        offset, length = struct.unpack_from("=II", view, 24)
        if not length:
            return kind.TAILS
        section = self._section(view, "layout", header + offset, length)
        tails = dict(kind.TAILS)
        for number in range(kind.ENUM64 + 1, length // 4):
            info_size, element_size = section[number * 4], section[number * 4 + 1]
            if not info_size % 4 and not element_size % 4:
                tails[number] = (3 + info_size // 4, element_size // 4)
        return tails

    def string(self, offset: int) -> bytes:
        """Return the bytes up to the next zero."""
        strings = self.strings
        if offset >= len(strings):
            raise BtfError(f"BTF string offset {offset} is outside the string section of {len(strings)} bytes")
        length = 40
        while True:  # ends: the last byte is zero
            piece = bytes(strings[offset : offset + length])
            end = piece.find(0)
            if end >= 0:
                return piece[:end]
            length *= 4
