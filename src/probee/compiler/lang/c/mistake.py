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
    words: list[Word], at: int, wanted: str, is_type: Callable[[str], bool], message: str = "", coord: object = None,
    text: str = "",
) -> CompileError:  # fmt: skip
    """Return the error for the word at index `at`; `wanted` is the kind that should stand there, "" when several might."""
    unbalanced = _unbalanced(words, text)
    here = words[at] if at < len(words) else None
    known = _unended_declaration(words[: at + 1]) or _unknown_type(words, at, is_type)
    if known is not None:
        return known
    if here is None:
        return unbalanced or ParseError("the program ends in the middle of a declaration", words[-1].span if words else 0)
    before = words[at - 1] if at else None
    if unbalanced is not None and (here.type in _PAIRS.values() or here.span == unbalanced.span or here.type == "LBRACE"):
        return unbalanced
    if here.type == "ELSE":
        return ParseError("this 'else' has no 'if' before it", here.span)
    if wanted and before is not None:
        return _missing(words, at, wanted)
    return _by_message(words, at, message, coord)


def _missing(words: list[Word], at: int, wanted: str) -> ParseError:
    """Return the error for a word at `at` where another kind should be."""
    here, before = words[at], words[at - 1]
    if wanted == "SEMI":
        if here.type in ("RPAREN", "RBRACKET"):
            return ParseError(f"missing ';' before {_quoted(here)}", here.span)
        return ParseError(f"missing ';' after {_quoted(before)}", _end_of(before))
    if wanted == "RPAREN" and _is_in_call(words, at):
        return ParseError(f"missing ',' or ')' before {_quoted(here)}", here.span)
    if wanted in ("RPAREN", "RBRACKET", "LPAREN", "COLON", "LBRACE", "RBRACE"):
        return ParseError(f"missing {_SHOWN[wanted]} before {_quoted(here)}", here.span)
    return ParseError(f"expected {_SHOWN.get(wanted, wanted.lower())}, not {_quoted(here)}", here.span)


def _is_in_call(words: list[Word], at: int) -> bool:
    """Return whether the innermost open parenthesis before `at` begins the arguments of a call."""
    depth = 0
    for index in range(at - 1, 0, -1):
        kind = words[index].type
        if kind == "RPAREN":
            depth += 1
        elif kind == "LPAREN":
            if depth == 0:
                return words[index - 1].type == "ID"
            depth -= 1
    return False


_BEGINS_A_TYPE = {
    "INT", "VOID", "CHAR", "LONG", "SHORT", "SIGNED", "UNSIGNED", "STATIC", "STRUCT", "UNION", "ENUM", "TYPEDEF", "EXTERN",
    "INLINE", "_BOOL", "TYPEID",
}  # fmt: skip


def _unended_declaration(words: list[Word]) -> ParseError | None:
    """Return the error for a map or a struct without ';' behind it, whose end the parser sees only much later."""
    heads: list[bool] = []
    for index, word in enumerate(words[:-1]):
        following = words[index + 1]
        macro = getattr(word.filename, "macro", None)
        if macro is not None and hasattr(macro, "macro") and following.type != "SEMI" and not heads:
            return ParseError(f"missing ';' after the {macro.macro}(...) of {_quoted(word)}", macro.span)
        if word.type == "LBRACE":
            heads.append(_opens_aggregate(words, index))
        elif word.type == "RBRACE" and heads and heads.pop() and following.type in _BEGINS_A_TYPE:
            return ParseError("missing ';' after the '}' of this definition", _end_of(word))
    return None


def _opens_aggregate(words: list[Word], brace: int) -> bool:
    return any(words[at].type in ("STRUCT", "UNION", "ENUM") for at in (brace - 1, brace - 2) if at >= 0)


def _by_message(words: list[Word], at: int, message: str, coord: object) -> CompileError:
    here = words[at]
    before = words[at - 1] if at else None
    if message == "Invalid expression" or message.startswith("before"):
        if message == "Invalid expression" and before is not None:
            here, before = (before, words[at - 2] if at > 1 else None) if _raised_after(coord, before) else (here, before)
        if here.type == "RPAREN" and before is not None and before.type == "LPAREN":
            return ParseError("there is nothing between these parentheses", _pair(before, here))
        unclosed = _unbalanced(words)
        if unclosed is not None and unclosed.span < here.span and unclosed.message.startswith(("this '('", "this '['")):
            return unclosed
        after = f" after {_quoted(before)}" if before is not None else ""
        return ParseError(f"expected an expression{after}, not {_quoted(here)}", here.span)
    span = _coord_span(coord) or here.span
    if message in ("Invalid function definition", "Invalid declaration"):
        return _no_declaration(words, at, span)
    if message == "Invalid struct reference":
        return ParseError("expected the name of a member", span)
    if message == "Invalid struct/union declaration":
        return ParseError(f"expected a name or '{{' after {_quoted(before or here)}", here.span)
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


def _no_declaration(words: list[Word], at: int, span: int) -> ParseError:
    name = next((word for word in words[: at + 1] if word.span == span), None)
    if name is not None and name.type == "ID":
        return ParseError(f"the declaration of {_quoted(name)} has no type", span)
    return ParseError(f"this is no declaration: {_quoted(words[at])}", words[at].span)


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


def _unbalanced(words: list[Word], text: str = "") -> ParseError | None:
    """Return the error for the first bracket that has no partner.

    Of braces that are not all closed, the one is meant whose `}` stands further left than its line begins.
    """
    open: list[Word] = []
    suspect: Word | None = None
    for word in words:
        if word.type in _PAIRS:
            open.append(word)
        elif word.type in ("RPAREN", "RBRACE", "RBRACKET"):
            if not open:
                return ParseError(f"this {word.value!r} closes nothing", word.span)
            if _PAIRS[open[-1].type] != word.type:
                return ParseError(f"this {open[-1].value!r} is not closed before {_quoted(word)}", open[-1].span)
            opening = open.pop()
            if suspect is None and word.type == "RBRACE" and _is_further_left(text, word.lineno, opening.lineno):
                suspect = opening
    if not open:
        return None
    unclosed = suspect or open[0]
    return ParseError(f"this {unclosed.value!r} is never closed", unclosed.span)


def _is_further_left(text: str, closing: int, opening: int) -> bool:
    """Return whether a closing brace begins a line and stands left of where the line of its opening brace begins."""
    start = text.rfind("\n", 0, closing) + 1
    head = text.rfind("\n", 0, opening) + 1
    line = text[head:opening]
    return not text[start:closing].strip() and closing - start < len(line) - len(line.lstrip())


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
    from probee.compiler.lang.c.basic import names
    from probee.probes.candidate import closest

    known = ["int", "char", "long", "short", "unsigned", "void", "bool", "struct", *names()]
    return ", ".join(closest(name, known, 2))
