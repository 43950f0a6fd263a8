"""The character scanner under the parser: position, layout, words, and where an error is reported.

The language has no token stream: what a character means depends on where it stands (attach points, division against
predicate, types against values), so the parser works on text. Layout is blanks, newlines and comments. The text ends in
NUL characters, which the language does not allow anywhere, so that looking ahead never needs a bounds check.
"""

from __future__ import annotations

from probee.errors import ParseError, make_span

DIGITS = frozenset("0123456789")
WORD_START = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
WORD = WORD_START | DIGITS
BLANK = frozenset(" \t\r\n")
_LAYOUT = BLANK | {"/"}
_NAME_START = WORD_START | {"@", "$"}
_NUMBER = (WORD | {"."}) - {"_"}

#: Nesting of expressions and blocks beyond this is refused; later passes recurse over the tree.
MAX_DEPTH = 100


class Scanner:
    """A program text and a position in it. `constants` are the names that the preamble #defines."""

    __slots__ = ("at", "constants", "depth", "end", "text")

    def __init__(self, text: str) -> None:
        self.text = text + "\0\0\0\0"
        self.end = len(text)
        self.at = 0
        self.depth = 0
        self.constants: set[str] = set()

    # -- errors

    def error(self, message: str, start: int, end: int) -> ParseError:
        """Make the error for the text between two offsets."""
        return ParseError(f"syntax: {message}", make_span(start, end))

    def unexpected(self, message: str) -> ParseError:
        """Make an error about whatever word or character comes next."""
        self.skip()
        start = end = self.at
        c = self.text[start]
        if c in _NAME_START:
            end = self.word_end(start + 1)
        elif c in DIGITS:
            while self.text[end] in _NUMBER:
                end += 1
        elif start < self.end:
            end += 1
        return self.error(message, start, end)

    def enter(self) -> None:
        """Go one level deeper; pairs with leave()."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.unexpected(f"nested more than {MAX_DEPTH} levels deep; split the program up")

    def leave(self) -> None:
        """Come back from a level."""
        self.depth -= 1

    # -- layout

    def skip(self) -> None:
        """Move over layout."""
        if self.text[self.at] in _LAYOUT:
            self.at = self.layout_end(self.at)

    def layout_end(self, at: int) -> int:
        """Return where the layout that may start at `at` ends."""
        text = self.text
        while True:
            c = text[at]
            if c in BLANK:
                at += 1
            elif c != "/":
                return at
            elif text[at + 1] == "/":
                newline = text.find("\n", at)
                at = self.end if newline < 0 else newline + 1
            elif text[at + 1] == "*":
                close = text.find("*/", at + 2)
                if close < 0:
                    raise self.error("unterminated comment", at, at + 2)
                at = close + 2
            else:
                return at

    # -- words

    def word_end(self, at: int) -> int:
        """Return where the run of identifier characters at `at` ends."""
        text = self.text
        while text[at] in WORD:
            at += 1
        return at

    def peek_word(self) -> str:
        """Return the word that starts right here, "" if none does."""
        if self.text[self.at] not in WORD_START:
            return ""
        return self.text[self.at : self.word_end(self.at)]

    def word(self) -> str:
        """Take the word after layout, "" if none is there."""
        self.skip()
        word = self.peek_word()
        self.at += len(word)
        return word

    def expect_word(self, complaint: str) -> str:
        """Take the word after layout, or fail with `complaint`."""
        word = self.word()
        if not word:
            raise self.unexpected(complaint)
        return word

    def sigil_name(self) -> str:
        """Take `$name` or `@name` (which starts right here) and return the name; `@` alone gives ""."""
        start = self.at + 1
        if self.text[start] not in WORD_START:
            if self.text[self.at] == "$":
                raise self.unexpected("expected identifier after '$'")
            self.at = start
            return ""
        self.at = self.word_end(start)
        return self.text[start : self.at]

    # -- fixed text

    def match(self, text: str) -> bool:
        """Take `text` (a punctuation) if it follows after layout."""
        self.skip()
        if not self.text.startswith(text, self.at):
            return False
        self.at += len(text)
        return True

    def match_word(self, word: str) -> bool:
        """Take a keyword if it follows after layout as a whole word."""
        self.skip()
        end = self.at + len(word)
        if not self.text.startswith(word, self.at) or self.text[end] in WORD:
            return False
        self.at = end
        return True

    def expect(self, text: str) -> None:
        """Take a punctuation after layout, or fail."""
        if not self.match(text):
            raise self.unexpected(f"expected '{text}'")

    def balanced_end(self, at: int) -> int:
        """Return where the bracket group that opens at `at` ends, -1 if it never does."""
        text = self.text
        opening = text[at]
        closing = {"(": ")", "[": "]", "{": "}"}[opening]
        depth = 0
        while at < self.end:
            c = text[at]
            at += 1
            if c == opening:
                depth += 1
            elif c == closing:
                depth -= 1
                if depth == 0:
                    return at
        return -1
