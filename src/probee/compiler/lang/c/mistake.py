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
    known = _unended_declaration(words[: at + 1]) or _unknown_macro(words, at) or _unknown_type(words, at, is_type)
    if known is not None:
        return known
    if here is None:
        return unbalanced or ParseError("the program ends in the middle of a declaration", words[-1].span if words else 0)
    before = words[at - 1] if at else None
    if unbalanced is not None and (here.type in _PAIRS.values() or here.span == unbalanced.span or here.type == "LBRACE"):
        return unbalanced
    if here.type == "ELSE" and (wanted != "SEMI" or before is None or before.type in ("SEMI", "LBRACE", "RBRACE", "ELSE")):
        return ParseError("this 'else' has no 'if' before it", here.span)
    if wanted and before is not None:
        return _missing(words, at, wanted)
    return _by_message(words, at, message, coord)


def _unknown_macro(words: list[Word], at: int) -> UnknownName | None:
    """Return the error for a call outside of all functions: of a macro like BPF_HASH that nobody knows."""
    start = max((index + 1 for index in range(at) if words[index].type in ("SEMI", "RBRACE")), default=0)
    if start >= min(at, len(words) - 1) or [word.type for word in words[start : start + 2]] != ["ID", "LPAREN"]:
        return None
    if _depth(words, start):
        return None
    name = words[start].value
    if not name.isupper():
        return None
    return UnknownName(f"there is no macro {name!r}", words[start].span, did_you_mean=partial(_similar_macro, name))


def _similar_macro(name: str) -> str:
    from probee.compiler.lang.c.dialect import MAPS, PROBES
    from probee.probes.candidate import closest

    return ", ".join(closest(name, (*MAPS, *PROBES), 2))


def _missing(words: list[Word], at: int, wanted: str) -> ParseError:
    """Return the error for a word at `at` where another kind should be."""
    here, before = words[at], words[at - 1]
    if wanted == "SEMI":
        known = _with_another_type(words, at) or _for_with_commas(words, at)
        if known is not None:
            return known
        if before.type == "RPAREN" and here.type in _STATEMENTS and _depth(words, at) == 0:
            return ParseError(f"missing '{{' before {_quoted(here)}", here.span)
        if here.type in ("RPAREN", "RBRACKET"):
            return ParseError(f"missing ';' before {_quoted(here)}", here.span)
        return ParseError(f"missing ';' after {_quoted(before)}", _end_of(before))
    if wanted == "RPAREN" and _is_in_call(words, at):
        return ParseError(f"missing ',' or ')' before {_quoted(here)}", here.span)
    if wanted == "RBRACE" and _is_in_enum(words, at):
        return ParseError(f"missing ',' or '}}' before {_quoted(here)}", here.span)
    if wanted in ("RPAREN", "RBRACKET", "LPAREN", "COLON", "LBRACE", "RBRACE"):
        return ParseError(f"missing {_SHOWN[wanted]} before {_quoted(here)}", here.span)
    return ParseError(f"expected {_SHOWN.get(wanted, wanted.lower())}, not {_quoted(here)}", here.span)


_STATEMENTS = {"RETURN", "IF", "FOR", "WHILE", "DO", "SWITCH", "GOTO", "BREAK", "CONTINUE"}
_WORDS_OF_TYPES = {"INT", "CHAR", "LONG", "SHORT", "SIGNED", "UNSIGNED", "VOID", "_BOOL", "__INT128", "FLOAT", "DOUBLE"}


def _depth(words: list[Word], at: int) -> int:
    """Return how many braces are open before `at`."""
    return sum((word.type == "LBRACE") - (word.type == "RBRACE") for word in words[:at])


def _with_another_type(words: list[Word], at: int) -> ParseError | None:
    """Return the error for `unsigned u64 x`: the name of a type was taken for that of the variable."""
    name, before = words[at - 1], words[at - 2] if at > 1 else None
    if before is None or before.type not in _WORDS_OF_TYPES or name.type not in ("ID", "TYPEID") or words[at].type != "ID":
        return None
    from probee.compiler.lang.c.basic import is_typedef

    if not is_typedef(name.value):
        return None
    message = f"'{before.value} {name.value}' is no type: {_quoted(name)} is one by itself"
    return ParseError(message, _pair(before, name))


def _for_with_commas(words: list[Word], at: int) -> ParseError | None:
    """Return the error for `for (i = 0, i < 3, i++)`."""
    depth = 0
    for index in range(at - 1, 0, -1):
        kind = words[index].type
        if kind in ("SEMI", "LBRACE", "RBRACE"):
            return None
        depth += (kind == "RPAREN") - (kind == "LPAREN")
        if depth < 0:
            commas = [word for word in words[index:at] if word.type == "COMMA"]
            if words[index - 1].type != "FOR" or not commas:
                return None
            return ParseError("the three parts of a 'for' are separated by ';', not by ','", commas[-1].span)
    return None


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
        if message.startswith("before") and here.type == "SEMI" and before is not None and before.value == "typedef":
            return ParseError("a typedef needs a type and the name that it gets", here.span)
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
    if message == "Invalid specifier list":
        first = words[at - 1] if at and words[at - 1].type in _NAMES else here
        if first.value in ("__uint", "__type", "__array"):
            hint = "libbpf's maps are not known here; those of BCC are BPF_HASH(name, key, value), BPF_ARRAY(…) and the like."
            return ParseError(f"{_quoted(first)} is libbpf's notation for maps", first.span, hint=hint)
        return ParseError(f"the member {_quoted(first)} has no type" if first.type in _NAMES else "expected a type", first.span)
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


_NAMES = ("ID", "TYPEID")


def _no_declaration(words: list[Word], at: int, span: int) -> ParseError:
    if words[at].type == "SEMI" and at and any(word.type == "TYPEDEF" for word in words[max(at - 3, 0) : at]):
        return ParseError("a typedef needs a type and the name that it gets", words[at - 1].span)
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
    return text if text[:1] in "'\"" else f"'{text}'"


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
        if before not in _BEFORE_A_DECLARATION or _is_in_enum(words, index):
            continue
        after = index + 1
        while after < len(words) and words[after].type == "TIMES":
            after += 1
        if after < len(words) and words[after].type in ("ID", "TYPEID") and (after == index + 1 or before != "COMMA"):
            name = word.value
            error = UnknownName(f"there is no type named {name!r}", word.span, did_you_mean=partial(_similar, name))
            if name.isupper() and not error.hint:
                error.hint = "Define it, or replace it in the text before BPF() gets that, if it stands for something."
            return error
    return None


def _is_in_enum(words: list[Word], at: int) -> bool:
    """Return whether the innermost open brace before `at` is that of an enum."""
    depth = 0
    for index in range(at - 1, 0, -1):
        depth += (words[index].type == "RBRACE") - (words[index].type == "LBRACE")
        if depth < 0:
            return "ENUM" in (words[index - 1].type, words[index - 2].type)
    return False


def _similar(name: str) -> str:
    from probee.compiler.lang.c.basic import names
    from probee.probes.candidate import closest

    known = ["int", "char", "long", "short", "unsigned", "void", "bool", "struct", *names()]
    return ", ".join(closest(name, known, 2))
