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


class Words:
    """What pycparser takes for a lexer."""

    filename = ""

    def __init__(self, error_func: object, *, dialect: object = None) -> None:
        self.words: list[Word] = []
        self._at = 0

    def input(self, text: object, filename: str = "") -> None:
        self._at = 0

    def token(self) -> Word | None:
        at = self._at
        if at >= len(self.words):
            return None
        self._at = at + 1
        return self.words[at]


class Parser(CParser):  # type: ignore[misc]
    """pycparser's parser over a list of words.  `is_typedef(name)` answers for names that the program does not declare."""

    def __init__(self, words: list[Word], is_typedef: Callable[[str], bool], text: str = "") -> None:
        super().__init__(lexer=Words, dialect="c23")
        self.words = words
        self.clex.words = words
        self._outside = is_typedef
        self._text = text  # for what indentation tells of a mistake

    def run(self) -> c_ast.FileAST:
        """Parse a translation unit."""
        return self.parse("")

    def _is_type_in_scope(self, name: str) -> bool:
        for scope in reversed(self._scope_stack):
            if name in scope:
                return bool(scope[name])
        return self._outside(name)

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
    def _expect(self, token_type: str) -> Any:
        token = self._peek()
        if token is None or token.type != token_type:
            raise explain(self.words, self._index(), token_type, self._is_type_in_scope, text=self._text)
        return self._advance()

    def _index(self) -> int:
        """Return the index of the word that comes next."""
        return int(self._tokens.mark())

    def _parse_error(self, msg: str, coord: object) -> NoReturn:
        raise explain(self.words, self._index(), "", self._is_type_in_scope, msg, coord, self._text)
