"""Split debug information (-gsplit-dwarf): units whose functions and types are in a .dwo file, or packed into a .dwp.

Section 7.3 of the DWARF 5 standard: a skeleton unit in the program names the file and an id; addresses come from the program's
.debug_addr, strings from the split file's own tables.  One DWARFInfo of pyelftools is made for each split unit, from its slices
of the file's sections.  The GNU form that came before version 5 is not read.
"""

from __future__ import annotations

import os
from struct import unpack_from

from probee.errors import FormatError
from probee.kernel.symbols.binary import open_elf
from probee.kernel.symbols.debugfile import placed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from probee.formats.elf.read import ElfFile

    Slices = dict[str, bytes]

_INDEX_HEADER = 16  # version, padding, number of columns, of units, of slots
_COLUMNS = {1: "info", 3: "abbrev", 4: "line", 5: "loclists", 6: "str_offsets", 8: "rnglists"}  # DW_SECT_*
_BASES = {  # where a split unit's tables begin, behind their headers
    "DW_AT_str_offsets_base": 8, "DW_AT_rnglists_base": 12, "DW_AT_loclists_base": 12, "DW_AT_stmt_list": 0,
}  # fmt: skip
_ADDRESS_SIZE = 8


def split_unit(
    cu: Any, names: tuple[str, ...], path: str, directories: Sequence[str], note: Callable[[str], None]
) -> Any:
    """Return the unit that a skeleton stands for, None when its file is not there; `names` are the file's, best first.

    `note` is told where it looks.
    """
    id = cu.header.dwo_id
    for candidate in _candidates(names, path, directories):
        note(candidate)
        if not os.path.isfile(candidate):
            continue
        try:
            slices = _slices(open_elf(candidate), id)
        except (FormatError, OSError):
            continue
        found = _unit(cu, slices) if slices else None
        if found is not None and found.header.get("dwo_id") == id:
            return found
    return None


def _candidates(names: tuple[str, ...], path: str, directories: Sequence[str]) -> Iterator[str]:
    yield from names
    for folder in (os.path.dirname(path), *placed(directories, path)):
        for name in names:
            yield os.path.join(folder, os.path.basename(name))
        yield os.path.join(folder, f"{os.path.basename(path)}.dwp")


def _slices(file: ElfFile, id: int) -> Slices | None:
    """Return the parts of a file's sections that belong to one unit: of a .dwo all, of a .dwp what its index says."""
    whole = {name: _content(file, f".debug_{name}.dwo") for name in (*_COLUMNS.values(), "str")}
    index = _content(file, ".debug_cu_index")
    if not index:
        return whole
    places = _places(file, index, id)
    if places is None:
        return None
    return {name: whole[name] if name == "str" else _cut(whole[name], places.get(name, (0, 0))) for name in whole}


def _content(file: ElfFile, name: str) -> bytes:
    section = file.section(name)
    return bytes(file.contents(section)) if section is not None else b""


def _cut(content: bytes, place: tuple[int, int]) -> bytes:
    return content[place[0] : place[0] + place[1]]


def _places(file: ElfFile, index: bytes, id: int) -> dict[str, tuple[int, int]] | None:
    """Return (offset, size) of a unit in each section, from a hash table of ids and a table of offsets and sizes."""
    version, _, columns, units, slots = unpack_from(f"{file.order}HHIII", index.ljust(_INDEX_HEADER, b"\0"))
    rows_at = _INDEX_HEADER + slots * 12
    if version != 5 or rows_at + (2 * units + 1) * columns * 4 > len(index):
        raise file.broken("has a .debug_cu_index that is cut off, or of another version")
    for slot in range(slots):
        (found,) = unpack_from(f"{file.order}Q", index, _INDEX_HEADER + slot * 8)
        (row,) = unpack_from(f"{file.order}I", index, _INDEX_HEADER + slots * 8 + slot * 4)
        if found == id and 1 <= row <= units:
            format = f"{file.order}{columns}I"
            kinds, offsets, sizes = (unpack_from(format, index, rows_at + at * columns * 4) for at in (0, row, units + row))
            places = zip(offsets, sizes, strict=True)
            return {_COLUMNS[kind]: place for kind, place in zip(kinds, places, strict=True) if kind in _COLUMNS}
    return None


def _unit(skeleton: Any, slices: Slices) -> Any:
    """Return the only unit of the slices, with what only its skeleton knows filled in."""
    from elftools.common.exceptions import DWARFError
    from elftools.dwarf.die import AttributeValue

    unit = next(_dwarf_info(skeleton, slices).iter_CUs(), None)
    if unit is None:
        return None
    try:
        top = unit.get_top_DIE()
    except DWARFError:  # strings by number, before the library knows from where on they are counted; the entry is read
        top = unit.get_top_DIE()
    for name, base in _BASES.items():
        if name not in top.attributes:
            top.attributes[name] = AttributeValue(name, "DW_FORM_sec_offset", base, base, 0, 0)
    return unit


def _dwarf_info(skeleton: Any, slices: Slices) -> Any:
    from io import BytesIO

    from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DWARFInfo

    base = skeleton.get_top_DIE().attributes["DW_AT_addr_base"].value

    class SplitInfo(DWARFInfo):  # type: ignore[misc,unused-ignore]
        def get_addr(self, cu: Any, addr_index: int) -> int:
            stream = skeleton.dwarfinfo.debug_addr_sec.stream
            stream.seek(base + addr_index * _ADDRESS_SIZE)
            order = "little" if skeleton.dwarfinfo.config.little_endian else "big"
            return int.from_bytes(stream.read(_ADDRESS_SIZE), order)  # type: ignore[arg-type]

    def section(name: str) -> Any:
        content = slices.get(name.removeprefix("debug_").removesuffix("_sec"), b"")
        return DebugSectionDescriptor(BytesIO(content), f".{name}.dwo", 0, len(content), 0) if content else None

    names = (
        "debug_info_sec", "debug_aranges_sec", "debug_abbrev_sec", "debug_frame_sec", "eh_frame_sec", "debug_str_sec",
        "debug_loc_sec", "debug_ranges_sec", "debug_line_sec", "debug_pubtypes_sec", "debug_pubnames_sec", "debug_addr_sec",
        "debug_str_offsets_sec", "debug_line_str_sec", "debug_loclists_sec", "debug_rnglists_sec", "debug_sup_sec",
        "gnu_debugaltlink_sec", "debug_types_sec",
    )  # fmt: skip
    return SplitInfo(skeleton.dwarfinfo.config, **{name: section(name) for name in names})
