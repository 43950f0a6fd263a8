"""Programs and libraries of this machine as a Target shows them, and whether they are still the same.

A file is the same while its device, inode, size and time of modification are: package managers replace files, and compilers
write them anew.  Symbols are read when somebody asks for them.
"""

from __future__ import annotations

import os

from probee.errors import ProbeeError
from probee.kernel.symbols.debugfile import DEBUG_DIRECTORIES
from probee.model.target import Binary
from probee.model.usdt import UsdtPlace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from probee.formats.elf.usdt import UsdtProbe
    from probee.kernel.symbols.module import Module
    from probee.model.ctype import CType, FunctionType


_COPIES = (".isra.", ".constprop.")  # what GCC appends to the names of such


class Executable(Binary):
    """An ELF file at a path."""

    def __init__(
        self, path: str, *, directories: Sequence[str] = DEBUG_DIRECTORIES, record: Callable[[str, str], None] | None = None
    ) -> None:
        self.path = path
        self._given = tuple([directory for directory in directories if directory not in DEBUG_DIRECTORIES])
        self.directories = directories
        self._record = record
        self._module: Module | None = None

    def module(self) -> Module:
        if self._module is None:
            from probee.kernel.symbols.module import open_module

            self._module = open_module(self.path, directories=self.directories, note=self._note)
        return self._module

    def _note(self, path: str) -> None:
        """Note that another file was looked for: an answer of ours holds until something changes there."""
        if self._record is not None:
            self._record(f"stat:{os.path.abspath(path)}", identity(path))

    def function_names(self) -> Iterable[str]:
        return sorted(self.module().function_names())

    def function_size(self, name: str) -> int | None:
        return max((symbol.size for symbol in self.module().find(name) if symbol.is_function), default=None)

    def has_code_at(self, address: int) -> bool:
        return self.module().symbol_at(address) is not None

    def function_address(self, name: str) -> int | None:
        found = {symbol.address for symbol in self.module().find(name) if symbol.is_function}
        return found.pop() if len(found) == 1 else None

    def symbol(self, name: str) -> tuple[int, int] | None:
        from probee.formats.elf.symbol import FILE, SECTION, TLS

        found = (each for each in self.module().find(name) if each.type not in (FILE, SECTION, TLS))
        return next(((each.address, each.size) for each in found), None)

    def address(self, offset: int) -> int | None:
        return self.module().file.address(offset)

    @property
    def is_fixed(self) -> bool:
        from probee.formats.elf.read import EXECUTABLE

        return self.module().file.type == EXECUTABLE

    @property
    def inode(self) -> int:
        return os.stat(self.path).st_ino

    def source_name(self, function: str, *, parameters: bool = True) -> str:
        from probee.kernel.symbols.demangle import demangle, without_arguments

        name = demangle(function)
        return name if parameters or name == function else without_arguments(name)

    @property
    def given_directories(self) -> tuple[str, ...]:
        return self._given

    @property
    def build_id(self) -> str:
        return self.module().file.build_id

    # -- debug information

    def signature(self, function: str) -> FunctionType | None:
        try:
            return next(iter(self.signatures(function)), None)
        except (ProbeeError, OSError):  # what cannot be read is as good as not there
            return None

    def signatures(self, function: str) -> list[FunctionType]:
        info = self.module().debug_info()
        found = (
            info.signature_at(symbol.address, function) for symbol in self.module().find(function) if symbol.is_function
        )
        return [signature for signature in found if signature is not None]

    def convention(self, function: str) -> str:
        if any(piece in function for piece in _COPIES):
            return "the compiler has made it of another function, with fewer parameters"
        info = self.module().debug_info()
        reasons = (info.convention_at(symbol.address) for symbol in self.module().find(function) if symbol.is_function)
        return next(filter(None, reasons), "")

    def type_named(self, kind: str, name: str) -> CType | None:
        try:
            return self.module().debug_info().type_named(kind, name)
        except (ProbeeError, OSError):
            return None

    def places_of(self, file: str, line: int, column: int = 0) -> list[int]:
        return self.module().debug_info().places_of(file, line, column)

    def lines_of(self, file: str) -> list[int]:
        return self.module().debug_info().lines_of(file)

    def columns_of(self, file: str, line: int) -> list[int]:
        return self.module().debug_info().columns_of(file, line)

    def source_names(self) -> list[str]:
        return self.module().debug_info().source_names()

    def files_called(self, file: str) -> list[str]:
        return self.module().debug_info().files_called(file)

    def usdt_probes(self) -> Iterable[UsdtPlace]:
        from probee.formats.elf.usdt import usdt_probes

        return [_place(probe) for probe in usdt_probes(self.module().file) if probe.offset is not None]


def _place(probe: UsdtProbe) -> UsdtPlace:
    return UsdtPlace(
        probe.provider, probe.name, probe.offset or 0, probe.semaphore_offset or 0, probe.argument_text, lambda: probe.arguments
    )


def find_executables(
    name: str, pid: int, *, any_file: bool = False, directories: Sequence[str] = DEBUG_DIRECTORIES,
    record: Callable[[str, str], None] | None = None,
) -> list[Executable]:  # fmt: skip
    """Return the files that a probe's target means, as a process sees them, or (pid 0) as this one does.

    "" stands for the program of the process; a path behind its /proc/PID is as we see it; `any_file`: see find_binary.
    """
    from probee.kernel.symbols.binary import find_binary
    from probee.kernel.symbols.maps import PROC, executable, root

    if not name:
        program = executable(pid) if pid else ""
        found = [f"{root(pid)}{program}"] if program else []
    else:
        found = find_binary(name, 0 if name.startswith(f"{PROC}/{pid}/") else pid, any_file=any_file)
    return [Executable(path, directories=directories, record=record) for path in found]


def identities(name: str, pid: int) -> str:
    """Return what changes when a target means other files, or the same files have other contents."""
    return ";".join(f"{file.path}={identity(file.path)}" for file in find_executables(name, pid, any_file=True))


def identity(path: str) -> str:
    """Return device, inode, size and time of modification of a file; "" when it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return ""
    return f"{found.st_dev:x}.{found.st_ino}.{found.st_size}.{found.st_mtime_ns}"
