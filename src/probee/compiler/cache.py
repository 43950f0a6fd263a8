"""The ObjectSpec cache: a script that was compiled before starts without the compiler.

An entry's name is the digest of everything that is known before compiling: probee's version, the text, the options that
compile() takes.  What the compile asked the kernel is known only afterwards (Target.reads), so the entry keeps the questions
with their answers, and counts only while all of them still hold.  Who can answer for the running kernel is the caller's
business (kernel/answer.py); this module touches no kernel and does not trust what it reads: the caller gives a directory that
it trusts, and a damaged entry is no entry.

    file   magic, u32 length of the head, u32 CRC-32 of the head, head, bundle (formats/bundle.py)
    head   UTF-8 lines: the boot's id, then question TAB answer for each read
"""

from __future__ import annotations

from binascii import crc32
from struct import Struct

from probee import __version__
from probee.errors import FormatError
from probee.formats.bundle import read_bundle, write_bundle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from probee.model.spec import ObjectSpec

    Holds = Callable[[dict[str, str], str], bool]

_HEADER = Struct("<8sII")
_MAGIC = b"PROBEEC1"
KEPT = 200  # entries per directory; the oldest go first


def cache_key(text: str, options: dict[str, object]) -> str:
    """Return the name of a script's entry: 32 hexadecimal digits."""
    from _blake2 import blake2b  # hashlib would load OpenSSL

    parts = [__version__, _source_stamp(), text, *(f"{name}={options[name]!r}" for name in sorted(options))]
    digest = blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogateescape")
        digest.update(len(data).to_bytes(8, "little") + data)
    return str(digest.hexdigest())


def _source_stamp() -> str:
    """In a checkout the version stays while the compiler changes: return the time of the newest change to it, else ""."""
    import os

    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if not os.path.exists(f"{package}/../../.git"):
        return ""
    newest = 0
    for room in ("compiler", "formats", "model", "probes"):
        for directory, _, files in os.walk(f"{package}/{room}"):
            newest = max(newest, *(os.stat(f"{directory}/{name}").st_mtime_ns for name in files if name.endswith(".py")), 0)
    return str(newest)


def read_entry(data: bytes, holds: Holds) -> ObjectSpec | None:
    """Return the object of an entry; None when it is damaged, of another version, or when an answer no longer holds.

    `holds(reads, boot_id)` says whether the answers are still the kernel's.
    """
    if len(data) < _HEADER.size:
        return None
    magic, length, checksum = _HEADER.unpack_from(data)
    head = data[_HEADER.size : _HEADER.size + length]
    if magic != _MAGIC or len(head) != length or crc32(head) != checksum:
        return None
    try:
        boot_id, *lines = head.decode("utf-8").split("\n")
        reads = dict(line.split("\t", 1) for line in lines)
        if not holds(reads, boot_id):
            return None
        return read_bundle(data[_HEADER.size + length :])
    except (FormatError, UnicodeDecodeError, ValueError):
        return None


def write_entry(spec: ObjectSpec, reads: dict[str, str], boot_id: str) -> bytes | None:
    """Return the bytes of an entry; None for what cannot be kept (a question with a line break or tab in it)."""
    lines = [boot_id]
    for question, answer in sorted(reads.items()):
        if "\n" in question + answer or "\t" in question:
            return None
        lines.append(f"{question}\t{answer}")
    head = "\n".join(lines).encode("utf-8", "surrogateescape")
    return _HEADER.pack(_MAGIC, len(head), crc32(head)) + head + write_bundle(spec)
