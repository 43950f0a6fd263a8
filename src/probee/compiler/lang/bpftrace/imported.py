"""Imports: other scripts, directories of them and C headers, read and put behind the script's own text.

A file is looked for beside the script that imports it, beside the main script, then in the directories of -I; what anyone may
write to is passed over.  Every file that was looked for is recorded with the target's answers, so that the cache notices when
it changes or appears.  C sources and objects need a C compiler, which this is not.
"""

from __future__ import annotations

import os

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace.parser import parse_part
from probee.compiler.lang.bpftrace.scope import Script
from probee.errors import CompileError, Unsupported

MAX_BYTES = 16 << 20
MAX_DEPTH = 16
_OTHERS_WRITE = 0o002
# What the language brings along itself, by the names that scripts import it with
STANDARD = frozenset(("stdlib", *(f"stdlib/{name}" for name in (
    "base", "kfunc", "map", "meta", "process", "strings", "system", "task", "usdt",
))))  # fmt: skip
_TEST = "macro __always_true() { 1 }"
_C = (".c", ".o")


def import_all(script: Script, directories: tuple[str, ...], includes: list[str]) -> list[ast.Program]:
    """Merge what a script imports into its program; returns the imported programs, whose macros are still theirs.

    `includes` are headers that come before everything else.
    """
    importer = _Importer(script, directories)
    importer.follow(script.program, script.source.name, 0)
    for program in importer.programs:
        merge(script.program, program)
    script.program.preamble[:0] = [piece for path in includes for piece in importer.header(path, 0)]
    return importer.programs


def find_header(name: str, directories: tuple[str, ...]) -> str:
    """Return the path of a header that --include names, "" when there is no such file."""
    return next((path for place in ("", *directories) if os.path.isfile(path := os.path.join(place, name))), "")


class _Importer:
    """Reads files; `programs` are those read so far, innermost first."""

    def __init__(self, script: Script, directories: tuple[str, ...]) -> None:
        self.script = script
        self.directories = directories
        self.programs: list[ast.Program] = []
        self._done: set[str] = set()

    def follow(self, program: ast.Program, name: str, depth: int) -> None:
        """Read what a program imports, and have its headers' texts where it includes them."""
        for node in program.imports:
            self.enter(node, os.path.dirname(name), depth)
        program.preamble[:] = self._with_headers(program.preamble, os.path.dirname(name), depth)

    def enter(self, node: ast.Import, beside: str, depth: int) -> None:
        if node.path in STANDARD:
            return
        if depth > MAX_DEPTH:
            raise CompileError(f"imports are nested more than {MAX_DEPTH} deep", node.span)
        if node.path in ("stdlib/test", "stdlib/test/test.bpf.c"):
            self._add(node.path, _TEST, depth)
            return
        checked: list[str] = []
        path = self._find(node, beside, checked)
        if not path:
            hint = f"checked: {', '.join(checked)}"
            raise CompileError("Unable to find suitable path for import", node.span, hint=hint)
        if os.path.isdir(path):
            self._directory(node, path, depth)
        else:
            self._file(node, path, depth)

    def _find(self, node: ast.Import, beside: str, checked: list[str]) -> str:
        places = dict.fromkeys((beside, os.path.dirname(self.script.source.name), *self.directories))
        for place in places:
            path = os.path.join(place, node.path)
            checked.append(path)
            if not os.path.exists(path):
                self.script.target.record(f"file:{os.path.abspath(path)}", "")
            elif _writable_by_all(path):
                self.script.warn(f"skipping due to global write permissions: {path}", node.span)
            else:
                return path
        return ""

    def _directory(self, node: ast.Import, path: str, depth: int) -> None:
        names = sorted(os.listdir(path))
        self.script.target.record(f"directory:{os.path.abspath(path)}", ",".join(names))
        for name in names:
            inner = os.path.join(path, name)
            if _writable_by_all(inner):
                message = f"cowardly refusing to import from a directory with global write permissions: {inner}"
                raise CompileError(message, node.span)
            if name.endswith((".bt", ".h")):
                self._file(node, inner, depth)
            elif name.endswith(tuple(f".bpf{end}" for end in _C)):
                self._refuse(node, inner)

    def _file(self, node: ast.Import, path: str, depth: int) -> None:
        if path.endswith(_C):
            self._refuse(node, path)
        if not path.endswith((".bt", ".h")):
            raise CompileError(f"unknown import type: {os.path.basename(path)}", node.span)
        self._add(path, self.read(path, node.span), depth)

    def _refuse(self, node: ast.Import, path: str) -> None:
        hint = "Write what it does as a macro or a function (fn) of a script, and import that."
        raise Unsupported(f"{path} is C, and probee has no C compiler", node.span, hint=hint)

    def read(self, path: str, span: int) -> str:
        """Return a file's text, noting that it was read."""
        try:
            with open(path, "rb") as file:
                data = file.read(MAX_BYTES)
        except OSError as error:
            raise CompileError(f"error reading import '{path}': {error.strerror}", span) from None
        self.script.target.record(f"file:{os.path.abspath(path)}", digest(data))
        return data.decode("utf-8", "surrogateescape")

    def _add(self, name: str, text: str, depth: int) -> None:
        if name in self._done:
            return
        self._done.add(name)
        program = parse_part(self.script.source, name, text)
        if program.config is not None:
            raise CompileError("invalid `config` within import", program.config.span)
        self.follow(program, name, depth + 1)
        self.programs.append(program)

    # -- headers

    def _with_headers(self, pieces: list[ast.CText], beside: str, depth: int) -> list[ast.CText]:
        """Return a preamble with the headers that are files of ours in place of the lines that include them."""
        found: list[ast.CText] = []
        for piece in pieces:
            found += self._header(piece, beside, depth) or [piece]
        return found

    def _header(self, piece: ast.CText, beside: str, depth: int) -> list[ast.CText]:
        words = piece.text[1:].split(None, 1) if piece.text.startswith("#") else []
        if len(words) != 2 or words[0] != "include" or words[1][:1] not in ('"', "<") or depth > MAX_DEPTH:
            return []
        name = words[1][1:].partition('"' if words[1][0] == '"' else ">")[0]
        near = [beside] if words[1][0] == '"' else []
        path = next((path for place in (*near, *self.directories) if os.path.isfile(path := os.path.join(place, name))), "")
        return self.header(path, piece.span, depth) if path else []

    def header(self, path: str, span: int, depth: int = 0) -> list[ast.CText]:
        """Return the definitions in a header, once."""
        blank = ast.CText(span, "#pragma once")
        if path in self._done:
            return [blank]
        self._done.add(path)
        program = parse_part(self.script.source, path, self.read(path, span))
        if program.probes or program.macros or program.functions:
            first = [*program.probes, *program.macros, *program.functions][0]
            raise CompileError("this is nothing that a header can have here: only types, constants and enums", first.span)
        return self._with_headers(program.preamble, os.path.dirname(path), depth + 1) or [blank]


def merge(program: ast.Program, imported: ast.Program) -> None:
    """Take over what an imported program has, but for its macros."""
    program.preamble[:0] = imported.preamble
    program.functions[:0] = imported.functions
    program.maps[:0] = imported.maps
    program.probes.extend(imported.probes)


def _writable_by_all(path: str) -> bool:
    places = (path, os.path.dirname(path) or ".")
    return any(os.stat(place).st_mode & _OTHERS_WRITE for place in places)


def digest(data: bytes) -> str:
    """The digest of kernel/answer.py."""
    from _blake2 import blake2b  # hashlib would load OpenSSL

    return str(blake2b(data, digest_size=16).hexdigest())

