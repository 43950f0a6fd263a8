"""The preprocessor: pcpp with our own lexing, our errors, and a kernel instead of header files.

An `#include` brings in a header of the program's own, which came with its text; all others are no-ops, except <bcc/proto.h>,
whose text is ours: types come from BTF, and the macros that kernel headers would define are answered when a program asks for
them (CONFIG_*, LINUX_VERSION_CODE, PT_REGS_PARM1, ...), never listed.
Tokens carry their span through all expansions (see token.py).  Nothing is read from disk and nothing is printed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pcpp

from probee.compiler.lang.c import token as c
from probee.compiler.lang.c.predefined import Predefined
from probee.compiler.lang.c.token import Token
from probee.errors import ParseError, Source, span_range
from probee.model.target import Target


class Macros(dict[str, Any]):
    """Macros by name; one that nobody has defined is made at the first question, when a kernel's headers would have it."""

    def __init__(self, owner: Preprocessor, predefined: Predefined) -> None:
        super().__init__()
        self._owner = owner
        self._predefined = predefined
        self._absent: set[str] = set()

    def __contains__(self, name: object) -> bool:
        if dict.__contains__(self, name):
            return True
        if name in self._absent:
            return False
        self._absent.add(str(name))
        text = self._predefined.macro(str(name))
        if text is None:
            return False
        self._owner.define(f"{name}{text}")
        return True

    def remove(self, name: str) -> None:
        """Forget a macro for good, also one that was never asked for."""
        self.pop(name, None)
        self._absent.add(name)


class Lexer:
    """Our lexer for pcpp, which asks at the beginning what each kind of token is called, and later only what it has pasted."""

    def __init__(self) -> None:
        self._tokens: Iterator[Token] = iter(())

    def clone(self) -> Lexer:
        return Lexer()

    def input(self, text: str) -> None:
        tokens = [Token(*_ASKED[text], 0)] if text in _ASKED else c.lex(text)
        self._tokens = iter(tokens)

    def token(self) -> Token | None:
        return next(self._tokens, None)


# What our lexer has no tokens of its own for.
_ASKED = {
    "  ": (c.SPACE, "  "), "\\     \n": ("CPP_LINECONT", "     "),
    "/* comment */": ("CPP_COMMENT", "/* comment */"), "// comment": ("CPP_COMMENT", "// comment"),
}  # fmt: skip


class Preprocessor(pcpp.Preprocessor):  # type: ignore[misc]
    """pcpp's preprocessor, made quiet: what it would print is raised."""

    def __init__(self, source: Source, target: Target, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(Lexer())
        self.program = source
        self.headers = headers or {}
        self.included: list[str] = []
        self.forced: list[str] = []  # what a flag includes before the first line
        self.missing: list[str] = []  # what is included between quotes and came with nothing
        self.warnings: list[tuple[str, int]] = []
        self.predefined = Predefined(target, "\n".join((source.text, *self.headers.values())))
        self.macros = Macros(self, self.predefined)
        self.expand_linemacro = self.expand_filemacro = self.auto_pragma_once_enabled = False
        self._base = self._depth = 0

    def run(self) -> list[Token]:
        """Return the program's tokens, macros expanded."""
        text = self.program.text  # which headers are added to
        forced = [token for name in self.forced for token in self.include(c.lex(f'"{name}"'), None)]
        self._base = 0
        return [*forced, *self.parsegen(text)]

    def define_flags(self, flags: Iterable[str]) -> None:
        """Obey the -D, -U and -include among a compiler's flags; the others have nothing to say to us."""
        rest = iter(flags)
        for flag in rest:
            if flag.startswith("-include"):
                self.forced.append(flag[len("-include") :].strip() or next(rest, ""))
                continue
            kind, body = flag[:2], flag[2:]
            if kind not in ("-D", "-U"):
                continue
            body = body or next(rest, "")
            if kind == "-U":
                self.macros.remove(body)
                continue
            name, equals, value = body.partition("=")
            if name == "BPF_LICENSE":
                raise ParseError("BPF_LICENSE is for the text, not for cflags: #define it in the program", 0)
            self.define(f"{name} {value if equals else '1'}")

    # -- what pcpp asks for
    def group_lines(self, input: str, abssource: object) -> Iterator[list[Token]]:
        yield from c.lex_lines(input, self._base, keep_blanks=_stringizes(input))

    def tokenize(self, text: str) -> list[Token]:
        tokens = c.lex(text)
        for token in tokens:
            token.lineno = 0
        while tokens and tokens[-1].type == c.SPACE:
            tokens.pop()
        return tokens

    def expand_macros(self, tokens: list[Token], expanding_from: list[str] | None = None) -> list[Token]:
        macros = self.macros
        for token in tokens:
            if token.type == c.ID and (token.value in macros or token.value == "__COUNTER__"):
                expanded: list[Token] = super().expand_macros(tokens, expanding_from or [])
                return expanded
        return tokens

    def collect_args(self, tokenlist: list[Token], ignore_errors: bool = False) -> Any:
        found = super().collect_args(tokenlist, ignore_errors)
        if found[0] == 0:
            raise ParseError("this macro's arguments have no closing ')'", tokenlist[0].lineno)
        return found

    def undef(self, tokens: list[Token]) -> None:
        self.macros.remove(tokens[0].value)

    def include(self, tokens: list[Token], original_line: object) -> Iterator[Token]:
        written = "".join(token.value for token in tokens).strip()
        name = written.strip('<>"')
        if not name:
            raise ParseError('#include needs <FILE> or "FILE"', self.lastdirective.lineno)
        seen = name in self.included
        self.included.append(name)
        text = self.headers.get(name)
        if text is None:
            self.missing += [name] if written[0] == '"' else []
            text = self.predefined.header(name)
            once = True
        else:
            once = "#pragma once" in text
        if not text or (seen and once):
            return
        if self._depth == _DEEPEST:
            raise ParseError(f"{name} includes itself without end", self.lastdirective.lineno)
        self._depth += 1
        self._base = self.program.append(name, text)
        yield from self.parsegen(text)
        self._depth -= 1

    def text_of(self, name: str) -> str:
        """Return what an object-like macro stands for, "" when there is none."""
        macro = self.macros.get(name)
        return "".join(token.value for token in macro.value).strip(' "') if macro is not None else ""

    def evalexpr(self, tokens: list[Token]) -> tuple[int, None]:
        """Return (value of a condition, None)."""
        from probee.compiler.lang.c.condition import evaluate_condition

        directive = self.lastdirective.lineno
        if not tokens:
            raise ParseError(f"#{self.lastdirective.value} needs a condition", directive)
        span = _reach(tokens)
        tokens = self.expand_macros(self._without_defined(tokens))
        return evaluate_condition(tokens, span, self._constant), None

    def _without_defined(self, tokens: list[Token]) -> list[Token]:
        """Replace `defined NAME` and `defined(NAME)` by 1 or 0."""
        tokens = [token for token in tokens if token.type != c.SPACE]
        out: list[Token] = []
        at = 0
        while at < len(tokens):
            token = tokens[at]
            if token.value != "defined":
                out.append(token)
                at += 1
                continue
            values = [t.value for t in tokens[at + 1 : at + 4]]
            nested = values[:1] == ["("]
            name = tokens[at + 1 + nested] if len(values) > nested else None
            if name is None or name.type != c.ID or (nested and values[2:] != [")"]):
                raise ParseError("'defined' needs a name, in parentheses or not", token.lineno)
            known = name.value in self.macros or self.on_unknown_macro_in_defined_expr(name)
            out.append(Token(c.INTEGER, "1" if known else "0", token.lineno))
            at += 4 if nested else 2
        return out

    def _constant(self, name: str) -> int:
        """Return what a name that is no macro stands for in a condition."""
        value = self.predefined.constant(name)
        return 0 if value is None else value

    # -- hooks
    def on_error(self, file: object, line: int, msg: str) -> None:
        raise ParseError(_in_our_words(msg), line)

    def on_unknown_macro_in_defined_expr(self, tok: Token) -> bool:
        return self.predefined.constant(tok.value) is not None

    def on_directive_handle(self, directive: Token, toks: list[Token], ifpassthru: bool, precedingtoks: list[Token]) -> bool:
        self.lastdirective = directive
        needed = _NEEDS.get(directive.value)
        if needed is not None and not toks:
            raise ParseError(f"#{directive.value} needs {needed}", directive.lineno)
        if directive.value in ("define", "undef", "ifdef", "ifndef") and toks[0].type != c.ID:
            raise ParseError(f"#{directive.value} needs a name, this is none: {toks[0].value}", toks[0].lineno)
        if directive.value == "pragma" and not toks:
            raise pcpp.OutputDirective(pcpp.Action.IgnoreAndRemove)
        return True

    def on_directive_unknown(
        self, directive: Token, toks: list[Token], ifpassthru: bool, precedingtoks: list[Token]
    ) -> bool | None:
        name = directive.value
        text = "".join(token.value for token in toks).strip()
        if name == "pragma":
            return None if toks[0].value in ("unroll", "nounroll") or text == "clang loop unroll(full)" else True
        if name == "error":
            raise ParseError(f"#error {text}".rstrip(), directive.lineno)
        if name == "warning":
            self.warnings.append((f"#warning {text}".rstrip(), directive.lineno))
            return True
        if name in ("line", "ident") or directive.type == c.INTEGER:
            return True
        raise ParseError(f"there is no directive #{name}", directive.lineno)


_DEEPEST = 40  # of headers that headers include
_NEEDS = {
    "define": "a name", "undef": "a name", "ifdef": "a name", "ifndef": "a name", "include": '<FILE> or "FILE"',
    "if": "a condition", "elif": "a condition",
}  # fmt: skip


def _stringizes(text: str) -> bool:
    """Return whether a text may define a macro that makes a string of its argument: only then do blanks matter."""
    at = text.find("#define")
    while at >= 0:
        end = text.find("\n", at)
        while end > 0 and text[end - 1] == "\\":
            end = text.find("\n", end + 1)
        line = text[at + 1 : end if end >= 0 else len(text)]
        if "#" in line.replace("##", ""):
            return True
        at = text.find("#define", at + 1)
    return False


def _reach(tokens: list[Token]) -> int:
    """Return the span of a whole line of tokens."""
    spans = [token.lineno for token in tokens if token.lineno]
    if not spans:
        return 0
    start = spans[0] >> 24
    return start << 24 | max(span_range(spans[-1])[1] - start, 0)


def _in_our_words(message: str) -> str:
    """Return what pcpp complains about, said as our other messages are."""
    if message.startswith("Unterminated"):
        return f"this {message.split(None, 1)[1].split(maxsplit=1)[0]} has no #endif"
    if message.startswith("Misplaced"):
        return f"{message.split(None, 1)[1]} without #if"
    if message.startswith("Macro "):
        return f"macro{message[5:]}".replace("requires", "needs").replace("was passed", "got")
    return message[:1].lower() + message[1:]


def preprocess(
    source: Source, target: Target, flags: Iterable[str] = (), headers: Mapping[str, str] | None = None
) -> tuple[list[Token], Preprocessor]:
    """Return the tokens of a program with all macros expanded, and the preprocessor, which knows what was included.

    `headers` are the texts of the program's own, by their names as #include says them.
    """
    preprocessor = Preprocessor(source, target, headers)
    preprocessor.define_flags(flags)
    return preprocessor.run(), preprocessor
