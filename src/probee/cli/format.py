"""`--fmt`: a script in the usual form, on standard output or with -o in a file.

The text of every statement comes from the syntax tree (compiler/lang/bpftrace/show.py).  The tree holds no comments and no
blank lines: both are found in the source and put between the statements where they stood, as marks in the tree that become
their text again.  A comment inside of a statement goes before it.  The result is parsed again and must be the same tree.
"""

from __future__ import annotations

import os
import sys

from probee.cli.options import Options
from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace.parser import parse
from probee.compiler.lang.bpftrace.show import show
from probee.errors import CompileError, ProbeeError, Source, UsageError, span_range

_MARK = "\x01"  # nothing that a script may contain
_OPENING = (ast.Probe, ast.Macro, ast.Function)


def format_script(options: Options) -> int:
    """Format the script that the options name."""
    from probee.cli.script import read_script

    script = read_script(options)
    if script.bundle:
        raise UsageError(f"'{script.name}' is compiled: only its source can be formatted")
    source = Source(script.name, script.text)
    try:
        text = formatted(source)
    except CompileError as error:
        raise error.at(source) from None
    data = text.encode("utf-8", "surrogateescape")
    if options.output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
    else:
        _replace(options.output, data)
    return 0


def _replace(path: str, data: bytes) -> None:
    """Write a file whole or not at all: it may be the script itself."""
    kept = f"{path}.{os.getpid()}.new"
    try:
        with open(kept, "wb") as file:
            file.write(data)
        if os.path.exists(path):
            os.chmod(kept, os.stat(path).st_mode & 0o7777)
        os.rename(kept, path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None


def formatted(source: Source) -> str:
    """Return the text of a script in the usual form; CompileError when it is no script."""
    text = _Formatter(source.text, parse(source)).text()
    if show(parse(source)) != show(parse(Source(source.name, text))):
        raise ProbeeError(f"{source.name} was not formatted: the result would not mean the same. Please report this.")
    return text


class _Formatter:
    """Puts a text together from its top-level parts in their order."""

    def __init__(self, text: str, program: ast.Program) -> None:
        self._text = text
        self._parts = sorted(_parts(program), key=lambda part: part.span)
        self._comments = list(_comments(text, program))
        self._marks: list[str] = []

    def text(self) -> str:
        pieces, at = [], 0
        if self._text.startswith("#!"):
            at = self._text.find("\n") + 1 or len(self._text)
            pieces.append(self._text[:at].rstrip() + "\n")
        for part in self._parts:
            start, end = _extent(part)
            end = self._to_line_end(end)
            pieces += self._between(at, start, part)
            pieces.append(self._shown(part, start, end))
            at = end
        pieces += self._between(at, len(self._text), None)
        return "".join(pieces)

    def _between(self, start: int, end: int, follows: ast.Node | None) -> list[str]:
        """Return what stands between two parts: comments, and a blank line where there was one or a probe begins."""
        lines, at = [], start
        for first, last in self._comments:
            if start <= first < end:
                lines += self._blank(at, first)
                lines.append(f"{self._text[first:last].rstrip()}\n")
                at = last
        if follows is not None and start > 0:
            blank = self._blank(at, end)
            lines += blank or (["\n"] if isinstance(follows, _OPENING) and not lines else [])
        return lines

    def _blank(self, start: int, end: int) -> list[str]:
        return ["\n"] if start > 0 and self._text.count("\n", start - (self._text[start - 1] == "\n"), end) > 1 else []

    def _to_line_end(self, end: int) -> int:
        """Return the end of a part together with a comment behind it on its line."""
        for first, last in self._comments:
            if end <= first and "\n" not in self._text[end:first] and not self._text[end:first].strip(" \t;"):
                return last
        return end

    def _shown(self, part: ast.Node, start: int, end: int) -> str:
        own_end = _extent(part)[1]
        behind = self._text[own_end:end].strip(" \t;\n")
        behind = f"  {behind}" if behind else ""
        if isinstance(part, ast.CText):
            return f"{part.text.rstrip()}{behind}\n"
        inside = [(first, last) for first, last in self._comments if start <= first < own_end]
        before = []
        body = getattr(part, "body", None)
        if body is not None:
            opening = span_range(body.span)[0]
            before = [f"{self._text[first:last].rstrip()}\n" for first, last in inside if first < opening]
            self._mark(body, [comment for comment in inside if comment[0] >= opening])
        else:
            before = [f"{self._text[first:last].rstrip()}\n" for first, last in inside]
        return "".join(before) + self._unmarked(_alone(part)).rstrip("\n") + behind + "\n"

    # -- marks in a block

    def _mark(self, block: ast.Block, comments: list[tuple[int, int]]) -> None:
        """Put the comments and blank lines of a block into it, as statements that show themselves as marks."""
        start, end = span_range(block.span)
        at = start + 1
        found: list[ast.Statement | ast.Block] = []
        for statement in block.statements:
            first, last = span_range(statement.span)
            mine = [comment for comment in comments if at <= comment[0] < first]
            found += self._marks_between(at, first, mine, opening=at == start + 1)
            inner = [comment for comment in comments if first <= comment[0] < last]
            found += self._descend(statement, inner)
            found.append(statement)
            after = self._to_line_end(last)
            if after > last and after <= end:
                found.append(self._marker("behind", self._text[last:after].strip(" \t;\n")))
                last = after
            at = max(last, self._text.find(";", last, last + 1) + 1)
        rest = [comment for comment in comments if comment[0] >= at]
        found += self._marks_between(at, end - 1, rest, opening=True)
        block.statements = found

    def _marks_between(self, at: int, end: int, comments: list[tuple[int, int]], *, opening: bool) -> list[ast.Statement]:
        found: list[ast.Statement] = []
        for first, last in comments:
            if not opening and self._blank(at, first):
                found.append(self._marker("blank", ""))
            found.append(self._marker("own", self._text[first:last].rstrip()))
            at, opening = last, False
        if not opening and self._blank(at, end):
            found.append(self._marker("blank", ""))
        return found

    def _descend(self, statement: ast.Node, comments: list[tuple[int, int]]) -> list[ast.Statement]:
        """Mark the blocks of a statement; returns marks for the comments that are in none of them."""
        blocks = [node for node in ast.walk(statement) if isinstance(node, ast.Block)]
        outer = [block for block in blocks if not any(block is not other and _within(block, other) for other in blocks)]
        left = comments
        for block in outer:
            start, end = span_range(block.span)
            self._mark(block, [comment for comment in left if start <= comment[0] < end])
            left = [comment for comment in left if not start <= comment[0] < end]
        return [self._marker("own", self._text[first:last].rstrip()) for first, last in left]

    def _marker(self, kind: str, text: str) -> ast.Statement:
        self._marks.append(text)
        return ast.ExprStatement(0, ast.Identifier(0, f"{_MARK}{kind}{len(self._marks) - 1}{_MARK}"))

    def _unmarked(self, text: str) -> str:
        lines: list[str] = []
        for line in text.split("\n"):
            mark = line.strip().removesuffix(";")
            if not (mark.startswith(_MARK) and mark.endswith(_MARK)):
                lines.append(_without_semicolon(line, lines))
                continue
            name = mark.strip(_MARK)
            kind = name.rstrip("0123456789")
            comment = self._marks[int(name[len(kind) :])]
            if kind == "behind":
                lines[-1] += f"  {comment}"
            else:
                lines.append(line[: len(line) - len(line.lstrip())] + comment if kind == "own" else "")
        return "\n".join(lines)


def _without_semicolon(line: str, before: list[str]) -> str:
    """The tree shows `};` behind an if, too, whose semicolon nobody writes; behind a block that is a value it is needed."""
    bare = line.lstrip(" ")
    if not bare.endswith("};"):
        return line
    indent = line[: len(line) - len(bare)]
    opening = bare if bare != "};" else next((old[len(indent) :] for old in reversed(before) if _opens(old, indent)), "")
    return line[:-1] if opening.startswith(("if (", "} else")) else line


def _opens(line: str, indent: str) -> bool:
    return line.startswith(indent) and line[len(indent) : len(indent) + 1] not in ("", " ", "/", "*")


def _within(inner: ast.Node, outer: ast.Node) -> bool:
    return outer.span != inner.span and any(node is inner for node in ast.walk(outer))


def _parts(program: ast.Program) -> list[ast.Node]:
    config = [program.config] if program.config is not None else []
    return [
        *program.preamble, *config, *program.imports, *program.maps, *program.macros, *program.functions, *program.probes,
    ]  # fmt: skip


def _extent(part: ast.Node) -> tuple[int, int]:
    start, end = span_range(part.span)
    body = getattr(part, "body", None)
    return start, max(end, span_range(body.span)[1]) if body is not None else end


def _alone(part: ast.Node) -> str:
    """Return the text of one top-level part."""
    kinds = {
        ast.Import: "imports", ast.MapDeclaration: "maps", ast.Macro: "macros", ast.Function: "functions", ast.Probe: "probes",
        ast.Config: "config",
    }  # fmt: skip
    fields: dict[str, object] = {
        "preamble": [], "config": None, "imports": [], "maps": [], "macros": [], "functions": [], "probes": [],
    }  # fmt: skip
    name = kinds[type(part)]
    fields[name] = part if name == "config" else [part]
    return show(_program(fields))


def _program(fields: dict[str, object]) -> ast.Program:
    program = ast.Program.__new__(ast.Program)
    program.span = 0
    for name, value in fields.items():
        setattr(program, name, value)
    return program


def _comments(text: str, program: ast.Program) -> list[tuple[int, int]]:
    """Return (start, end) of the comments outside of the C preamble; in attach points and strings there are none."""
    closed = [span_range(node.span) for node in program.preamble]
    closed += [span_range(point.span) for probe in program.probes for point in probe.attach_points]
    ends = dict(closed)
    found, at = [], 0
    while at < len(text):
        if at in ends and ends[at] > at:
            at = ends[at]
        elif text[at] == '"':
            at = _string_end(text, at)
        elif text.startswith("#!", at) and at == 0:
            at = text.find("\n") if "\n" in text else len(text)
        elif text.startswith(("//", "/*"), at):
            end = text.find("\n", at) if text[at + 1] == "/" else text.find("*/", at + 2) + 2
            end = len(text) if end < 2 else end
            found.append((at, end))
            at = end
        else:
            at += 1
    return found


def _string_end(text: str, at: int) -> int:
    at += 1
    while at < len(text) and text[at] != '"':
        at += 2 if text[at] == "\\" else 1
    return at + 1
