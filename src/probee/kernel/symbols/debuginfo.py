"""What DWARF says about a program: file and line of an address, functions inlined there, addresses of a line, signatures.

Reading DWARF is the work of pyelftools (the extra `dwarf`), which is imported when a DebugInfo is made and nowhere else.  Units
are decoded one by one as they are asked for.  Addresses are the linker's, as in ElfFile.  Types are in dwarftype.py; unwinding
is not here.
"""

from __future__ import annotations

import os
from bisect import bisect_right

from probee.errors import FormatError, ProbeeError
from probee.kernel.symbols.debugfile import DEBUG_DIRECTORIES, find_debug_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, TypeVar

    from probee.formats.elf.read import ElfFile
    from probee.model.ctype import FunctionType

    Answer = TypeVar("Answer")

MISSING = "reading DWARF needs pyelftools: pip install 'probee[dwarf]'"
_DEEPEST = 64  # inlined into inlined into …


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


class _Unit:
    """A compilation unit: `rows` are (address, path, line, column, is_stmt) in order of address, None where code ends."""

    __slots__ = ("_functions", "_paths", "_program", "_rows", "_starts", "cu", "ranges")

    def __init__(self, cu: Any, ranges: list[tuple[int, int]]) -> None:
        self.cu = cu
        self.ranges = ranges
        self._program: Any = None
        self._paths: list[str] | None = None
        self._rows: list[tuple[int, str, int, int, bool] | None] | None = None
        self._starts: list[int] = []
        self._functions: list[tuple[int, int, Any]] | None = None

    def holds(self, address: int) -> bool:
        return any(start <= address < end for start, end in self.ranges)

    def paths(self, dwarf: Any) -> list[str]:
        """Return the files that the unit was made of, by number; costs the head of the line program only."""
        if self._paths is None:
            self._program = dwarf.line_program_for_CU(self.cu)
            self._paths = _paths(self._program, self.cu) if self._program is not None else []
        return self._paths

    def path(self, number: int, dwarf: Any) -> str:
        """Return a file by the number that DWARF gives it: from 0 on in version 5, from 1 on before."""
        paths = self.paths(dwarf)
        modern = self._program is not None and self._program.header["version"] >= 5
        at = number if modern else number - 1
        return paths[at] if 0 <= at < len(paths) else ""

    def rows(self, dwarf: Any) -> list[tuple[int, str, int, int, bool] | None]:
        if self._rows is None:
            self.paths(dwarf)
            found: list[tuple[int, tuple[int, str, int, int, bool] | None]] = []
            for entry in self._program.get_entries() if self._program is not None else ():
                state = entry.state
                if state is None:
                    continue
                row = (state.address, self.path(state.file, dwarf), state.line, state.column, bool(state.is_stmt))
                found.append((state.address, None if state.end_sequence else row))
            found.sort(key=lambda pair: (pair[0], pair[1] is not None))
            self._starts = [address for address, _ in found]
            self._rows = [row for _, row in found]
        return self._rows

    def row_at(self, address: int, dwarf: Any) -> tuple[int, str, int, int, bool] | None:
        rows = self.rows(dwarf)
        at = bisect_right(self._starts, address) - 1
        return rows[at] if at >= 0 else None


    def function_at(self, address: int, dwarf: Any) -> Any:
        """Return the entry of the function whose code is at an address, None where there is none."""
        if self._functions is None:
            found = [(start, end, die) for die in _functions(self.cu) for start, end in _ranges(die, dwarf)]
            self._functions = sorted(found, key=lambda row: row[0])
        at = bisect_right(self._functions, address, key=lambda row: row[0]) - 1
        return self._functions[at][2] if at >= 0 and address < self._functions[at][1] else None


class DebugInfo:
    """The debug information of one program or library."""

    __slots__ = ("_aranges", "_dwarf", "_file", "_indexed", "_types", "_unit_list", "name")

    def __init__(self, file: ElfFile, path: str, *, directories: Sequence[str] = DEBUG_DIRECTORIES, prefix: str = "") -> None:
        """Read that of a file, or of its separate debug file; ProbeeError without pyelftools, FormatError without DWARF."""
        self.name = file.name
        self._file = file
        self._dwarf = _open(file, path, directories, prefix)
        self._unit_list: list[_Unit] | None = None
        self._aranges: Any = None
        self._indexed: dict[int, _Unit] = {}
        self._types: Any = None

    def _safely(self, ask: Callable[[], Answer]) -> Answer:
        return _translated(self.name, ask)

    def _units(self) -> list[_Unit]:
        if self._unit_list is None:
            self._unit_list = [_Unit(cu, list(_ranges(cu.get_top_DIE(), self._dwarf))) for cu in self._dwarf.iter_CUs()]
        return self._unit_list

    def _unit_at(self, address: int) -> _Unit | None:
        """Return the unit with the code at an address: by .debug_aranges, which compilers may leave out, else by looking."""
        if self._unit_list is None and self._aranges is None:
            self._aranges = self._dwarf.get_aranges() or False
        offset = self._aranges.cu_offset_at_addr(address) if self._aranges else None
        if offset is None:
            return next((unit for unit in self._units() if unit.holds(address)), None)
        if offset not in self._indexed:
            self._indexed[offset] = _Unit(self._dwarf.get_CU_at(offset), [])
        return self._indexed[offset]

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

        `file` is a path or the end of one (`main.c`, `src/main.c`), `column` 0 for any.
        """

        def ask() -> list[int]:
            found: dict[int, int] = {}  # the first address, by the entry of the function that it is in
            for unit, row in self._rows_of(file):
                if row[2] == line and (not column or row[3] == column):
                    function = self._innermost(unit, row[0])
                    found[function] = min(row[0], found.get(function, row[0]))
            return sorted(found.values())

        return self._safely(ask)

    def lines_of(self, file: str) -> list[int]:
        """Return the lines of a file that have code, sorted: to say which one is nearest."""

        def ask() -> list[int]:
            return sorted({row[2] for _, row in self._rows_of(file) if row[2]})

        return self._safely(ask)

    def _rows_of(self, file: str) -> Iterator[tuple[_Unit, tuple[int, str, int, int, bool]]]:
        """Yield the places where statements of a file begin."""
        for unit in self._units():
            if any(_is_named(path, file) for path in unit.paths(self._dwarf)):
                for row in unit.rows(self._dwarf):
                    if row is not None and row[4] and _is_named(row[1], file):
                        yield unit, row

    # -- functions

    def frames_at(self, address: int) -> list[SourceFrame]:
        """Return the functions at an address, innermost first: those inlined there, then the one whose code it is.

        None at all when nothing is known; a single one without a name when only the line is.
        """

        def ask() -> list[SourceFrame]:
            unit = self._unit_at(address)
            function = unit.function_at(address, self._dwarf) if unit is not None else None
            row = unit.row_at(address, self._dwarf) if unit is not None else None
            if unit is None or row is None:
                return []
            if function is None:  # code that a linker or optimiser made
                return [SourceFrame("", row[1], row[2], inlined=False)]
            chain = [function, *_inlined(function, address, self._dwarf)]
            path, line, found = row[1], row[2], []
            for die in reversed(chain):
                inlined = die is not function
                found.append(SourceFrame(_name(die), path, line, inlined=inlined))
                if inlined:
                    path, line = self._called_from(unit, die)
            return found

        return self._safely(ask)

    def signature_at(self, address: int, name: str = "") -> FunctionType | None:
        """Return the signature of the function that an address is in, as model types; None when there is none.

        Where optimisers have lost which code a function is, its unit's function of that name is taken.
        """

        def ask() -> FunctionType | None:
            from probee.kernel.symbols.dwarftype import DwarfTypes

            if self._types is None:
                self._types = DwarfTypes(self._safely)
            unit = self._unit_at(address)
            die = None
            if unit is not None:
                _refuse_split(unit.cu, self.name)
                die = unit.function_at(address, self._dwarf) or _function_named(unit.cu, name)
            found: FunctionType | None = self._types.function(die) if die is not None else None
            return found

        return self._safely(ask)

    def _innermost(self, unit: _Unit, address: int) -> int:
        """Return the place of the entry of the function, perhaps an inlined one, that an address is in."""
        die = unit.function_at(address, self._dwarf)
        if die is None:
            symbol = next((found for table in self._file.tables() if (found := table.at(address)) is not None), None)
            return -symbol.address if symbol is not None else -address
        *_, last = die, *_inlined(die, address, self._dwarf)
        return int(last.offset)

    def _called_from(self, unit: _Unit, die: Any) -> tuple[str, int]:
        return unit.path(_value(die, "DW_AT_call_file"), self._dwarf), _value(die, "DW_AT_call_line")


def _translated(name: str, ask: Callable[[], Answer]) -> Answer:
    """Return what `ask` returns; whatever the library raises for damaged DWARF becomes FormatError."""
    try:
        return ask()
    except ProbeeError:
        raise
    except Exception as error:  # its parsers trust the bytes: KeyError, AttributeError, RecursionError and more are seen
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        raise FormatError(f"{name} has debug information that cannot be read ({what})") from None


def _open(file: ElfFile, path: str, directories: Sequence[str], prefix: str) -> Any:
    """Return the library's view of the file that has the DWARF."""
    try:
        from elftools.elf.elffile import ELFFile
    except ImportError:
        raise ProbeeError(MISSING) from None
    holder: ElfFile | None = file
    if file.section(".debug_info") is None and file.section(".zdebug_info") is None:
        holder = find_debug_file(file, path, directories=directories, prefix=prefix)
    if holder is None or holder.section(".debug_info") is None:
        raise FormatError(f"{file.name} has no debug information (compile it with -g, or install its debug package)")
    from io import BytesIO
    from mmap import mmap

    data = holder.data
    stream: Any = data if isinstance(data, mmap) else BytesIO(data)
    return _translated(file.name, lambda: ELFFile(stream).get_dwarf_info(follow_links=False))


def _is_named(path: str, name: str) -> bool:
    return path == name or path.endswith(f"/{name.removeprefix('./')}")


def _paths(program: Any, cu: Any) -> list[str]:
    """Return the paths of a line program's files, in the order of their numbers."""
    header, top = program.header, cu.get_top_DIE()
    home = _text(top, "DW_AT_comp_dir")
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


def _text(die: Any, attribute: str) -> str:
    found = die.attributes.get(attribute)
    return _decoded(found.value) if found is not None else ""


def _value(die: Any, attribute: str) -> int:
    found = die.attributes.get(attribute)
    return int(found.value) if found is not None and isinstance(found.value, int) else 0


def _origin(die: Any) -> Any:
    """Return where an instance of a function is described: its abstract origin, or its declaration."""
    for _ in range(_DEEPEST):
        for attribute in ("DW_AT_abstract_origin", "DW_AT_specification"):
            if attribute in die.attributes:
                die = die.get_DIE_from_attribute(attribute)
                break
        else:
            return die
    return die


def _name(die: Any) -> str:
    """Return what a symboliser calls a function: in C++ with its namespaces, which are in its linkage name."""
    from probee.kernel.symbols.demangle import demangle

    for each in (die, _origin(die)):
        for attribute in ("DW_AT_linkage_name", "DW_AT_MIPS_linkage_name", "DW_AT_name"):
            name = _text(each, attribute)
            if name:
                return demangle(name)
    return ""


def _ranges(die: Any, dwarf: Any) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of the code of a unit, function or block."""
    low, high = die.attributes.get("DW_AT_low_pc"), die.attributes.get("DW_AT_high_pc")
    if low is not None and high is not None:
        is_address = high.form in ("DW_FORM_addr", "DW_FORM_addrx") or high.form.startswith("DW_FORM_addrx")
        yield low.value, high.value if is_address else low.value + high.value
    elif "DW_AT_ranges" in die.attributes:
        lists = dwarf.range_lists()
        base = low.value if low is not None else _value(die.cu.get_top_DIE(), "DW_AT_low_pc")
        for entry in lists.get_range_list_at_offset(_range_offset(die, lists), cu=die.cu) if lists is not None else ():
            if hasattr(entry, "base_address"):
                base = entry.base_address
            elif getattr(entry, "is_absolute", False):
                yield entry.begin_offset, entry.end_offset
            else:
                yield base + entry.begin_offset, base + entry.end_offset


def _range_offset(die: Any, lists: Any) -> int:
    attribute = die.attributes["DW_AT_ranges"]
    if attribute.form == "DW_FORM_rnglistx":
        return int(lists.get_range_list_offset(die.cu, attribute.value)) if hasattr(lists, "get_range_list_offset") else 0
    return int(attribute.value)


def _refuse_split(cu: Any, name: str) -> None:
    """Raise FormatError for a unit whose types are in another file (-gsplit-dwarf); its lines are here all the same."""
    top = cu.get_top_DIE()
    other = _text(top, "DW_AT_dwo_name") or _text(top, "DW_AT_GNU_dwo_name")
    if other:
        raise FormatError(f"{name} has its types in {other} (compiled with -gsplit-dwarf), which probee does not read")


def _functions(cu: Any) -> Iterator[Any]:
    """Yield a unit's functions, at any depth of namespaces and classes."""
    waiting = [cu.get_top_DIE()]
    while waiting:
        for die in waiting.pop().iter_children():
            if die.tag == "DW_TAG_subprogram":
                yield die
            elif die.tag in ("DW_TAG_namespace", "DW_TAG_structure_type", "DW_TAG_class_type", "DW_TAG_module"):
                waiting.append(die)


def _function_named(cu: Any, name: str) -> Any:
    return next((die for die in _functions(cu) if name and _text(die, "DW_AT_name") == name), None)


def _inlined(die: Any, address: int, dwarf: Any) -> Iterator[Any]:
    """Yield the functions inlined at an address, outermost first."""
    for _ in range(_DEEPEST):
        inner = _inner_block(die, address, dwarf)
        if inner is None:
            return
        if inner.tag == "DW_TAG_inlined_subroutine":
            yield inner
        die = inner


def _inner_block(die: Any, address: int, dwarf: Any) -> Any:
    for child in die.iter_children():
        if child.tag in ("DW_TAG_inlined_subroutine", "DW_TAG_lexical_block"):
            spans = list(_ranges(child, dwarf))
            if any(start <= address < end for start, end in spans):
                return child
            if not spans and child.tag == "DW_TAG_lexical_block":
                deeper = _inner_block(child, address, dwarf)
                if deeper is not None:
                    return deeper
    return None
