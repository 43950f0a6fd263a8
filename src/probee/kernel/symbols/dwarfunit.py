"""The units of DWARF and their entries, as pyelftools hands them out: lines, ranges of code, functions, what is inlined where.

Entries (DIEs) are Any: the library that makes them is an extra, and nothing of it is imported here.  Whatever it raises for
damaged bytes goes through; debuginfo.py makes FormatError of it.
"""

from __future__ import annotations

import os
from bisect import bisect_right

from probee.kernel.symbols.dwarfline import END, STATEMENT, LineTable, line_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from typing import Any, TypeAlias

    Row: TypeAlias = tuple[int, str, int, int, bool]

SCOPES = ("DW_TAG_namespace", "DW_TAG_structure_type", "DW_TAG_class_type", "DW_TAG_module")  # what functions and types are in
_NOCALL = 5  # DW_CC_nocall
_DEEPEST = 64  # inlined into inlined into …


class Unit:
    """A compilation unit; its rows are (address, path, line, column, whether a statement begins)."""

    __slots__ = ("_functions", "_lines", "_paths", "_program", "_ranges", "body", "cu")

    def __init__(self, cu: Any) -> None:
        self.cu = cu
        self.body = cu  # the unit with the functions: another one when the information is split
        self._ranges: list[tuple[int, int]] | None = None
        self._program: Any = None
        self._paths: list[str] | None = None
        self._lines: LineTable | None = None
        self._functions: list[tuple[int, int, Any]] | None = None

    @property
    def is_read(self) -> bool:
        """Whether its functions are known already."""
        return self._functions is not None

    def holds(self, address: int) -> bool:
        if self._ranges is None:
            self._ranges = list(ranges(self.cu.get_top_DIE()))
        return any(start <= address < end for start, end in self._ranges)

    def paths(self, dwarf: Any) -> list[str]:
        """Return the files that the unit was made of, by number; costs the head of the line program only."""
        if self._paths is None:
            self._program = dwarf.line_program_for_CU(self.cu)
            self._paths = _paths(self._program, self.cu) if self._program is not None else []
        return self._paths

    def path(self, number: int, dwarf: Any) -> str:
        """Return a file by the number that DWARF gives it: from 0 on in version 5, from 1 on before."""
        paths = self.paths(dwarf)
        at = number if self._is_modern(dwarf) else number - 1
        return paths[at] if 0 <= at < len(paths) else ""

    def _is_modern(self, dwarf: Any) -> bool:
        self.paths(dwarf)
        return self._program is not None and self._program.header["version"] >= 5

    def call_path(self, number: int, dwarf: Any) -> str:
        """Return a file by the number that an entry gives it: those of a split unit count in a table of their own."""
        if self.body is self.cu:
            return self.path(number, dwarf)
        program = self.body.dwarfinfo.line_program_for_CU(self.body)
        paths = _paths(program, self.cu) if program is not None else []
        return paths[number] if 0 <= number < len(paths) else ""

    def lines(self, dwarf: Any) -> LineTable:
        if self._lines is None:
            self.paths(dwarf)
            self._lines = line_table(self._program) if self._program is not None else LineTable()
        return self._lines

    def row(self, at: int, dwarf: Any) -> Row:
        table = self.lines(dwarf)
        path = self.path(table.files[at], dwarf)
        return table.addresses[at], path, table.lines[at], table.columns[at], bool(table.flags[at] & STATEMENT)

    def rows_of(self, numbers: Collection[int], dwarf: Any) -> Iterator[tuple[Row, int]]:
        """Yield the rows of some files, and what each is: 0 a statement begins, 1 one goes on, 2 one has no code left."""
        table = self.lines(dwarf)
        for at, file in enumerate(table.files):
            if file in numbers and not table.flags[at] & END:
                has_code, begins = table.has_code(at), table.flags[at] & STATEMENT
                if has_code or begins:
                    yield self.row(at, dwarf), 2 if not has_code else 0 if begins else 1

    def numbers_of(self, matches: Callable[[str], bool], dwarf: Any) -> set[int]:
        """Return the numbers of the files whose paths match."""
        first = 0 if self._is_modern(dwarf) else 1
        return {number for number, path in enumerate(self.paths(dwarf), first) if matches(path)}

    def row_at(self, address: int, dwarf: Any) -> Row | None:
        at = self.lines(dwarf).at(address)
        return self.row(at, dwarf) if at >= 0 else None

    def function_at(self, address: int) -> Any:
        """Return the entry of the function whose code is at an address, None where there is none."""
        if self._functions is None:
            found = [(start, end, die) for die in functions(self.body) for start, end in ranges(die)]
            self._functions = sorted(found, key=lambda row: row[0])
        at = bisect_right(self._functions, address, key=lambda row: row[0]) - 1
        return self._functions[at][2] if at >= 0 and address < self._functions[at][1] else None


def _paths(program: Any, cu: Any) -> list[str]:
    """Return the paths of a line program's files, in the order of their numbers."""
    header, top = program.header, cu.get_top_DIE()
    home = text(top, "DW_AT_comp_dir")
    directories = [_decoded(each) for each in header["include_directory"]]
    modern = header["version"] >= 5
    if not modern:
        directories = [home, *directories]
    found = []
    for entry in header["file_entry"]:
        number = entry.dir_index
        folder = directories[number] if 0 <= number < len(directories) else home
        found.append(os.path.normpath(os.path.join(home, folder, _decoded(entry.name))))
    return found


def _decoded(raw: Any) -> str:
    return raw.decode("utf-8", "surrogateescape") if isinstance(raw, bytes) else str(raw)


def text(die: Any, attribute: str) -> str:
    found = die.attributes.get(attribute)
    return _decoded(found.value) if found is not None else ""


def value(die: Any, attribute: str) -> int:
    found = die.attributes.get(attribute)
    return int(found.value) if found is not None and isinstance(found.value, int) else 0


def origin(die: Any) -> Any:
    """Return where an instance of a function is described: its abstract origin, or its declaration."""
    for _ in range(_DEEPEST):
        for attribute in ("DW_AT_abstract_origin", "DW_AT_specification"):
            if attribute in die.attributes:
                die = die.get_DIE_from_attribute(attribute)
                break
        else:
            return die
    return die


def name_of(die: Any) -> str:
    """Return what a symboliser calls a function: in C++ with its namespaces, which are in its linkage name."""
    from probee.kernel.symbols.demangle import demangle

    for each in (die, origin(die)):
        for attribute in ("DW_AT_linkage_name", "DW_AT_MIPS_linkage_name", "DW_AT_name"):
            name = text(each, attribute)
            if name:
                return demangle(name)
    return ""


def ranges(die: Any) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of the code of a unit, function or block."""
    low, high = die.attributes.get("DW_AT_low_pc"), die.attributes.get("DW_AT_high_pc")
    if low is not None and high is not None:
        is_address = high.form in ("DW_FORM_addr", "DW_FORM_addrx") or high.form.startswith("DW_FORM_addrx")
        yield low.value, high.value if is_address else low.value + high.value
    elif "DW_AT_ranges" in die.attributes:
        lists, offset = die.dwarfinfo.range_lists(), int(die.attributes["DW_AT_ranges"].value)
        base = low.value if low is not None else value(die.cu.get_top_DIE(), "DW_AT_low_pc")
        for entry in lists.get_range_list_at_offset(offset, cu=die.cu) if lists is not None else ():
            if hasattr(entry, "base_address"):
                base = entry.base_address
            elif getattr(entry, "is_absolute", False):
                yield entry.begin_offset, entry.end_offset
            else:
                yield base + entry.begin_offset, base + entry.end_offset


def split_name(cu: Any) -> str:
    """Return the file that has a unit's functions and types (-gsplit-dwarf), "" when they are in the unit itself."""
    top = cu.get_top_DIE()
    return text(top, "DW_AT_dwo_name") or text(top, "DW_AT_GNU_dwo_name")


def functions(cu: Any) -> Iterator[Any]:
    """Yield a unit's functions, at any depth of namespaces and classes."""
    waiting = [cu.get_top_DIE()]
    while waiting:
        for die in waiting.pop().iter_children():
            if die.tag == "DW_TAG_subprogram":
                yield die
            elif die.tag in SCOPES:
                waiting.append(die)


def names_of(die: Any) -> list[str]:
    """Return the names that linker and source know a function by."""
    found = [text(each, name) for each in (die, origin(die)) for name in ("DW_AT_linkage_name", "DW_AT_name")]
    return [name for name in found if name]


def is_special(die: Any) -> bool:
    """Return whether a compiler says that it has changed how a function is called."""
    return value(die, "DW_AT_calling_convention") == _NOCALL


def function_named(cu: Any, name: str) -> Any:
    return next((die for die in functions(cu) if name and text(die, "DW_AT_name") == name), None)


def inlined_at(die: Any, address: int) -> Iterator[Any]:
    """Yield the functions inlined at an address, outermost first."""
    for _ in range(_DEEPEST):
        inner = _inner_block(die, address)
        if inner is None:
            return
        if inner.tag == "DW_TAG_inlined_subroutine":
            yield inner
        die = inner


def _inner_block(die: Any, address: int) -> Any:
    for child in die.iter_children():
        if child.tag in ("DW_TAG_inlined_subroutine", "DW_TAG_lexical_block"):
            spans = list(ranges(child))
            if any(start <= address < end for start, end in spans):
                return child
            if not spans and child.tag == "DW_TAG_lexical_block":
                deeper = _inner_block(child, address)
                if deeper is not None:
                    return deeper
    return None
