"""One file that code runs from, and its symbols from wherever they are.

The order is the one in which names are most exact: the file's own .symtab, else that of its separate debug file; what is in
.gnu_debugdata; the dynamic symbols.  Each is opened when the ones before it have no answer.
"""

from __future__ import annotations

from probee.errors import FormatError, ProbeeError
from probee.formats.elf.lookup import SymbolLookup
from probee.kernel.symbols.binary import open_elf
from probee.kernel.symbols.debugfile import DEBUG_DIRECTORIES, find_debug_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from probee.formats.elf.read import ElfFile
    from probee.formats.elf.symbol import Symbol, SymbolTable
    from probee.kernel.symbols.debuginfo import DebugInfo


def open_module(
    path: str, *, directories: Sequence[str] = DEBUG_DIRECTORIES, note: Callable[[str], None] = lambda path: None
) -> Module:
    """Open a program or library with all symbols that there are for it; the errors of binary.open_elf.

    A path below /proc/PID/root looks for debug files there, too.
    """
    prefix, root, rest = path.partition("/root/") if path.startswith("/proc/") else (path, "", "")
    if root:
        return Module(open_elf(path), f"/{rest}", directories=directories, prefix=f"{prefix}/root", note=note)
    return Module(open_elf(path), path, directories=directories, note=note)


class Module(SymbolLookup):
    """`path` is what people know the file by; `prefix` is what stands before it where another root directory is meant.

    `note` is told of every other file that is looked for.
    """

    __slots__ = ("_debug_info", "_more", "_note", "_tables", "_undescribed", "directories", "file", "path", "prefix")

    def __init__(
        self, file: ElfFile, path: str, *, directories: Sequence[str] = DEBUG_DIRECTORIES, prefix: str = "",
        note: Callable[[str], None] = lambda path: None,
    ) -> None:  # fmt: skip
        self.file = file
        self.path = path
        self.prefix = prefix
        self.directories = directories
        self._note = note
        self._debug_info: DebugInfo | None = None
        self._undescribed: ProbeeError | None = None
        self._tables: list[SymbolTable] = []
        self._more: Iterator[Callable[[], SymbolTable | None]] = iter(
            (self._own, self._of_mini_debug, lambda: self.file.dynsym)
        )

    def tables(self) -> Iterator[SymbolTable]:
        """Yield the tables of symbols, best first."""
        at = 0
        while True:
            while at < len(self._tables):
                yield self._tables[at]
                at += 1
            source = next(self._more, None)
            if source is None:
                return
            try:
                table = source()
            except FormatError:
                continue  # the others may be whole
            if table is not None:
                self._tables.append(table)

    def _own(self) -> SymbolTable | None:
        if self.file.symtab is not None:
            return self.file.symtab
        found = find_debug_file(
            self.file, self.path, directories=self.directories, prefix=self.prefix, note=self._note
        )
        return found.symtab if found is not None else None

    def _of_mini_debug(self) -> SymbolTable | None:
        mini = self.file.mini_debug()
        return mini.symtab if mini is not None else None

    def symbol_at(self, address: int) -> Symbol | None:
        """Return the symbol that an address of the linker's lies in."""
        return next((found for table in self.tables() if (found := table.at(address)) is not None), None)

    def resolve(self, file_offset: int) -> tuple[str, int] | None:
        """Return (symbol, offset in it) of a byte of the file."""
        address = self.file.address(file_offset)
        found = self.symbol_at(address) if address is not None else None
        if found is None or address is None:
            return None
        return found.name.partition("@")[0] or found.name, address - found.address

    def debug_info(self, *, most_bytes: int = 0) -> DebugInfo:
        """Return what DWARF says about the file; FormatError when there is none, ProbeeError without the library for it.

        More than `most_bytes` of it count as none, unless that is 0: it is read into memory.
        """
        if self._undescribed is not None:
            raise self._undescribed
        if self._debug_info is None:
            from probee.kernel.symbols.debuginfo import DebugInfo

            try:
                self._debug_info = DebugInfo(
                    self.file, self.path, directories=self.directories, prefix=self.prefix, note=self._note,
                    most_bytes=most_bytes,
                )  # fmt: skip
            except ProbeeError as error:
                self._undescribed = error
                raise
        return self._debug_info
