"""GNU's extras in the stream of tokens: `__attribute__((...))` becomes a note on what it is about, empty `asm` disappears.

pycparser knows C23's attributes only, which stand elsewhere.  A note is put on the token that gives the declared thing its
coordinates: the tag or the brace of a struct, the name of a member, variable or function.
"""

from __future__ import annotations

from probee.compiler.lang.c.token import Word
from probee.errors import ParseError, Unsupported, make_span

_ATTRIBUTE = {"__attribute__", "__attribute"}
_ASM = {"asm", "__asm__", "__asm"}
_AGGREGATE = {"STRUCT", "UNION", "ENUM"}
_AFTER_NAME = {"SEMI", "COMMA", "EQUALS", "LBRACE", "RPAREN", "COLON"}
_BEHIND_A_NAME = _AFTER_NAME | {"LPAREN", "LBRACKET"}
_CLOSING = {"LPAREN": "RPAREN", "LBRACKET": "RBRACKET", "LBRACE": "RBRACE"}


def attach_attributes(words: list[Word]) -> list[Word]:
    """Return the words without attributes and asm, notes attached; the list itself when there are none."""
    if not any(word.type == "ID" and (word.value in _ATTRIBUTE or word.value in _ASM) for word in words):
        return words
    return _Reader(words).read()


def closing(words: list[Word], at: int) -> int:
    """Return the index of what closes the bracket at `at`."""
    depth = 0
    for index in range(at, len(words)):
        kind = words[index].type
        if kind in _CLOSING:
            depth += 1
        elif kind in ("RPAREN", "RBRACKET", "RBRACE"):
            depth -= 1
            if depth == 0:
                return index
    raise ParseError(f"this {words[at].value!r} is never closed", words[at].span)


class _Reader:
    def __init__(self, words: list[Word]) -> None:
        self.words = words
        self.out: list[Word] = []
        self.braces: list[Word | None] = []  # what names the struct of each open brace, None for other braces
        self.closed: Word | None = None  # that of the brace closed last
        self.pending: dict[str, str] = {}
        self.of_aggregate: dict[str, str] = {}

    def read(self) -> list[Word]:
        at, words, out = 0, self.words, self.out
        while at < len(words):
            word = words[at]
            if word.type == "ID" and word.value in _ATTRIBUTE:
                at = self.attribute(at)
                continue
            if word.type == "ID" and word.value in _ASM:
                at = self.assembly(at)
                continue
            self.plain(word, words[at + 1] if at + 1 < len(words) else None)
            out.append(word)
            at += 1
        return out

    def plain(self, word: Word, following: Word | None) -> None:
        """Note what a word says about where we are, before it is passed on."""
        kind = word.type
        if kind == "LBRACE":
            self.braces.append(self.aggregate(word))
        elif kind == "RBRACE" and self.braces:
            self.closed = self.braces.pop()
        elif kind == "ID" and self.pending and following is not None and following.type in _BEHIND_A_NAME:
            word.note().attributes.update(self.pending)
            self.pending = {}
        if self.of_aggregate and kind in ("ID", "LBRACE"):
            word.note().attributes.update(self.of_aggregate)
            self.of_aggregate = {}

    def aggregate(self, brace: Word) -> Word | None:
        """Return the word that a struct's attributes go to, if a brace opens a struct."""
        out = self.out
        if out and out[-1].type in _AGGREGATE:
            return brace
        if len(out) > 1 and out[-1].type == "ID" and out[-2].type in _AGGREGATE:
            return out[-1]
        return None

    def attribute(self, at: int) -> int:
        """Read one __attribute__ at `at`; returns where it ends."""
        words = self.words
        if at + 2 >= len(words) or words[at + 1].type != "LPAREN" or words[at + 2].type != "LPAREN":
            raise ParseError("__attribute__ needs two pairs of parentheses: __attribute__((packed))", words[at].span)
        end = closing(words, at + 1)
        found = _attributes(words[at + 3 : closing(words, at + 2)])
        following = words[end + 1].type if end + 1 < len(words) else ""
        self.attach(found, following)
        return end + 1

    def attach(self, found: dict[str, str], following: str) -> None:
        last = self.out[-1] if self.out else None
        if last is not None and last.type in _AGGREGATE:
            self.of_aggregate.update(found)
        elif last is not None and last.type == "RBRACE" and self.closed is not None:
            self.closed.note().attributes.update(found)
        elif last is not None and following in _AFTER_NAME and (name := self.declared_name()) is not None:
            name.note().attributes.update(found)
        else:
            self.pending.update(found)

    def declared_name(self) -> Word | None:
        """Return the name that was declared last: `x`, `x[3]`, `f(int a)`."""
        at = len(self.out) - 1
        while at >= 0 and self.out[at].type in ("RPAREN", "RBRACKET"):
            opening, depth = {"RPAREN": "LPAREN", "RBRACKET": "LBRACKET"}[self.out[at].type], 0
            kind = self.out[at].type
            while at >= 0:
                depth += (self.out[at].type == kind) - (self.out[at].type == opening)
                at -= 1
                if depth == 0:
                    break
        return self.out[at] if at >= 0 and self.out[at].type == "ID" else None

    def assembly(self, at: int) -> int:
        """Skip an asm statement whose template is empty; returns where it ends."""
        words = self.words
        start = at
        at += 1
        while at < len(words) and words[at].type in ("VOLATILE", "INLINE", "GOTO"):
            at += 1
        if at >= len(words) or words[at].type != "LPAREN":
            raise ParseError("asm needs a template in parentheses", words[start].span)
        end = closing(words, at)
        template = [word.value for word in words[at + 1 : end] if word.type == "STRING_LITERAL"][:1]
        if template != ['""']:
            raise Unsupported("inline assembly is not supported", make_span(words[start].lineno, words[end].lineno + 1))
        return end + 1


def _attributes(words: list[Word]) -> dict[str, str]:
    """Return the attributes in a list: name without underscores → text of the arguments."""
    found: dict[str, str] = {}
    at = 0
    while at < len(words):
        name = words[at].value.strip("_")
        at += 1
        text = ""
        if at < len(words) and words[at].type == "LPAREN":
            end = closing(words, at)
            if name == "attribute":  # `noinline`, a macro in kernel headers, within an attribute
                found.update(_attributes(words[at + 2 : end - 1]))
                at = end + 1
                continue
            text = " ".join(word.value for word in words[at + 1 : end])
            at = end + 1
        if name != ",":
            found[name] = text
    return found
