"""Separate debug files: where distributions put what they strip from programs.

Looked for in gdb's order ("Debugging Information in Separate Files" in its manual): by build id under .build-id of each debug
directory, then by the name in .gnu_debuglink, or the program's own, beside the program, in .debug beside it, and under the
debug directories.  A file counts when its build id is the program's or, without build ids, when its CRC-32 is the link's.
"""

from __future__ import annotations

import os

from probee.errors import FormatError
from probee.formats.elf.read import ElfFile
from probee.kernel.symbols.binary import open_elf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

DEBUG_DIRECTORIES = ("/usr/lib/debug",)
_PIECE = 1 << 20


def find_debug_file(
    file: ElfFile, path: str, *, directories: Sequence[str] = DEBUG_DIRECTORIES, prefix: str = "",
    note: Callable[[str], None] = lambda path: None,
) -> ElfFile | None:  # fmt: skip
    """Return the debug file of a program at `path`, seen below `prefix` (/proc/PID/root); None when there is none.

    `note` is told where it looks: the answer holds as long as nothing changes there.
    """
    build_id = file.build_id
    for candidate in _candidates(file, path, directories, prefix):
        note(candidate)
        found = _open(candidate)
        if found is not None and _belongs(found, file, build_id):
            return found
    return None


def find_common_file(
    file: ElfFile, path: str, *, directories: Sequence[str] = DEBUG_DIRECTORIES, prefix: str = "",
    note: Callable[[str], None] = lambda path: None,
) -> ElfFile | None:  # fmt: skip
    """Return the file that has what several debug files have in common, as dwz makes it; None when there is no need for one.

    FormatError when it is not there.
    """
    section = file.section(".gnu_debugaltlink")
    if section is None:
        return None
    raw, _, id = bytes(file.contents(section)).partition(b"\0")
    name, build_id = raw.decode("utf-8", "surrogateescape"), id.hex()
    near = os.path.join(os.path.dirname(file.name), name)  # an absolute name stays what it is
    by_id = [f"{place}/.build-id/{build_id[:2]}/{build_id[2:]}.debug" for place in placed(directories, path)]
    for candidate in dict.fromkeys((near, f"{prefix}{near}", *(f"{prefix}{other}" for other in by_id))):
        note(candidate)
        found = _open(candidate)
        if found is not None and found.build_id == build_id:
            return found
    raise FormatError(f"{file.name} has a part of its debug information in {name}, which is not there")


def placed(directories: Sequence[str], path: str) -> list[str]:
    """Return where directories are for a program at `path`: relative ones beside it, as elfutils has it, or where we are."""
    found = []
    for directory in directories:
        if not directory.startswith("/"):
            found.append(f"{os.path.dirname(path) or '.'}/{directory}")
        found.append(os.path.abspath(directory))
    return found


def _candidates(file: ElfFile, path: str, directories: Sequence[str], prefix: str) -> Iterator[str]:
    build_id, directories = file.build_id, placed(directories, path)
    roots = (prefix, "") if prefix else ("",)
    if len(build_id) > 2:
        for root in roots:
            for directory in directories:
                yield f"{root}{directory}/.build-id/{build_id[:2]}/{build_id[2:]}.debug"
    folder, name = os.path.split(path)
    for link in dict.fromkeys((_link(file), f"{name}.debug", name)):
        if not link:
            continue
        if link != name:
            yield f"{prefix}{folder}/{link}"
        yield f"{prefix}{folder}/.debug/{link}"
        for root in roots:
            for directory in directories:
                yield f"{root}{directory}{os.path.abspath(folder)}/{link}"
                yield f"{root}{directory}/{link}"


def _link(file: ElfFile) -> str:
    """Return the name in .gnu_debuglink; "" without one, or for one that leads out of the directories."""
    try:
        link = file.debug_link
    except FormatError:
        return ""
    return link[0] if link is not None and "/" not in link[0] else ""


def _open(path: str) -> ElfFile | None:
    try:
        return open_elf(path)
    except (FormatError, OSError):
        return None


def _belongs(found: ElfFile, file: ElfFile, build_id: str) -> bool:
    if build_id and found.build_id:
        return found.build_id == build_id
    try:
        link = file.debug_link
    except FormatError:
        return False
    return link is not None and crc(found) == link[1]


def crc(file: ElfFile) -> int:
    """Return the checksum that a .gnu_debuglink holds of a file."""
    from zlib import crc32

    value = 0
    for at in range(0, len(file.data), _PIECE):
        value = crc32(file.view[at : at + _PIECE], value)
    return value
