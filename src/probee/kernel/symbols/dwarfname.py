"""Entries of DWARF by their names, without reading all entries: where a name's bytes are mentioned, an entry may begin.

A name stands in .debug_info itself or is an offset into .debug_str; either is looked for as bytes, and what is found counts
if an entry that begins shortly before has its name exactly there.  Units that count their strings by number (DW_FORM_strx:
split ones, and those of clang) are read from the top.
"""

from __future__ import annotations

from probee.kernel.symbols.dwarfunit import SCOPES, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from typing import Any, Literal

    from probee.kernel.symbols.dwarfunit import Unit

_MOST_STRINGS = 16  # other strings that end with the name, whose tail the linker lets it share
_BEFORE = 8  # bytes of an entry before its name: its code, and what little some compilers write first


def entry_named(dwarf: Any, units: Callable[[], Iterable[Unit]], name: str, tags: Collection[str]) -> Any:
    """Return an entry that defines something of that name, None when there is none; `units` gives all of the file's."""
    for die in _mentioned(dwarf, name, tags):
        return die
    for unit in units():
        if unit.body is not unit.cu or "DW_AT_str_offsets_base" in unit.cu.get_top_DIE().attributes:
            found = _in_unit(unit.body, name, tags)
            if found is not None:
                return found
    return None


def _is_definition(die: Any, name: str, tags: Collection[str]) -> bool:
    return die.tag in tags and text(die, "DW_AT_name") == name and "DW_AT_declaration" not in die.attributes


def _in_unit(cu: Any, name: str, tags: Collection[str]) -> Any:
    waiting = [cu.get_top_DIE()]
    while waiting:
        for die in waiting.pop().iter_children():
            if _is_definition(die, name, tags):
                return die
            if die.tag in SCOPES:
                waiting.append(die)
    return None


def _mentioned(dwarf: Any, name: str, tags: Collection[str]) -> Iterator[Any]:
    info = dwarf.debug_info_sec.stream.getvalue()
    order: Literal["little", "big"] = "little" if dwarf.config.little_endian else "big"
    raw = name.encode("utf-8", "surrogateescape") + b"\0"
    needles = [raw]
    if dwarf.debug_str_sec is not None:
        strings = dwarf.debug_str_sec.stream.getvalue()
        needles += [offset.to_bytes(4, order) for offset in _offsets(strings, raw)]
    for needle in needles:
        at = info.find(needle)
        while at >= 0:
            die = _around(dwarf, at, name, tags)
            if die is not None:
                yield die
            at = info.find(needle, at + 1)


def _offsets(strings: bytes, raw: bytes) -> list[int]:
    """Return where a string may begin in a table of strings: as one of its own first, then as the end of another."""
    own: list[int] = []
    shared: list[int] = []
    at = strings.find(raw)
    while at >= 0 and len(shared) < _MOST_STRINGS:
        (own if at == 0 or strings[at - 1] == 0 else shared).append(at)
        at = strings.find(raw, at + 1)
    return [offset for offset in (*own, *shared) if offset < 1 << 32]


def _around(dwarf: Any, at: int, name: str, tags: Collection[str]) -> Any:
    """Return the entry whose name is at a place of .debug_info."""
    from elftools.common.exceptions import DWARFError
    from elftools.dwarf.die import DIE

    cu = dwarf.get_CU_containing(at)
    for start in range(at - 1, max(at - 1 - _BEFORE, cu.cu_die_offset - 1), -1):
        try:
            die = DIE(cu, dwarf.debug_info_sec.stream, start)  # not through the unit, which would keep what may be none
        except (DWARFError, KeyError, ValueError, IndexError):
            continue
        named = die.attributes.get("DW_AT_name")
        if named is not None and named.offset == at and _is_definition(die, name, tags):
            return cu.get_DIE_from_refaddr(start)
    return None
