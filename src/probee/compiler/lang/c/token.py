"""Tokens of C: the preprocessor's, and the parser's made from them.

A preprocessor's token carries its span in `lineno`, the one attribute that pcpp copies to whatever a macro expands to: all of
an expansion points at the macro's use.  A parser's token has what pycparser wants: `lineno` is the offset in the source text
and `column` the length, so that a node's Coord is a span.  `filename`, which ends up in Coord.file, is "" or a Note: what
the token stage knows of the declared thing (its attributes, the macro that it comes from).
"""

from __future__ import annotations

import re

from probee.errors import ParseError, make_span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# Blanks of Unicode, which compilers take for blanks, too
_BLANKS = r"\x85\xa0\u1680\u180e\u2000-\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"

# One alternative per kind; the numbers are those of the groups.
_LEXICON = re.compile(
    r"([A-Za-z_$][\w$]*)"
    r"|((?:[ \t\f\v\r" + _BLANKS + r"]|\\[ \t]*\r?\n|//(?:[^\n\\]|\\[\s\S])*|/\*[\s\S]*?\*/)+)"
    r"|(\n)"
    r"|(0[xX][0-9a-fA-F]+\w*|\.?\d(?:[eE][+-]|[\w.])*)"
    r'|("(?:[^"\\\n]|\\[\s\S])*")'
    r"|('(?:[^'\\\n]|\\.)+')"
    r"|(##?)"
    r"|(/\*)"
    r"|(\.\.\.|<<=|>>=|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|[-+*/%&|^~!<>=?:;,.(){}[\]])"
    r"|([\s\S])"
)
_IDENTIFIER, _SPACE, _NEWLINE, _NUMBER, _STRING, _CHARACTER, _HASH, _COMMENT, _OPERATOR = range(1, 10)

ID, INTEGER, STRING, CHARACTER, SPACE = "CPP_ID", "CPP_INTEGER", "CPP_STRING", "CPP_CHAR", "CPP_WS"
PASTE, HASH, OPERATOR, STRAY = "CPP_DPOUND", "CPP_POUND", "CPP_OPERATOR", "CPP_STRAY"
_KINDS = ("", ID, SPACE, SPACE, INTEGER, STRING, CHARACTER, HASH, "", OPERATOR, STRAY)


class Token:
    """A token of the preprocessor, as pcpp expects it; `lineno` is its span."""

    __slots__ = ("expanded_from", "lineno", "source", "type", "value")

    def __init__(self, type: str, value: str, lineno: int) -> None:
        self.type = type
        self.value = value
        self.lineno = lineno
        self.source = ""

    def __copy__(self) -> Token:
        return Token(self.type, self.value, self.lineno)

    def __repr__(self) -> str:
        return f"<{self.type} {self.value!r}>"


def lex(text: str, base: int = 0) -> list[Token]:
    """Return all tokens of a text that begins at offset `base`, blanks included."""
    return [token for line in lex_lines(text, base, keep_blanks=True) for token in line]


def lex_lines(text: str, base: int, *, keep_blanks: bool) -> Iterator[list[Token]]:
    """Yield a list of tokens for each directive, and one for all text between two directives.

    Blanks between the tokens of such text are left out, unless `keep_blanks`: only stringizing sees them.
    """
    line: list[Token] = []
    fresh, directive = True, False  # at the beginning of a line; in a directive
    for match in _LEXICON.finditer(text):
        kind = match.lastindex or 0
        if kind == _SPACE:
            if directive or keep_blanks:
                line.append(Token(SPACE, " ", 0))
            continue
        start = match.start() + base
        if kind == _NEWLINE:
            if directive:
                line.append(Token(SPACE, "\n", start << 24 | 1))
                yield line
                line, directive = [], False
            elif keep_blanks:
                line.append(Token(SPACE, "\n", start << 24 | 1))
            fresh = True
            continue
        value = match[0]
        span = start << 24 | len(value)
        if kind == _HASH:
            if fresh and value == "#":
                if line:
                    yield line
                line, directive = [], True
            line.append(Token(HASH if value == "#" else PASTE, value, span))
        elif kind == _COMMENT:
            raise ParseError("this comment is never closed", make_span(start, start + 2), hint="Close it with */")
        else:
            line.append(Token(_KINDS[kind], value, span))
        fresh = False
    if line:
        if directive:
            line.append(Token(SPACE, "\n", (base + len(text)) << 24))
        yield line


class Note(str):
    """What is known of a declared thing beside its declaration; travels as the `file` of its coordinates.

    `attributes` are those of `__attribute__` with the text of their arguments; `macro` is the dialect's record of the macro
    that declares it, or None.
    """

    __slots__ = ("attributes", "macro")

    attributes: dict[str, str]
    macro: object

    def __new__(cls) -> Note:
        note = super().__new__(cls)
        note.attributes = {}
        note.macro = None
        return note


class Word:
    """A token of the parser: pycparser's Token, which it only looks at."""

    __slots__ = ("column", "filename", "lineno", "type", "value")

    def __init__(self, type: str, value: str, lineno: int, column: int, filename: str = "") -> None:
        self.type = type
        self.value = value
        self.lineno = lineno
        self.column = column
        self.filename = filename

    @property
    def span(self) -> int:
        return self.lineno << 24 | self.column

    def note(self) -> Note:
        """Return the token's note, made when it has none."""
        if not isinstance(self.filename, Note):
            self.filename = Note()
        return self.filename

    def __repr__(self) -> str:
        return f"<{self.type} {self.value!r} at {self.lineno}>"


def word(type: str, value: str, span: int) -> Word:
    return Word(type, value, span >> 24, span & 0xFFFFFF)


_PUNCTUATION = {
    "+": "PLUS", "-": "MINUS", "*": "TIMES", "/": "DIVIDE", "%": "MOD", "|": "OR", "&": "AND", "~": "NOT", "^": "XOR",
    "<<": "LSHIFT", ">>": "RSHIFT", "||": "LOR", "&&": "LAND", "!": "LNOT", "<": "LT", ">": "GT", "<=": "LE", ">=": "GE",
    "==": "EQ", "!=": "NE", "=": "EQUALS", "*=": "TIMESEQUAL", "/=": "DIVEQUAL", "%=": "MODEQUAL", "+=": "PLUSEQUAL",
    "-=": "MINUSEQUAL", "<<=": "LSHIFTEQUAL", ">>=": "RSHIFTEQUAL", "&=": "ANDEQUAL", "^=": "XOREQUAL", "|=": "OREQUAL",
    "++": "PLUSPLUS", "--": "MINUSMINUS", "->": "ARROW", "?": "CONDOP", "(": "LPAREN", ")": "RPAREN", "[": "LBRACKET",
    "]": "RBRACKET", "{": "LBRACE", "}": "RBRACE", ",": "COMMA", ".": "PERIOD", ";": "SEMI", ":": "COLON", "...": "ELLIPSIS",
}  # fmt: skip

# spelling → (what the parser calls it, how the AST should spell it)
_KEYWORDS: dict[str, tuple[str, str]] = {
    name: (name.upper(), name)
    for name in (
        "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern", "float",
        "for", "goto", "if", "inline", "int", "long", "register", "offsetof", "restrict", "return", "short", "signed",
        "sizeof", "static", "struct", "switch", "typedef", "union", "unsigned", "void", "volatile", "while", "typeof",
    )
}  # fmt: skip
_KEYWORDS.update({
    "__int128": ("__INT128", "__int128"), "__int128_t": ("__INT128", "__int128"), "_Bool": ("_BOOL", "_Bool"),
    "bool": ("_BOOL", "bool"), "true": ("BOOL_CONST", "true"), "false": ("BOOL_CONST", "false"),
    "_Static_assert": ("_STATIC_ASSERT", "_Static_assert"), "static_assert": ("_STATIC_ASSERT", "_Static_assert"),
    "_Alignof": ("_ALIGNOF", "_Alignof"), "__alignof__": ("_ALIGNOF", "_Alignof"), "__alignof": ("_ALIGNOF", "_Alignof"),
    "_Noreturn": ("_NORETURN", "_Noreturn"), "__inline__": ("INLINE", "inline"), "__inline": ("INLINE", "inline"),
    "__volatile__": ("VOLATILE", "volatile"), "__volatile": ("VOLATILE", "volatile"), "__const": ("CONST", "const"),
    "__const__": ("CONST", "const"), "__signed__": ("SIGNED", "signed"), "__signed": ("SIGNED", "signed"),
    "__restrict": ("RESTRICT", "restrict"), "__restrict__": ("RESTRICT", "restrict"), "__typeof__": ("TYPEOF", "typeof"),
    "__typeof": ("TYPEOF", "typeof"), "__builtin_offsetof": ("OFFSETOF", "offsetof"), "_Generic": ("_GENERIC", "_Generic"),
    "__builtin_va_arg": ("__BUILTIN_VA_ARG", "__builtin_va_arg"),
})  # fmt: skip


def to_words(tokens: list[Token], line_of: object) -> list[Word]:
    """Return the parser's tokens of preprocessed text; `line_of(offset)` answers __LINE__.

    Pragmas that were passed on become PPPRAGMA and PPPRAGMASTR.  Raises ParseError for what is no token of C.
    """
    words: list[Word] = []
    append, keywords, punctuation = words.append, _KEYWORDS, _PUNCTUATION
    at, end = 0, len(tokens)
    while at < end:
        token = tokens[at]
        at += 1
        kind, value, span = token.type, token.value, token.lineno
        if kind == ID:
            known = keywords.get(value)
            if known is not None:
                append(Word(known[0], known[1], span >> 24, span & 0xFFFFFF))
            elif value in _UNUSUAL:
                _unusual(value, span, words, line_of)
            else:
                append(Word("ID", value, span >> 24, span & 0xFFFFFF))
        elif kind == OPERATOR or value in punctuation:
            if value not in punctuation:
                raise _stray(value, span)
            append(Word(punctuation[value], value, span >> 24, span & 0xFFFFFF))
        elif kind == SPACE:
            continue
        elif kind == INTEGER:
            append(Word(_number(value, span), value, span >> 24, span & 0xFFFFFF))
        elif kind == STRING:
            append(Word("STRING_LITERAL", value, span >> 24, span & 0xFFFFFF))
        elif kind == CHARACTER:
            append(Word(_character(value), value, span >> 24, span & 0xFFFFFF))
        elif kind == HASH:
            at = _pragma(tokens, at - 1, words)
        else:
            raise _stray(value, span)
    return words


_UNUSUAL = {"__extension__", "__uint128_t", "__LINE__", "__FILE__"}


def _unusual(value: str, span: int, words: list[Word], line_of: object) -> None:
    if value == "__uint128_t":
        words.append(word("UNSIGNED", "unsigned", span))
        words.append(word("__INT128", "__int128", span))
    elif value == "__LINE__":
        line = line_of(span >> 24)  # type: ignore[operator]
        words.append(word("INT_CONST_DEC", str(line), span))
    elif value == "__FILE__":
        words.append(word("STRING_LITERAL", '"main.c"', span))


_SUFFIXES = {"", "u", "l", "ul", "lu", "ll", "ull", "llu"}


def _number(value: str, span: int) -> str:
    """Return what the parser calls a number."""
    lower = value.lower()
    digits = lower.rstrip("ul")
    if digits.isdecimal():
        good = lower[len(digits) :] in _SUFFIXES
        kind = "INT_CONST_OCT" if len(digits) > 1 and digits[0] == "0" else "INT_CONST_DEC"
        if kind == "INT_CONST_OCT" and ("8" in digits or "9" in digits):
            raise ParseError(f"8 and 9 are no octal digits: {value}", span, hint="A number that begins with 0 is octal in C")
    elif digits.startswith("0x"):
        kind, good = "INT_CONST_HEX", len(digits) > 2 and lower[len(digits) :] in _SUFFIXES
        good = good and all(c in "0123456789abcdef" for c in digits[2:])
    elif digits.startswith("0b"):
        kind, good = "INT_CONST_BIN", len(digits) > 2 and set(digits[2:]) <= {"0", "1"}
    else:
        kind, good = "FLOAT_CONST", _is_float(lower)
    if not good:
        raise ParseError(f"this is no number: {value}", span)
    return kind


def _is_float(text: str) -> bool:
    try:
        float(text.rstrip("fl"))
    except ValueError:
        return False
    return True


def _character(value: str) -> str:
    body = value[1:-1]
    single = len(body) == 1 or (body[0] == "\\" and (len(body) == 2 or (body[1] in "x01234567" and "'" not in body[1:])))
    return "CHAR_CONST" if single else "INT_CONST_CHAR"


def _pragma(tokens: list[Token], at: int, words: list[Word]) -> int:
    """Turn the line of a pragma that begins at `at` into words; returns where it ends."""
    end = at
    while end < len(tokens) and tokens[end].value != "\n":
        end += 1
    line = [token for token in tokens[at:end] if token.type != SPACE]
    if len(line) < 2 or line[1].value != "pragma":
        raise _stray("#", tokens[at].lineno)
    span = line[0].lineno
    words.append(word("PPPRAGMA", "pragma", span))
    words.append(word("PPPRAGMASTR", " ".join(token.value for token in line[2:]), span))
    return end


_UNCLOSED = 'Close it with " on the same line. In a Python text that is not r"""raw""", \\n is a new line: write \\\\n'
_QUOTES = {**dict.fromkeys("“”„«»", '"'), **dict.fromkeys("‘’‚", "'")}  # which editors and web pages make of C's


def _stray(value: str, span: int) -> ParseError:
    if value == '"':
        return ParseError('this string has no closing "', span, hint=_UNCLOSED)
    if value == "'":
        return ParseError("this character has no closing '", span)
    if value in _QUOTES:
        return ParseError(f"{value} is no quote of C", span, hint=f"Write {_QUOTES[value]}")
    return ParseError(f"{value!r} does not belong in a C program", span)
