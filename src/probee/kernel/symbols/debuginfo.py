"""What DWARF says about a program: file and line of an address, functions inlined there, addresses of a line, signatures.

Reading DWARF is the work of pyelftools (the extra `dwarf`), which is imported when a DebugInfo is made and nowhere else.  Units
are decoded one by one as they are asked for.  Addresses are the linker's, as in ElfFile.  Types are in dwarftype.py; unwinding
is not here.
"""

from __future__ import annotations

import os

from probee.errors import FormatError, ProbeeError
from probee.kernel.symbols.debugfile import DEBUG_DIRECTORIES, find_common_file, find_debug_file
from probee.kernel.symbols.dwarfunit import (
    Unit,
    function_named,
    inlined_at,
    is_special,
    name_of,
    ranges,
    split_name,
    text,
    value,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, TypeVar

    from probee.formats.elf.read import ElfFile
    from probee.kernel.symbols.dwarfunit import Row
    from probee.model.ctype import CType, FunctionType

    Answer = TypeVar("Answer")

_NO_CODE = 2
_GO = 0x16  # DW_LANG_Go
_KINDS = {
    "struct": ("DW_TAG_structure_type", "DW_TAG_class_type"), "union": ("DW_TAG_union_type",),
    "enum": ("DW_TAG_enumeration_type",), "typedef": ("DW_TAG_typedef",), "int": ("DW_TAG_base_type",),
}  # fmt: skip
_LARGE = (".debug_info", ".debug_line", ".debug_str", ".debug_abbrev", ".debug_loclists", ".debug_rnglists", ".debug_loc")
MISSING = "reading DWARF needs pyelftools: pip install 'probee[dwarf]'"


class SourceFrame:
    """A function at an address, with the line that the address stands for in it; `inlined` ones have no code of their own."""

    __slots__ = ("function", "inlined", "line", "path")

    def __init__(self, function: str, path: str, line: int, *, inlined: bool) -> None:
        self.function = function
        self.path = path
        self.line = line
        self.inlined = inlined

    def __repr__(self) -> str:
        return f"SourceFrame({self.function!r}, {self.path}:{self.line}{', inlined' if self.inlined else ''})"


class DebugInfo:
    """The debug information of one program or library."""

    __slots__ = (
        "_aranges", "_directories", "_dwarf", "_file", "_indexed", "_known_types", "_note", "_path", "_types", "_unit_list",
        "name",
    )  # fmt: skip

    def __init__(
        self, file: ElfFile, path: str, *, directories: Sequence[str] = DEBUG_DIRECTORIES, prefix: str = "",
        note: Callable[[str], None] = lambda path: None, most_bytes: int = 0,
    ) -> None:  # fmt: skip
        """Read that of a file, or of its separate debug file; ProbeeError without pyelftools, FormatError without DWARF.

        `note` is told of every other file that it looks for.  More than `most_bytes` (0: any amount) is a FormatError, too.
        """
        self.name = file.name
        self._file = file
        self._path = f"{prefix}{path}"
        self._directories = directories
        self._note = note
        holder = _holder(file, path, directories, prefix, note, most_bytes)
        self._dwarf = _open(file, holder)
        common = find_common_file(holder, path, directories=directories, prefix=prefix, note=note)
        if common is not None:
            self._dwarf.supplementary_dwarfinfo = _open(file, common)
        self._unit_list: list[Unit] | None = None
        self._aranges: Any = None
        self._indexed: dict[int, Unit] = {}
        self._types: Any = None
        self._known_types: dict[tuple[str, str], CType | None] = {}

    def _safely(self, ask: Callable[[], Answer]) -> Answer:
        return _translated(self.name, ask)

    def _units(self) -> list[Unit]:
        if self._unit_list is None:
            self._unit_list = [self._unit(cu) for cu in self._dwarf.iter_CUs()]
        return self._unit_list

    def _unit(self, cu: Any) -> Unit:
        unit = Unit(cu)
        other = split_name(cu)
        if other and cu["version"] >= 5:
            from probee.kernel.symbols.dwarfsplit import split_unit

            home = text(cu.get_top_DIE(), "DW_AT_comp_dir")
            unit.body = split_unit(cu, (os.path.join(home, other),), self._path, self._directories, self._note) or cu
        return unit

    def _unit_at(self, address: int) -> Unit | None:
        """Return the unit with the code at an address: by .debug_aranges, which compilers may leave out, else by looking."""
        if self._unit_list is None and self._aranges is None:
            self._aranges = self._dwarf.get_aranges() or False
        offset = self._aranges.cu_offset_at_addr(address) if self._aranges else None
        if offset is None:
            return next((unit for unit in self._units() if unit.holds(address)), None)
        if offset not in self._indexed:
            self._indexed[offset] = self._unit(self._dwarf.get_CU_at(offset))
        return self._indexed[offset]

    def _function_at(self, unit: Unit, address: int) -> Any:
        """Return the entry of the function whose code is at an address: by its symbol, else by reading the unit's entries."""
        if unit.body is unit.cu and not unit.is_read:
            from probee.kernel.symbols.dwarfname import function_of

            symbol = next((found for table in self._file.tables() if (found := table.at(address)) is not None), None)
            name = symbol.name.partition("@")[0].partition(".")[0] if symbol is not None else ""
            die = function_of(unit.cu, symbol.address, name) if symbol is not None else None
            if die is not None and any(start <= address < end for start, end in ranges(die)):
                return die
        return unit.function_at(address)

    # -- lines

    def line_at(self, address: int) -> tuple[str, int] | None:
        """Return (path, line) of an address."""

        def ask() -> tuple[str, int] | None:
            unit = self._unit_at(address)
            row = unit.row_at(address, self._dwarf) if unit is not None else None
            return (row[1], row[2]) if row is not None else None

        return self._safely(ask)

    def places_of(self, file: str, line: int, column: int = 0) -> list[int]:
        """Return the addresses where the code of a line begins: one in each function, and each place where that is inlined.

        `file` is a path or the end of one (`main.c`, `src/main.c`), `column` 0 for any.  Of a line that optimisers have left no
        code at all, it is where that would be.
        """

        def ask() -> list[int]:
            rows = [each for each in self._rows_of(file) if each[1][2] == line and (not column or each[1][3] == column)]
            found: dict[tuple[int, int], tuple[int, int]] = {}  # the best, then first, by the function that it is in
            for unit, row, grade in rows:
                function = self._innermost(unit, row[0])
                found[function] = min((grade, row[0]), found.get(function, (_NO_CODE, row[0])))
            places = found.values()
            return sorted([at for grade, at in places if grade < _NO_CODE] or [at for _, at in places])

        return self._safely(ask)

    def columns_of(self, file: str, line: int) -> list[int]:
        """Return the columns of a line at which statements begin, sorted."""
        return self._safely(lambda: sorted({row[3] for _, row, _ in self._rows_of(file) if row[2] == line and row[4]}))

    def source_names(self) -> list[str]:
        """Return the names, without directories, of all source files."""

        def ask() -> list[str]:
            return sorted({os.path.basename(path) for unit in self._units() for path in unit.paths(self._dwarf)})

        return self._safely(ask)

    def files_called(self, file: str) -> list[str]:
        """Return the source files that a path, or the end of one, may mean."""

        def ask() -> list[str]:
            found = {path for unit in self._units() for path in unit.paths(self._dwarf) if _is_named(path, file)}
            return sorted(found)

        return self._safely(ask)

    def lines_of(self, file: str) -> list[int]:
        """Return the lines of a file that have code, sorted: to say which one is nearest."""

        def ask() -> list[int]:
            return sorted({row[2] for _, row, _ in self._rows_of(file) if row[2] and row[4]})

        return self._safely(ask)

    def _rows_of(self, file: str) -> Iterator[tuple[Unit, Row, int]]:
        """Yield the rows of a file, and what each is (Unit.rows_of)."""
        for unit in self._units():
            numbers = unit.numbers_of(lambda path: _is_named(path, file), self._dwarf)
            for row, grade in unit.rows_of(numbers, self._dwarf) if numbers else ():
                yield unit, row, grade

    # -- functions

    def frames_at(self, address: int) -> list[SourceFrame]:
        """Return the functions at an address, innermost first: those inlined there, then the one whose code it is.

        None at all when nothing is known; a single one without a name when only the line is.
        """

        def ask() -> list[SourceFrame]:
            unit = self._unit_at(address)
            function = self._function_at(unit, address) if unit is not None else None
            row = unit.row_at(address, self._dwarf) if unit is not None else None
            if unit is None or row is None:
                return []
            if function is None:  # code that a linker or optimiser made
                return [SourceFrame("", row[1], row[2], inlined=False)]
            chain = [function, *inlined_at(function, address)]
            path, line, found = row[1], row[2], []
            for die in reversed(chain):
                inlined = die is not function
                found.append(SourceFrame(name_of(die), path, line, inlined=inlined))
                if inlined:
                    path, line = self._called_from(unit, die)
            return found

        return self._safely(ask)

    def signature_at(self, address: int, name: str = "") -> FunctionType | None:
        """Return the signature of the function that an address is in, as model types; None when there is none.

        Where optimisers have lost which code a function is, its unit's function of that name is taken.
        """

        def ask() -> FunctionType | None:
            unit = self._unit_at(address)
            die = None
            if unit is not None:
                other = split_name(unit.cu)
                if other and unit.body is unit.cu:  # its lines are here all the same
                    raise FormatError(f"{self.name} has its types in {other}, which is not there, or not of DWARF 5")
                die = self._function_at(unit, address) or function_named(unit.body, name)
            if die is None or unit is None:
                return None
            found: FunctionType = self._model().function(die)
            return found

        return self._safely(ask)

    def convention_at(self, address: int) -> str:
        """Return why a function's arguments are not where the platform's C has them; "" when they are."""

        def ask() -> str:
            unit = self._unit_at(address)
            die = self._function_at(unit, address) if unit is not None else None
            if unit is None or die is None:
                return ""
            if value(unit.body.get_top_DIE(), "DW_AT_language") == _GO:
                return "Go passes arguments in a way of its own"
            return "the compiler passes its arguments in a way of its own" if is_special(die) else ""

        return self._safely(ask)

    # -- types

    def type_named(self, kind: str, name: str) -> CType | None:
        """Return a type that the program defines; kind is "struct" (classes, too), "union", "enum", "typedef" or "int"."""

        def ask() -> CType | None:
            from probee.kernel.symbols.dwarfname import entry_named

            die = entry_named(self._dwarf, self._units, name, _KINDS[kind])
            return self._model().made(die) if die is not None else None

        if (kind, name) not in self._known_types:
            self._known_types[kind, name] = self._safely(ask)
        return self._known_types[kind, name]

    def _model(self) -> Any:
        """Return what makes model types of entries."""
        if self._types is None:
            from probee.kernel.symbols.dwarftype import DwarfTypes

            self._types = DwarfTypes(self._safely)
        return self._types

    def _innermost(self, unit: Unit, address: int) -> tuple[int, int]:
        """Return (unit, entry) of the function, perhaps an inlined one, that an address is in, by their places."""
        die = self._function_at(unit, address)
        if die is None:
            symbol = next((found for table in self._file.tables() if (found := table.at(address)) is not None), None)
            return -1, symbol.address if symbol is not None else address
        *_, last = die, *inlined_at(die, address)
        return int(unit.cu.cu_offset), int(last.offset)

    def _called_from(self, unit: Unit, die: Any) -> tuple[str, int]:
        return unit.call_path(value(die, "DW_AT_call_file"), self._dwarf), value(die, "DW_AT_call_line")


def _translated(name: str, ask: Callable[[], Answer]) -> Answer:
    """Return what `ask` returns; whatever the library raises for damaged DWARF becomes FormatError."""
    try:
        return ask()
    except ProbeeError:
        raise
    except Exception as error:  # its parsers trust the bytes: KeyError, AttributeError, RecursionError and more are seen
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        raise FormatError(f"{name} has debug information that cannot be read ({what})") from None


def _holder(
    file: ElfFile, path: str, directories: Sequence[str], prefix: str, note: Callable[[str], None], most_bytes: int
) -> ElfFile:
    """Return the file that has the DWARF."""
    holder: ElfFile | None = file
    if file.section(".debug_info") is None and file.section(".zdebug_info") is None:
        holder = find_debug_file(file, path, directories=directories, prefix=prefix, note=note)
    if holder is None or holder.section(".debug_info") is None:
        raise FormatError(f"{file.name} has no debug information (compile it with -g, or install its debug package)")
    size = sum(section.size for name in _LARGE if (section := holder.section(name)) is not None)
    if most_bytes and size > most_bytes:
        raise FormatError(f"{file.name} has {size >> 20} MB of debug information")
    return holder


def _open(file: ElfFile, holder: ElfFile) -> Any:
    """Return the library's view of DWARF."""
    try:
        from elftools.elf.elffile import ELFFile
    except ImportError:
        raise ProbeeError(MISSING) from None
    from io import BytesIO
    from mmap import mmap

    data = holder.data
    stream: Any = data if isinstance(data, mmap) else BytesIO(data)
    return _translated(file.name, lambda: ELFFile(stream).get_dwarf_info(follow_links=False))


def _is_named(path: str, name: str) -> bool:
    return path == name or path.endswith(f"/{name.removeprefix('./')}")
