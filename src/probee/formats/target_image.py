"""What a target file holds, and its container: `TargetImage`, `encode_image`, `ImageReader`.

A file is a header (magic, version, length and CRC-32 of the metadata), the metadata as JSON, and sections that are read
only when asked for.  Blobs lie raw at multiples of 8, so that they can be mapped; texts are deflated.  No addresses are
in it: names only, so that a file may be passed on.  Whatever the bytes are, the only error is FormatError.
"""

from __future__ import annotations

import struct
import zlib

from probee.errors import FormatError
from probee.formats.btf.blob import Buffer
from probee.formats.btf.reader import Btf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HEADER = struct.Struct("<8sIII")  # magic, version, length of the metadata, its CRC-32
_MAGIC = b"probeeTG"
_VERSION = 1
_MAX_TEXT = 1 << 28  # bytes that a deflated section may have; a kernel's symbols have 5 MB


def digest(data: str | bytes | memoryview) -> str:
    """Return a short digest of an answer, for `Target.reads`."""
    from _blake2 import blake2b  # hashlib would load OpenSSL

    return str(blake2b(data.encode() if isinstance(data, str) else data, digest_size=16).hexdigest())


class TargetImage:
    """Everything a Target knows, in memory and inert.  Empty parts are allowed."""

    __slots__ = ("arch", "btf", "features", "formats", "functions", "kconfig", "release", "symbols")

    def __init__(
        self,
        arch: str,
        release: str,
        *,
        btf: dict[str, Buffer] | None = None,
        formats: dict[str, str] | None = None,
        functions: list[tuple[str, str]] | None = None,
        symbols: list[str] | None = None,
        kconfig: dict[str, str] | None = None,
        features: dict[str, bool] | None = None,
    ) -> None:
        self.arch = arch
        self.release = release
        self.btf = btf or {}  # "vmlinux" or a module's name → blob
        self.formats = formats or {}  # "category:name" → text of the format file
        self.functions = functions or []  # (name, module or "") of what kprobes may sit on
        self.symbols = symbols or []  # names in kallsyms
        self.kconfig = kconfig or {}  # name without CONFIG_ → value
        self.features = features or {}  # every feature that was asked for → whether the kernel has it


def encode_image(image: TargetImage) -> bytes:
    """Return the bytes of a target file."""
    writer = _Writer()
    vmlinux = Btf(image.btf["vmlinux"]) if "vmlinux" in image.btf else None
    digests = {}
    for module, blob in sorted(image.btf.items(), key=lambda item: (item[0] != "vmlinux", item[0])):
        data = bytes(memoryview(blob))
        btf = vmlinux if module == "vmlinux" else Btf(data, vmlinux)
        assert btf is not None
        digests[module] = digest(data)
        writer.raw(f"btf/{module}", data)
        writer.raw(f"index/{module}", btf.index.save(digests[module].encode()))
    formats = sorted(image.formats.items())
    table, start = [], 0
    for name, text in formats:
        length = len(text.encode())
        table.append(f"{name}\t{start}\t{length}")
        start += length
    writer.text("formats", "".join(text for _, text in formats))
    writer.text("tracepoints", _lines(table))
    writer.text("functions", _lines(f"{name}\t{module}" for name, module in sorted(image.functions)))
    writer.text("symbols", _lines(sorted(set(image.symbols))))
    return writer.finish({
        "arch": image.arch, "release": image.release, "kconfig": image.kconfig, "features": image.features, "btf": digests,
    })  # fmt: skip


def _lines(lines: Any) -> str:
    """Join lines so that each has a newline on both sides, and can be found with them."""
    return "".join(f"\n{line}" for line in lines) + "\n"


class _Writer:
    def __init__(self) -> None:
        self.sections: dict[str, tuple[int, int, int]] = {}
        self.data = bytearray()

    def raw(self, name: str, data: bytes) -> None:
        self.data += bytes(-len(self.data) % 8)
        self.sections[name] = (len(self.data), len(data), -1)
        self.data += data

    def text(self, name: str, text: str) -> None:
        data = text.encode()
        packed = zlib.compress(data, 6)
        self.raw(name, packed)
        self.sections[name] = (self.sections[name][0], len(packed), len(data))

    def finish(self, meta: dict[str, Any]) -> bytes:
        import json

        encoded = json.dumps({**meta, "sections": self.sections}, sort_keys=True).encode()
        encoded += b" " * (-(_HEADER.size + len(encoded)) % 8)
        return _HEADER.pack(_MAGIC, _VERSION, len(encoded), zlib.crc32(encoded)) + encoded + bytes(self.data)


class ImageReader:
    """A target file's metadata, checked, and its sections, lazily."""

    __slots__ = ("_data", "_sections", "_start", "arch", "btf", "features", "kconfig", "release")

    def __init__(self, data: Buffer) -> None:
        self._data = memoryview(data)
        meta, self._start = self._metadata()
        self.arch = _checked(meta, "arch", str)
        self.release = _checked(meta, "release", str)
        self.kconfig: dict[str, str] = _checked_dict(meta, "kconfig", str)
        self.features: dict[str, bool] = _checked_dict(meta, "features", bool)
        self.btf: dict[str, str] = _checked_dict(meta, "btf", str)
        self._sections: dict[str, list[int]] = _checked_dict(meta, "sections", list)

    def _metadata(self) -> tuple[dict[str, Any], int]:
        import json

        if len(self._data) < _HEADER.size:
            raise FormatError("not a target file: too short")
        magic, version, length, checksum = _HEADER.unpack_from(self._data)
        if magic != _MAGIC:
            raise FormatError("not a target file; `probee target dump FILE` writes one")
        if version != _VERSION:
            raise FormatError(f"target file of version {version}; this probee reads version {_VERSION}: dump it again")
        encoded = bytes(self._data[_HEADER.size : _HEADER.size + length])
        if len(encoded) != length or zlib.crc32(encoded) != checksum:
            raise FormatError("the target file's metadata is damaged: dump it again")
        try:
            meta = json.loads(encoded)
        except (ValueError, RecursionError):
            raise FormatError("the target file's metadata is not JSON: dump it again") from None
        if not isinstance(meta, dict):
            raise FormatError("the target file's metadata is not an object: dump it again")
        return meta, _HEADER.size + length

    def _section(self, name: str) -> tuple[memoryview, int]:
        row = self._sections.get(name)
        if row is None or len(row) != 3 or any(type(number) is not int for number in row):
            raise FormatError(f"the target file has no section {name!r}: dump it again")
        start, length, raw_length = row
        if start < 0 or length < 0 or self._start + start + length > len(self._data):
            raise FormatError(f"section {name!r} lies outside the target file: it was cut off; dump it again")
        start += self._start
        return self._data[start : start + length], raw_length

    def blob(self, name: str) -> memoryview:
        """Return a raw section without copying it."""
        return self._section(name)[0]

    def text(self, name: str) -> bytes:
        """Return a text section, inflated."""
        packed, length = self._section(name)
        if not 0 <= length <= _MAX_TEXT:
            raise FormatError(f"section {name!r} of the target file claims {length} bytes: dump it again")
        try:
            data = zlib.decompressobj().decompress(packed, length + 1)
        except zlib.error:
            data = b""
        if len(data) != length:
            raise FormatError(f"section {name!r} of the target file is damaged: dump it again")
        return data


def _checked(meta: dict[str, Any], key: str, type: type) -> Any:
    value = meta.get(key)
    if not isinstance(value, type):
        raise FormatError(f"the target file's {key!r} is missing or of the wrong type: dump it again")
    return value


def _checked_dict(meta: dict[str, Any], key: str, type: type) -> Any:
    value = _checked(meta, key, dict)
    if not all(isinstance(item, type) for item in value.values()):
        raise FormatError(f"the target file's {key!r} holds a value of the wrong type: dump it again")
    return value
