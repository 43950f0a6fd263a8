"""Type information of our own programs: func_info, without which the kernel takes no callbacks, and line_info, which puts
source lines into the verifier's log.

All programs of an object share one BTF.  Functions get neutral signatures (`long name(void *ctx)`), which the kernel
does not check for the program types that we load.
"""

from __future__ import annotations

from probee.compiler.ir.unit import Function
from probee.errors import Source
from probee.formats.btf.build import BtfBuilder, func_info, identifier, line_info
from probee.formats.btf.kind import LINKAGE_GLOBAL, LINKAGE_STATIC


class Debug:
    """Builds the object's BTF while its programs are generated."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._btf = BtfBuilder()
        self._file = self._btf.string(source.name)
        self._protos: dict[int, int] = {}

    def func_info(self, functions: list[tuple[int, Function]]) -> bytes:
        """Return the records of (slot, function)."""
        return func_info((slot, self._function(function)) for slot, function in functions)

    def line_info(self, lines: list[tuple[int, int]]) -> bytes:
        """Return the records of (slot, span)."""
        rows = []
        for slot, span in lines:
            line, column = self._source.position(span >> 24)
            text = self._source.line(line).strip()
            rows.append((slot, self._file, self._btf.string(text.replace("\0", " ")), line, column))
        return line_info(rows)

    def blob(self) -> bytes:
        return self._btf.blob()

    def _function(self, function: Function) -> int:
        linkage = LINKAGE_GLOBAL if function.kind == "program" else LINKAGE_STATIC
        return self._btf.func(identifier(function.name), self._proto(len(function.parameters)), linkage)

    def _proto(self, n_parameters: int) -> int:
        if n_parameters not in self._protos:
            number = self._btf.integer("long int", 8, signed=True)
            context = self._btf.pointer(0)
            parameters = [(f"arg{index}", number if index else context) for index in range(n_parameters)]
            self._protos[n_parameters] = self._btf.func_proto(number, parameters)
        return self._protos[n_parameters]
