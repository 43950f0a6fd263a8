"""The C preamble of a program: conditionals, #define, #include and definitions, in order.

Only object-like macros exist. `#include` is recorded and otherwise does nothing: types come from BTF. Which macros are
predefined (BPFTRACE_HAVE_BTF) is the caller's to say. Replacing macro names in the program is cmacro.py's work.
"""

from __future__ import annotations

from probee.compiler.lang.bpftrace.ast import CText
from probee.compiler.lang.bpftrace.cconstant import Names, evaluate
from probee.compiler.lang.bpftrace.cdeclaration import declare
from probee.compiler.lang.bpftrace.cdefinition import CDefinitions, CInclude, CMacro
from probee.compiler.lang.bpftrace.parser import parse_expression
from probee.compiler.lang.bpftrace.scanner import WORD_START, Scanner
from probee.errors import ParseError, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_IGNORED = frozenset(("pragma", "warning", "line", "ident", ""))


def read_preamble(pieces: Sequence[CText], predefined: Mapping[str, str] | None = None) -> CDefinitions:
    """Return what a program's preamble defines; raises ParseError.

    `predefined` maps names of macros to their text.
    """
    reader = _Preprocessor()
    for name, text in (predefined or {}).items():
        reader.definitions.macros[name] = CMacro(0, name, text)
    for piece in pieces:
        if piece.text.startswith("#"):
            reader.directive(piece)
        elif reader.active():
            declare(piece, reader.definitions)
    if reader.branches:
        raise ParseError("syntax: unterminated conditional directive", reader.branches[-1].span)
    return reader.definitions


class _Branch:
    """One open #if: `span` of its line; `live` now; `done` when a branch was taken or none may be."""

    __slots__ = ("done", "final", "live", "span")

    def __init__(self, span: int, live: bool, done: bool) -> None:
        self.span = span
        self.live = live
        self.done = done
        self.final = False


class _Preprocessor:
    """The state between lines."""

    __slots__ = ("branches", "definitions", "names")

    def __init__(self) -> None:
        self.definitions = CDefinitions()
        self.names = Names(self.definitions)
        self.branches: list[_Branch] = []

    def active(self) -> bool:
        return not self.branches or self.branches[-1].live

    def directive(self, piece: CText) -> None:
        """Obey one `#` line."""
        keyword, rest = _split_word(_plain(piece.text[1:]))
        if keyword in ("if", "ifdef", "ifndef"):
            live = self.active() and self.holds(keyword, rest, piece)
            self.branches.append(_Branch(piece.span, live, live or not self.active()))
        elif keyword in ("elif", "else", "endif"):
            self.other_branch(keyword, rest, piece)
        elif self.active():
            self.plain_directive(keyword, rest, piece)

    def other_branch(self, keyword: str, rest: str, piece: CText) -> None:
        if not self.branches or (keyword != "endif" and self.branches[-1].final):
            raise ParseError(f"syntax: #{keyword} without #if", piece.span)
        branch = self.branches[-1]
        if keyword == "endif":
            self.branches.pop()
            return
        branch.final = keyword == "else"
        branch.live = not branch.done and (branch.final or self.holds("if", rest, piece))
        branch.done = branch.done or branch.live

    def plain_directive(self, keyword: str, rest: str, piece: CText) -> None:
        if keyword == "define":
            self.define(rest, piece)
        elif keyword == "undef":
            self.definitions.macros.pop(_name(rest, piece), None)
        elif keyword == "include":
            self.definitions.includes.append(_include(rest, piece))
        elif keyword == "error":
            raise ParseError(f"syntax: #error {rest}".rstrip(), piece.span)
        elif keyword not in _IGNORED:
            raise ParseError(f"syntax: invalid preprocessing directive #{keyword}", piece.span)

    def define(self, rest: str, piece: CText) -> None:
        name = _name(rest, piece)
        text = rest[len(name) :]
        if text.startswith("("):
            self.definitions.macros.pop(name, None)  # function-like: has no value
            return
        self.definitions.macros[name] = CMacro(piece.span, name, text.strip())

    def holds(self, keyword: str, rest: str, piece: CText) -> bool:
        """Evaluate a condition."""
        if keyword != "if":
            return (_name(rest, piece) in self.definitions.macros) == (keyword == "ifdef")
        try:
            condition = parse_expression(Source("#if", self.without_defined(rest)))
            return bool(evaluate(condition, self.names.or_zero))
        except ParseError as error:
            raise ParseError(f"syntax: invalid condition in #if: {error.message}", piece.span) from None

    def without_defined(self, text: str) -> str:
        """Replace `defined NAME` and `defined(NAME)` by 1 or 0."""
        s = Scanner(text)
        out = ""
        while s.at < s.end:
            start = s.at
            word = s.peek_word()
            s.at += len(word) or 1
            if word != "defined":
                out += text[start : s.at]
                continue
            parenthesised = s.match("(")
            name = s.expect_word("expected identifier")
            if parenthesised:
                s.expect(")")
            out += "1" if name in self.definitions.macros else "0"
        return out


def _plain(text: str) -> str:
    """Return a line without comments, runs of layout as single blanks; strings stay as they are."""
    s = Scanner(text)
    out = ""
    while s.at < s.end:
        start = s.at
        c = text[start]
        if c in " \t/" and (end := _layout_end(s, start)) > start:
            out += " "
            s.at = end
        elif c == '"':
            close = text.find('"', start + 1)
            s.at = close + 1 if close > 0 else s.end
            out += text[start : s.at]
        else:
            out += c
            s.at += 1
    return out.strip()


def _layout_end(s: Scanner, at: int) -> int:
    """Return where layout ends; a comment that goes on in the next line ends with this one."""
    try:
        return s.layout_end(at)
    except ParseError:
        return s.end


def _split_word(text: str) -> tuple[str, str]:
    """Return the first word and the rest without the blank between."""
    end = Scanner(text).word_end(0)
    return text[:end], text[end:].strip()


def _name(rest: str, piece: CText) -> str:
    name = _split_word(rest)[0]
    if not name or name[0] not in WORD_START:
        raise ParseError("syntax: macro name must be an identifier", piece.span)
    return name


def _include(rest: str, piece: CText) -> CInclude:
    closing = {"<": ">", '"': '"'}.get(rest[:1], "")
    end = rest.find(closing, 1) if closing else -1
    if end < 2:
        raise ParseError('syntax: expected "FILENAME" or <FILENAME> after #include', piece.span)
    return CInclude(piece.span, rest[1:end], closing == ">")
