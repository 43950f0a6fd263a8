"""C declarations: struct, union and enum definitions and typedefs, as far as scripts write them.

Works on one piece of preamble text with the bpftrace scanner (C's words, comments and brackets are the same) and appends
what it defines to a CDefinitions. Function types are recognised and not looked into; qualifiers are dropped; of
attributes only packed and aligned are kept. The `;` after a last member may be missing, as bpftrace allows.
"""

from __future__ import annotations

from probee.compiler.lang.bpftrace.ast import ArrayType, CText, NamedType, PointerType, TypeName
from probee.compiler.lang.bpftrace.cconstant import Names, evaluate
from probee.compiler.lang.bpftrace.cdefinition import CDefinitions, CEnum, CFunction, CMember, CStruct, CTypedef
from probee.compiler.lang.bpftrace.parser_expression import expression
from probee.compiler.lang.bpftrace.parser_type import TAGS
from probee.compiler.lang.bpftrace.scanner import Scanner
from probee.errors import ParseError, make_span

_QUALIFIERS = frozenset(("const", "volatile", "restrict", "__restrict", "register", "static", "extern", "inline"))
_SIZES = frozenset(("char", "short", "int", "long", "signed", "unsigned", "float", "double", "__signed__"))


def declare(piece: CText, definitions: CDefinitions) -> None:
    """Read one definition into `definitions`; raises ParseError."""
    reader = _Reader(piece, definitions)
    try:
        reader.read()
    except RecursionError:
        raise ParseError("syntax: nested too deeply; split the definition up", piece.span) from None
    except ParseError as error:
        start = (piece.span >> 24) + (error.span >> 24)
        message = error.message if error.message.startswith("syntax: ") else f"syntax: {error.message}"
        raise ParseError(message, make_span(start, start + (error.span & 0xFFFFFF))) from None


class _Reader:
    """One piece of text being read."""

    __slots__ = ("base", "definitions", "names", "s")

    def __init__(self, piece: CText, definitions: CDefinitions) -> None:
        self.s = Scanner(piece.text)
        self.base = piece.span >> 24
        self.definitions = definitions
        self.names = Names(definitions)

    def span(self, start: int) -> int:
        return make_span(self.base + start, self.base + self.s.at)

    def read(self) -> None:
        s = self.s
        if s.match_word("typedef"):
            self.typedef()
        else:
            self.specifiers()
            self.attributes()
        s.match(";")
        s.skip()
        if s.at < s.end:
            raise s.unexpected("expected ';'")

    def typedef(self) -> None:
        base = self.specifiers()
        while True:
            start = self.s.at
            name, type = self.declarator(base)
            if not name:
                raise self.s.unexpected("expected identifier")
            self.attributes()
            self.definitions.types.append(CTypedef(self.span(start), name, type))
            if not self.s.match(","):
                return

    # -- specifiers

    def specifiers(self) -> TypeName:
        """Take everything before the declarators: qualifiers and one type."""
        s = self.s
        found: TypeName | None = None
        sizes: list[str] = []
        s.skip()
        start = s.at
        while True:
            s.skip()
            word = s.peek_word()
            if word in TAGS and found is None and not sizes:
                found = self.tagged(word)
            elif word in _SIZES and found is None:
                sizes.append(word)
                s.at += len(word)
            elif word in _QUALIFIERS or self.is_empty_macro(word):
                s.at += len(word)
            elif word == "__attribute__":
                self.attributes()
            elif word and found is None and not sizes:
                s.at += len(word)
                found = NamedType(self.span(start), self.renamed(word))
            elif found is not None:
                return found
            elif sizes:
                return NamedType(self.span(start), _integer_name(sizes))
            else:
                raise s.unexpected("expected type name")

    def is_empty_macro(self, word: str) -> bool:
        macro = self.definitions.macros.get(word)
        return macro is not None and not macro.text

    def renamed(self, word: str) -> str:
        """Follow `#define alias type`."""
        for _ in range(10):
            macro = self.definitions.macros.get(word)
            if macro is None:
                break
            words = macro.text.split()
            word = _integer_name(words) if words and all(w in _SIZES for w in words) else macro.text
        return word

    def tagged(self, tag: str) -> TypeName:
        """Take `struct name`, `struct name { … }` or `struct { … }` (or union, enum)."""
        s = self.s
        start = s.at
        s.at += len(tag)
        packed, aligned = self.attributes()
        name = s.word()
        end = s.at
        if not s.match("{"):
            s.at = end
            if not name:
                raise s.unexpected("expected identifier")
            return NamedType(self.span(start), name, tag)
        s.enter()
        if tag == "enum":
            names, values = self.enumerators()
            packed = self.attributes()[0] or packed
            definition: CStruct | CEnum = CEnum(self.span(start), name, names, values, packed)
            self.definitions.types.append(definition)
        else:
            members = self.members()
            end = s.at
            behind = self.attributes()
            s.at = s.at if behind != (False, 0) else end
            definition = CStruct(self.span(start), tag, name, members, packed or behind[0], behind[1] or aligned)
            if name:
                self.definitions.types.append(definition)
        s.leave()
        return NamedType(definition.span, name, tag) if name else definition

    def attributes(self) -> tuple[bool, int]:
        """Take any number of `__attribute__((…))`; return (packed, alignment)."""
        s = self.s
        packed, aligned = False, 0
        while s.match_word("__attribute__"):
            s.skip()
            if not s.text.startswith("((", s.at):
                raise s.unexpected("__attribute__ syntax error, expected '(('")
            end = s.balanced_end(s.at)
            if end < 0:
                raise s.unexpected("__attribute__ syntax error, mismatched '(' and ')'")
            s.at += 2
            while s.at < end - 2:
                s.skip()
                word = s.word()
                packed = packed or word in ("packed", "__packed__")
                if word in ("aligned", "__aligned__") and s.match("("):
                    aligned = self.constant()
                    s.expect(")")
                elif not word:
                    s.at += 1
            s.at = end
        return packed, aligned

    def constant(self) -> int:
        return evaluate(expression(self.s), self.names)

    # -- bodies

    def enumerators(self) -> tuple[list[str], list[int]]:
        """Take the rest of an enum's braces."""
        s = self.s
        names: list[str] = []
        values: list[int] = []
        while not s.match("}"):
            name = s.expect_word("expected identifier")
            value = values[-1] + 1 if values else 0
            if s.match("="):
                value = self.constant()
            names.append(name)
            values.append(value)
            self.definitions.constants[name] = value
            s.skip()
            if s.text[s.at] != "}":
                s.expect(",")
        return names, values

    def members(self) -> list[CMember]:
        """Take the rest of a struct's braces."""
        s = self.s
        found: list[CMember] = []
        while not s.match("}"):
            if s.match(";"):
                continue
            if s.at >= s.end:
                raise s.unexpected("expected '}'")
            self.member_line(found)
            s.skip()
            if s.text[s.at] != "}":
                s.expect(";")
        return found

    def member_line(self, found: list[CMember]) -> None:
        """Take one type and its declarators."""
        s = self.s
        base = self.specifiers()
        s.skip()
        if s.text[s.at] in ";}":
            if isinstance(base, CStruct):  # anonymous: its members are the outer's
                found.append(CMember(base.span, "", base, None))
            return
        while True:
            s.skip()
            start = s.at
            name, type = self.declarator(base)
            bits = self.constant() if s.match(":") else None
            if not name and bits is None:
                raise s.unexpected("expected identifier")
            span = self.span(start)
            self.attributes()
            found.append(CMember(span, name, type, bits))
            if not s.match(","):
                return

    # -- declarators

    def declarator(self, base: TypeName) -> tuple[str, TypeName]:
        """Take a declarator; return the name ("" if it has none) and its type."""
        s = self.s
        while s.match("*"):
            base = PointerType(self.span(s.at - 1), base)
            while self.qualifier_follows():
                s.word()
        if not s.match("("):
            name = s.word()
            return name, self.suffixes(base)
        inner = s.at
        end = s.balanced_end(inner - 1)
        if end < 0:
            raise s.unexpected("expected ')'")
        s.at = end
        base = self.suffixes(base)  # what follows the parenthesis binds first
        after = s.at
        s.at = inner
        s.enter()
        name, type = self.declarator(base)
        s.leave()
        s.expect(")")
        s.at = after
        return name, type

    def qualifier_follows(self) -> bool:
        self.s.skip()
        word = self.s.peek_word()
        return word in _QUALIFIERS or self.is_empty_macro(word)

    def suffixes(self, base: TypeName) -> TypeName:
        """Take array bounds and parameter lists behind a name."""
        s = self.s
        bounds: list[tuple[int, int | None]] = []
        while True:
            mark = s.at
            if s.match("["):
                start = s.at - 1
                size = None if s.match("]") else self.constant()
                if size is not None:
                    s.expect("]")
                if size is not None and size < 0:
                    raise s.error("array size is negative", start, s.at)
                bounds.append((self.span(start), size))
            elif s.match("("):
                end = s.balanced_end(s.at - 1)
                if end < 0:
                    raise s.unexpected("expected ')'")
                s.at = end
                return CFunction(self.span(mark))
            else:
                s.at = mark
                break
        for span, size in reversed(bounds):
            base = ArrayType(span, base, size)
        return base


def _integer_name(words: list[str]) -> str:
    """Return the one spelling of an integer or floating type."""
    longs = words.count("long")
    unsigned = "unsigned " if "unsigned" in words else ""
    if "double" in words or "float" in words:
        return "float" if "float" in words else "long double" if longs else "double"
    if "char" in words:
        signed = "signed " if "signed" in words or "__signed__" in words else ""
        return f"{unsigned or signed}char"
    if "short" in words:
        return f"{unsigned}short"
    return unsigned + {0: "int", 1: "long"}.get(longs, "long long")


