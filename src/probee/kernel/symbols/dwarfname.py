"""Entries of DWARF by their names, without reading all entries: where a name's bytes are mentioned, an entry may begin.

A name stands in .debug_info itself or is an offset into .debug_str; either is looked for as bytes, and what is found counts
if an entry that begins shortly before has its name exactly there.  Units that count their strings by number (DW_FORM_strx:
split ones, and those of clang) are read from the top.
"""

from __future__ import annotations

from probee.kernel.symbols.dwarfunit import SCOPES, names_of, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from typing import Any, Literal

    from probee.kernel.symbols.dwarfunit import Unit

_MOST_STRINGS = 16  # other strings that end with the name, whose tail the linker lets it share
_BEFORE_ADDRESS = 40  # bytes of a function's entry before its address
_BEFORE = 8  # bytes of an entry before its name: its code, and what little some compilers write first


def entry_named(dwarf: Any, units: Callable[[], Iterable[Unit]], name: str, tags: Collection[str]) -> Any:
    """Return an entry that defines something of that name, None when there is none; `units` gives all of the file's."""
    for die in _mentioned(dwarf, name, tags):
        return die
    numbered = dwarf.debug_str_offsets_sec is not None or dwarf.debug_addr_sec is not None
    for unit in units() if numbered else ():
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


def function_of(cu: Any, address: int, name: str) -> Any:
    """Return the entry of the function of a name that begins at an address; None when it is not so easily found.

    Its address stands in .debug_info, too, unless the function has been split or the unit counts addresses by number.
    """
    dwarf = cu.dwarfinfo
    info = dwarf.debug_info_sec.stream.getvalue()
    order: Literal["little", "big"] = "little" if dwarf.config.little_endian else "big"
    needle, end = address.to_bytes(cu["address_size"], order), cu.cu_offset + cu.size
    at = info.find(needle, cu.cu_die_offset, end)
    while at >= 0:
        for start in range(at - 1, max(at - _BEFORE_ADDRESS, cu.cu_die_offset), -1):
            if _has_there(cu, info, start, "DW_AT_low_pc", at, ("DW_TAG_subprogram",)):
                die = cu.get_DIE_from_refaddr(start)
                if name in names_of(die):
                    return die
        at = info.find(needle, at + 1, end)
    return None


def _has_there(cu: Any, info: bytes, start: int, attribute: str, at: int, tags: Collection[str]) -> bool:
    """Return whether an entry of one of some kinds that begins at `start` would have an attribute at `at`."""
    code, here = info[start], start + 1
    if code >= 0x80:
        code, here = code & 0x7F | info[here] << 7, here + 1
    try:
        abbreviation = cu.get_abbrev_table().get_abbrev(code)
    except KeyError:
        return False
    if abbreviation["tag"] not in tags:
        return False
    for spec in abbreviation["attr_spec"]:
        if spec.name == attribute:
            return here == at
        size = _SIZES.get(spec.form, -1)
        here += size if size >= 0 else _varying(info, here, spec.form, at)
        if here > at:
            return False
    return False


_BY_SIZE = {
    0: ("flag_present", "implicit_const"), 1: ("data1", "flag", "ref1", "strx1", "addrx1"),
    2: ("data2", "ref2", "strx2", "addrx2"), 3: ("strx3", "addrx3"), 8: ("data8", "ref8", "ref_sig8", "addr"),
    4: ("data4", "ref4", "strp", "line_strp", "sec_offset", "ref_addr", "strx4", "addrx4", "GNU_ref_alt", "GNU_strp_alt"),
}  # fmt: skip
_SIZES = {f"DW_FORM_{form}": size for size, forms in _BY_SIZE.items() for form in forms}


def _varying(info: bytes, at: int, form: str, limit: int) -> int:
    """Return the size of an attribute whose form does not tell; one that is too large for what nobody needs to read."""
    if form in ("DW_FORM_udata", "DW_FORM_sdata", "DW_FORM_ref_udata", "DW_FORM_strx", "DW_FORM_addrx"):
        end = at
        while end < limit and info[end] >= 0x80:
            end += 1
        return end + 1 - at
    if form == "DW_FORM_string":
        return info.find(b"\0", at) + 1 - at
    return limit + 1 - at


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
    cu = dwarf.get_CU_containing(at)
    info = dwarf.debug_info_sec.stream.getvalue()
    for start in range(at - 1, max(at - 1 - _BEFORE, cu.cu_die_offset - 1), -1):
        if _has_there(cu, info, start, "DW_AT_name", at, tags):
            die = cu.get_DIE_from_refaddr(start)
            if _is_definition(die, name, tags):
                return die
    return None

