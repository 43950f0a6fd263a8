"""What is wrong with a program that does not parse, said so that one who writes C understands it.

The parser knows which word it did not expect and perhaps which one it wanted; the rest is found by looking around there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from probee.compiler.lang.c.token import Word
from probee.errors import CompileError, ParseError, UnknownName

_SHOWN = {
    "SEMI": "';'", "LPAREN": "'('", "RPAREN": "')'", "LBRACE": "'{'", "RBRACE": "'}'", "LBRACKET": "'['", "RBRACKET": "']'",
    "COMMA": "','", "COLON": "':'", "EQUALS": "'='", "ID": "a name", "TYPEID": "a name", "WHILE": "'while'",
}  # fmt: skip
_PAIRS = {"LPAREN": "RPAREN", "LBRACE": "RBRACE", "LBRACKET": "RBRACKET"}


def explain(
    words: list[Word], at: int, wanted: str, is_type: Callable[[str], bool], message: str = "", coord: object = None
) -> CompileError:
    """Return the error for the word at index `at`; `wanted` is the kind that should stand there, "" when several might."""
    unbalanced = _unbalanced(words)
    here = words[at] if at < len(words) else None
    unknown = _unknown_type(words, at, is_type)
    if here is None:
        return unbalanced or ParseError("the program ends in the middle of a declaration", words[-1].span if words else 0)
    if unknown is not None:
        return unknown
    before = words[at - 1] if at else None
    if unbalanced is not None and (here.type in _PAIRS.values() or here.span == unbalanced.span):
        return unbalanced
    if wanted == "SEMI" and before is not None:
        if here.type in ("RPAREN", "RBRACKET"):
            return ParseError(f"this {here.value!r} closes nothing", here.span)
        return ParseError(f"missing ';' after {_quoted(before)}", _end_of(before))
    if wanted in ("RPAREN", "RBRACKET", "LPAREN", "COLON", "LBRACE", "RBRACE") and before is not None:
        return ParseError(f"missing {_SHOWN[wanted]} before {_quoted(here)}", here.span)
    if wanted:
        return ParseError(f"expected {_SHOWN.get(wanted, wanted.lower())}, not {_quoted(here)}", here.span)
    return _by_message(words, at, message, coord)


def _by_message(words: list[Word], at: int, message: str, coord: object) -> CompileError:
    here = words[at]
    before = words[at - 1] if at else None
    if message == "Invalid expression" or message.startswith("before"):
        if message == "Invalid expression" and before is not None:
            here, before = (before, words[at - 2] if at > 1 else None) if _raised_after(coord, before) else (here, before)
        if here.type == "RPAREN" and before is not None and before.type == "LPAREN":
            return ParseError("there is nothing between these parentheses", _pair(before, here))
        after = f" after {_quoted(before)}" if before is not None else ""
        return ParseError(f"expected an expression{after}, not {_quoted(here)}", here.span)
    span = _coord_span(coord) or here.span
    if message in ("Invalid function definition", "Invalid declaration"):
        return ParseError(f"this is neither a declaration nor a function: {_quoted(here)}", span)
    if message == "Missing type in declaration":
        return ParseError("this declaration has no type", span)
    if message == "Invalid declarator":
        return ParseError(f"expected the name that is declared, not {_quoted(here)}", here.span)
    if message == "Invalid multiple types specified":
        return ParseError("this declaration has more than one type", span)
    if message.startswith(("Typedef ", "Non-typedef ")):
        name = message.split("'")[1]
        return ParseError(f"{name!r} is the name of a type and of something else", span)
    return ParseError(message[:1].lower() + message[1:], span)


def _raised_after(coord: object, word: Word) -> bool:
    return getattr(coord, "line", None) == word.lineno


def _coord_span(coord: object) -> int:
    line = getattr(coord, "line", None)
    return line << 24 | (getattr(coord, "column", 0) or 0) if isinstance(line, int) else 0


def _quoted(word: Word) -> str:
    text = word.value if len(word.value) <= 40 else f"{word.value[:37]}..."
    return f"'{text}'"


def _end_of(word: Word) -> int:
    return word.lineno + max(word.column - 1, 0) << 24 | 1


def _pair(first: Word, last: Word) -> int:
    return first.lineno << 24 | max(last.lineno + last.column - first.lineno, 1)


def _unbalanced(words: list[Word]) -> ParseError | None:
    """Return the error for the first bracket that has no partner."""
    open: list[Word] = []
    for word in words:
        if word.type in _PAIRS:
            open.append(word)
        elif word.type in ("RPAREN", "RBRACE", "RBRACKET"):
            if not open:
                return ParseError(f"this {word.value!r} closes nothing", word.span)
            if _PAIRS[open[-1].type] != word.type:
                return ParseError(f"this {open[-1].value!r} is not closed before {_quoted(word)}", open[-1].span)
            open.pop()
    if not open:
        return None
    return ParseError(f"this {open[-1].value!r} is never closed", open[-1].span)


_BEFORE_A_DECLARATION = {
    "SEMI", "LBRACE", "RBRACE", "LPAREN", "COMMA", "STATIC", "CONST", "VOLATILE", "EXTERN", "INLINE", "TYPEDEF",
}  # fmt: skip


def _unknown_type(words: list[Word], at: int, is_type: Callable[[str], bool]) -> UnknownName | None:
    """Return the error for a name that stands where only a type can: before a name, or before `*` and a name."""
    for index in range(max(at - 4, 0), min(at + 1, len(words))):
        word = words[index]
        if word.type != "ID" or is_type(word.value):
            continue
        before = words[index - 1].type if index else "SEMI"
        if before not in _BEFORE_A_DECLARATION:
            continue
        after = index + 1
        while after < len(words) and words[after].type == "TIMES":
            after += 1
        if after < len(words) and words[after].type in ("ID", "TYPEID") and (after == index + 1 or before != "COMMA"):
            name = word.value
            return UnknownName(f"there is no type named {name!r}", word.span, did_you_mean=partial(_similar, name))
    return None


def _similar(name: str) -> str:
    from difflib import get_close_matches

    from probee.compiler.lang.c.basic import names

    known = ["int", "char", "long", "short", "unsigned", "void", "bool", "struct", *names()]
    return ", ".join(get_close_matches(name, known, 1, 0.6))
