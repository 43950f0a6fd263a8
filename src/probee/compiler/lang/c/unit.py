"""A program of C after its declarations were read: what `parse_program` returns and the lowering starts from."""

from __future__ import annotations

from pycparser import c_ast

from probee.compiler.lang.c.scope import Scope
from probee.errors import Source
from probee.model.ctype import CType, StructType


class MapDeclaration:
    """One BPF_* map.

    `kind` is the type string that bcc's macro gives its table ("hash", "stacktrace", "prog", "perf_output", "ringbuf",
    "array_of_maps", ...); `key` and `leaf` are None where the map has none.  `max_entries` is in entries, of a ringbuf in
    pages.  `pin` is a path or "", `sharing` "" or "extern" or "public" or "shared", `inner` the map that is the template of
    a map of maps.
    """

    __slots__ = ("flags", "inner", "key", "kind", "leaf", "macro", "max_entries", "name", "pin", "sharing", "span")

    def __init__(
        self, name: str, kind: str, *, key: CType | None, leaf: CType | None, max_entries: int, flags: int, span: int,
        macro: str, pin: str = "", sharing: str = "", inner: str = "",
    ) -> None:  # fmt: skip
        self.name = name
        self.kind = kind
        self.key = key
        self.leaf = leaf
        self.max_entries = max_entries
        self.flags = flags
        self.span = span
        self.macro = macro
        self.pin = pin
        self.sharing = sharing
        self.inner = inner

    def __repr__(self) -> str:
        return f"<{self.macro} {self.name}>"


class ProbeMacro:
    """The probe that a function's macro names; `kind` is "tracepoint", "raw_tracepoint", "kfunc", "kretfunc", "fmod_ret",
    "lsm" or "iter", `target` its parts: ("sched", "sched_switch"), ("vmlinux", "vfs_read"), ("task",).
    """

    __slots__ = ("kind", "span", "target")

    def __init__(self, kind: str, target: tuple[str, ...], span: int) -> None:
        self.kind = kind
        self.target = target
        self.span = span


class FunctionDeclaration:
    """A function that the program defines.  `attributes` are the names in its __attribute__((...))."""

    __slots__ = ("attributes", "inline", "name", "node", "parameters", "probe", "result", "span", "static", "variadic")

    def __init__(
        self, name: str, node: c_ast.FuncDef, *, result: CType, parameters: tuple[tuple[str, CType, int], ...], span: int,
        static: bool, inline: bool, attributes: frozenset[str], probe: ProbeMacro | None, variadic: bool = False,
    ) -> None:  # fmt: skip
        self.name = name
        self.node = node
        self.result = result
        self.parameters = parameters
        self.span = span
        self.static = static
        self.inline = inline
        self.attributes = attributes
        self.probe = probe
        self.variadic = variadic

    def __repr__(self) -> str:
        return f"<function {self.name}>"


class TranslationUnit:
    """A program: its file scope, and what it declares, in order."""

    __slots__ = (
        "events", "functions", "globals", "includes", "license", "maps", "packet_headers", "reserved", "scope", "source",
        "warnings",
    )  # fmt: skip

    def __init__(self, source: Source, scope: Scope) -> None:
        self.source = source
        self.scope = scope
        self.maps: dict[str, MapDeclaration] = {}
        self.functions: dict[str, FunctionDeclaration] = {}
        self.globals: dict[str, c_ast.Decl] = {}
        self.packet_headers: set[str] = set()  # tags of structs whose members are read from packets, in network order
        self.events: dict[str, CType] = {}  # the lowering's: map → type of what is submitted to it
        self.reserved: dict[int, tuple[int, int]] = {}  # the lowering's: id of a global's node → (offset, size)
        self.includes: list[str] = []
        self.license = "GPL"  # or what the macro BPF_LICENSE says, which may be nothing
        self.warnings: list[tuple[str, int]] = []

    def is_packet_header(self, struct: StructType) -> bool:
        """Return whether a struct is one whose members are read from packets, as those of <bcc/proto.h> are."""
        return struct.name in self.packet_headers
