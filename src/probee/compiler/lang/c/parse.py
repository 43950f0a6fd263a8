"""The parser: pycparser, fed with our tokens, with what it lacks of GNU's C and with messages for people.

A node's coordinates are those of a token: `line` is an offset in the source text, `column` a length, `file` "" or a Note.
Beside ISO C it reads `x ?: y` (a TernaryOp whose iftrue is None) and `case 1 ... 5` (an expression BinaryOp "...").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from pycparser import c_ast
from pycparser.c_parser import CParser

from probee.compiler.lang.c.mistake import explain
from probee.compiler.lang.c.token import Word

_NAMES = ("ID", "TYPEID")


class _Lexer:
    """What pycparser wants to have, and never asks here."""

    filename = ""

    def __init__(self, error_func: object, *, dialect: object = None) -> None:
        pass

    def token(self) -> None:
        return None


class _Stream:
    """All words at once, and which one comes next; pycparser marks and resets it."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = 0

    def mark(self) -> int:
        return self.at

    def reset(self, mark: int) -> None:
        self.at = mark


class Parser(CParser):  # type: ignore[misc]
    """pycparser's parser over a list of words.  `is_typedef(name)` answers for names that the program does not declare.

    Half of a parser's time goes into looking at the next word: that is done here, without a buffer between.
    """

    def __init__(self, words: list[Word], is_typedef: Callable[[str], bool], text: str = "") -> None:
        super().__init__(lexer=_Lexer, dialect="c23")
        self.words = words
        self._end = len(words)
        self._tokens = _Stream()
        self._typedef_checked_token: Word | None = None
        self._outside = is_typedef
        self._text = text  # for what indentation tells of a mistake

    def run(self) -> c_ast.FileAST:
        """Parse a translation unit."""
        return self._parse_translation_unit_or_empty()

    def _is_type_in_scope(self, name: str) -> bool:
        for scope in reversed(self._scope_stack):
            if name in scope:
                return bool(scope[name])
        return self._outside(name)

    def _peek(self, k: int = 1) -> Word | None:
        at = self._tokens.at + k - 1
        if at >= self._end:
            return None
        word = self.words[at]
        if word.type in _NAMES and word is not self._typedef_checked_token:
            word.type = "TYPEID" if self._is_type_in_scope(word.value) else "ID"
            self._typedef_checked_token = word
        return word

    def _peek_type(self, k: int = 1) -> str | None:
        word = self._peek(k)
        return None if word is None else word.type

    def _advance(self) -> Word:
        word = self._peek()
        if word is None:
            self._parse_error("At end of input", "")
        self._tokens.at += 1
        return word

    def _accept(self, token_type: str) -> Word | None:
        word = self._peek()
        if word is None or word.type != token_type:
            return None
        self._tokens.at += 1
        return word

    # -- what pycparser lacks
    def _parse_conditional_expression(self) -> Any:
        expression = self._parse_binary_expression()
        if not self._accept("CONDOP"):
            return expression
        chosen = None if self._peek_type() == "COLON" else self._parse_expression()
        self._expect("COLON")
        return c_ast.TernaryOp(expression, chosen, self._parse_conditional_expression(), expression.coord)

    def _parse_constant_expression(self) -> Any:
        expression = super()._parse_constant_expression()
        if self._accept("ELLIPSIS"):
            last = super()._parse_constant_expression()
            return c_ast.BinaryOp("...", expression, last, expression.coord)
        return expression

    def _parse_declaration_list(self) -> Any:
        """Refuse declarations between a function's parameters and its body (K&R's C): more likely, `{` or `;` is missing."""
        at = self._index()
        wanted = "LBRACE" if at and self.words[at - 1].type == "RPAREN" else "SEMI"
        raise explain(self.words, at, wanted, self._is_type_in_scope, text=self._text)

    # -- errors
    def _expect(self, token_type: str) -> Word:
        word = self._peek()
        if word is None or word.type != token_type:
            raise explain(self.words, self._index(), token_type, self._is_type_in_scope, text=self._text)
        self._tokens.at += 1
        return word

    def _index(self) -> int:
        """Return the index of the word that comes next."""
        return int(self._tokens.at)

    def _parse_error(self, msg: str, coord: object) -> NoReturn:
        raise explain(self.words, self._index(), "", self._is_type_in_scope, msg, coord, self._text)
