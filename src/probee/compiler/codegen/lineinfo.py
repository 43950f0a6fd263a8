"""Type information of our own programs: func_info, without which the kernel takes no callbacks, and line_info, which puts
source lines into the verifier's log.

All programs of an object share one BTF.  Functions are described as `long name(void)`: the verifier takes arguments from
what it sees, and complains in its log about pointer parameters that it cannot make sense of.  Those that it verifies alone
(linkage.py) it wants to have numbers as parameters.
"""

from __future__ import annotations

from probee.compiler.ir.unit import Function
from probee.errors import Source
from probee.formats.btf.build import BtfBuilder, func_info, identifier, line_info
from probee.formats.btf.kind import LINKAGE_GLOBAL, LINKAGE_STATIC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from probee.model.ctype import CType


class Debug:
    """Builds the object's BTF while its programs are generated."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._btf = BtfBuilder()
        self._file = self._btf.string(source.name)
        self._protos: dict[int, int] = {}
        self._lines: dict[int, int] = {}  # where a line begins → its text's offset among the strings

    def func_info(self, functions: list[tuple[int, Function]], alone: set[str]) -> bytes:
        """Return the records of (slot, function); `alone` are the names of global functions."""
        return func_info((slot, self._function(function, function.name in alone)) for slot, function in functions)

    def line_info(self, lines: list[tuple[int, int]]) -> bytes:
        """Return the records of (slot, span)."""
        rows = []
        for slot, span in lines:
            line, column = self._source.position(span >> 24)
            begin = (span >> 24) - column
            if begin not in self._lines:
                self._lines[begin] = self._btf.string(self._source.line_at(span >> 24).strip().replace("\0", " "))
            rows.append((slot, self._file, self._lines[begin], line, column))
        return line_info(rows)

    def add_types(self, types: dict[str, CType]) -> dict[str, int]:
        """Enter C types; return the id of each."""
        if not types:
            return {}
        from probee.compiler.codegen.typeinfo import TypeWriter

        writer = TypeWriter(self._btf)
        return {name: writer.add(ctype) for name, ctype in types.items()}

    def blob(self) -> bytes:
        return self._btf.blob()

    def _function(self, function: Function, alone: bool) -> int:
        n_parameters = len(function.parameters) if alone else 0
        linkage = LINKAGE_GLOBAL if alone or function.kind == "program" else LINKAGE_STATIC
        return self._btf.func(identifier(function.name), self._proto(n_parameters), linkage)

    def _proto(self, n_parameters: int) -> int:
        """Return a function's type: so many numbers in, a number out."""
        if n_parameters not in self._protos:
            number = self._btf.integer("long int", 8, signed=True)
            parameters = [(f"p{index}", number) for index in range(n_parameters)]
            self._protos[n_parameters] = self._btf.func_proto(number, parameters)
        return self._protos[n_parameters]
