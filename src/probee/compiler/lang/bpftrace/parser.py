"""The bpftrace parser: the layout of a whole program, and the two ways in, parse() and parse_expression().

    program := shebang? C-preamble (config | import)* (probe | macro | fn | map declaration)*

The first error ends parsing, as a ParseError whose text begins with `syntax: `. Attach points stay raw text (see
attachpoint.py), C definitions too (see cpreprocessor.py and cdeclaration.py). An empty program is legal; that there is
nothing to attach is for others to say.
"""

from __future__ import annotations

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace.literal import integer, integer_text, string, to_uint
from probee.compiler.lang.bpftrace.parser_expression import expression
from probee.compiler.lang.bpftrace.parser_statement import block, body, import_statement
from probee.compiler.lang.bpftrace.parser_type import TAGS, annotation, is_builtin
from probee.compiler.lang.bpftrace.scanner import DIGITS, WORD_START, Scanner
from probee.errors import ParseError, Source, make_span

_MISPLACED_C = "C definitions must appear before probes and functions"
_SPACE = frozenset(" \t\r\n\v\f")


def parse(source: Source) -> ast.Program:
    """Return the tree of a program; raises ParseError, which names the source."""
    s = _scanner(source)
    try:
        return _program(s)
    except RecursionError:
        raise s.unexpected("nested too deeply; split the program up").at(source) from None
    except ParseError as error:
        raise error.at(source)  # noqa: B904 -- the same error


def parse_part(source: Source, name: str, text: str) -> ast.Program:
    """Put a text that a program imports behind it in its source; returns its tree, whose spans point there."""
    start = source.append(name, text)
    s = _scanner(source)
    s.at = start
    try:
        return _program(s)
    except RecursionError:
        raise s.unexpected("nested too deeply; split the program up").at(source) from None
    except ParseError as error:
        raise error.at(source)  # noqa: B904 -- the same error


def parse_expression(source: Source, constants: frozenset[str] = frozenset()) -> ast.Expr:
    """Return the tree of a text that is one expression, such as the value of a C macro."""
    s = _scanner(source)
    s.constants.update(constants)
    try:
        result = expression(s)
        s.skip()
        if s.at < s.end:
            raise s.unexpected("unexpected input")
        return result
    except RecursionError:
        raise s.unexpected("nested too deeply; split the program up").at(source) from None
    except ParseError as error:
        raise error.at(source)  # noqa: B904 -- the same error


def _scanner(source: Source) -> Scanner:
    s = Scanner(source.text)
    nul = source.text.find("\0")
    if nul >= 0:
        raise s.error("unexpected NUL character; this is not a program text", nul, nul + 1).at(source)
    return s


def _program(s: Scanner) -> ast.Program:
    result = ast.Program(make_span(0, s.end), [], None, [], [], [], [], [])
    s.skip()
    if s.text.startswith("#!", s.at):
        newline = s.text.find("\n", s.at)
        s.at = s.end if newline < 0 else newline
    _preamble(s, result)
    _settings(s, result)
    while not _at_end(s):
        _root_item(s, result)
    return result


def _at_end(s: Scanner) -> bool:
    s.skip()
    return s.at >= s.end


# --- C definitions ---------------------------------------------------------------------------------------------------


def _preamble(s: Scanner, program: ast.Program) -> None:
    while not _at_end(s):
        piece = _c_text(s)
        if piece is None:
            return
        program.preamble.append(piece)
        if piece.text.startswith("#"):
            words = piece.text[1:].split(None, 2)
            if len(words) > 1 and words[0] == "define":
                s.constants.add(words[1])


def _c_text(s: Scanner) -> ast.CText | None:
    """Take a `#` line or a C definition, if one stands here."""
    start = s.at
    if s.text[start] == "#" and s.text[start + 1] != "!":
        newline = s.text.find("\n", start)
        end = s.end if newline < 0 else newline
        s.at = min(end + 1, s.end)
        return ast.CText(make_span(start, end), s.text[start:end].rstrip())
    word = s.peek_word()
    if (word in TAGS and _definition_follows(s)) or (word == "typedef" and _typedef_follows(s)):
        return _c_definition(s)
    return None


def _definition_follows(s: Scanner) -> bool:
    """Tell `struct x {` from a probe whose provider is named struct: only words and bracket groups precede the brace."""
    at = s.layout_end(s.word_end(s.at))
    if _declaration_end(s, at):
        return True
    while True:
        c = s.text[at]
        if c == "{":
            return True
        if c in WORD_START:
            at = s.layout_end(s.word_end(at))
        elif c in "([" and (end := s.balanced_end(at)) > 0:
            at = s.layout_end(end)
        else:
            return False


def _declaration_end(s: Scanner, at: int) -> int:
    """Return where `x;` ends, the rest of a declaration without a body; 0 if it is none."""
    after = s.layout_end(s.word_end(at))
    return after + 1 if s.text[at] in WORD_START and s.text[after] == ";" else 0


def _typedef_follows(s: Scanner) -> bool:
    return s.text[s.layout_end(s.at + len("typedef"))] in WORD_START


def _c_definition(s: Scanner) -> ast.CText:
    """Take a definition up to its closing brace and attributes (typedef: up to its `;`), and the optional `;`."""
    start = s.at
    if s.peek_word() == "typedef":
        s.at = _c_scan(s, start, ";")
        return ast.CText(make_span(start, s.at), s.text[start : s.at])
    declared = _declaration_end(s, s.layout_end(s.word_end(s.at)))
    if declared:
        s.at = declared
        return ast.CText(make_span(start, s.at), s.text[start : s.at])
    s.at = _c_scan(s, s.at, "}")
    end = s.at
    while s.match_word("__attribute__"):
        s.skip()
        if not s.text.startswith("((", s.at):
            raise s.unexpected("__attribute__ syntax error, expected '(('")
        after = s.balanced_end(s.at)
        if after < 0:
            raise s.unexpected("__attribute__ syntax error, mismatched '(' and ')'")
        s.at = end = after
    if s.match(";"):
        end = s.at
    s.at = end
    text = s.text[start:end]
    return ast.CText(make_span(start, end), text if text.endswith(";") else text + ";")


def _c_scan(s: Scanner, at: int, last: str) -> int:
    """Return where `last` ends outside of comments and inner braces."""
    depth = 0
    while at < s.end:
        c = s.text[at]
        if c == "/":
            after = s.layout_end(at)
            at = after if after > at else at + 1
            continue
        at += 1
        if c == "{":
            depth += 1
        elif c == "}":
            depth -= 1
        if c == last and depth == 0:
            return at
    s.at = s.end
    raise s.unexpected(f"expected '{last}'")


# --- config and imports ------------------------------------------------------------------------------------------------


def _settings(s: Scanner, program: ast.Program) -> None:
    while not _at_end(s):
        word = s.peek_word()
        start = s.at
        if word == "config":
            if program.config is not None:
                raise s.unexpected("duplicate config block")
            program.config = _config(s)
        elif word == "import":
            s.at += len(word)
            program.imports.append(import_statement(s, start))
        else:
            return


def _config(s: Scanner) -> ast.Config:
    start = s.at
    s.match_word("config")
    s.expect("=")
    s.expect("{")
    items: list[ast.ConfigItem] = []
    while not s.match("}"):
        if s.at >= s.end:
            raise s.unexpected("expected '}'")
        items.append(_config_item(s))
        s.skip()
        if s.text[s.at] != "}":
            s.expect(";")
    return ast.Config(make_span(start, s.at), items)


def _config_item(s: Scanner) -> ast.ConfigItem:
    start = s.at
    key = s.expect_word("expected config key")
    s.expect("=")
    s.skip()
    c = s.text[s.at]
    at = s.at
    value: ast.IntLiteral | ast.StringLiteral | ast.BoolLiteral | ast.Identifier
    if c == '"':
        value = string(s)
    elif c in DIGITS:
        try:
            value = integer(s)
        except ParseError as error:
            raise ParseError("syntax: invalid integer in config", error.span) from None
    else:
        word = s.expect_word("expected string, int, boolean, or ident")
        span = make_span(at, s.at)
        value = ast.BoolLiteral(span, word == "true") if word in ("true", "false") else ast.Identifier(span, word)
    return ast.ConfigItem(make_span(start, s.at), key, value)


# --- what may come in any order ----------------------------------------------------------------------------------------


def _root_item(s: Scanner, program: ast.Program) -> None:
    """Take a probe, macro, function or map declaration, or say why what stands here is misplaced."""
    start = s.at
    word = s.peek_word()
    if word == "macro":
        program.macros.append(_macro(s))
    elif word == "fn":
        program.functions.append(_function(s))
    elif word == "let":
        program.maps.append(_map_declaration(s))
    elif word == "config":
        raise s.unexpected("config must appear before probes and functions")
    elif word == "import":
        raise s.unexpected("root imports must appear before probes and functions")
    elif (s.text[start] == "#" or word in TAGS or word == "typedef") and _c_text(s) is not None:
        raise s.error(_MISPLACED_C, start, s.at)
    else:
        program.probes.append(_probe(s))


def _macro(s: Scanner) -> ast.Macro:
    start = s.at
    s.match_word("macro")
    name = s.expect_word("expected macro name")
    span = make_span(start, s.at)
    s.expect("(")
    params: list[ast.Variable | ast.MapRef | ast.Identifier] = []
    if not s.match(")"):
        params.append(_macro_param(s))
        while s.match(","):
            params.append(_macro_param(s))
        s.expect(")")
    return ast.Macro(span, name, params, block(s))


def _macro_param(s: Scanner) -> ast.Variable | ast.MapRef | ast.Identifier:
    s.skip()
    start = s.at
    c = s.text[start]
    if c in "$@":
        name = s.sigil_name()
        span = make_span(start, s.at)
        return ast.Variable(span, name) if c == "$" else ast.MapRef(span, name)
    name = s.expect_word("expected macro argument ($var, @map, or identifier)")
    if is_builtin(name):
        raise s.error(f"builtin '{name}' can't be used as a macro argument", start, s.at)
    return ast.Identifier(make_span(start, s.at), name)


def _function(s: Scanner) -> ast.Function:
    start = s.at
    s.match_word("fn")
    name = s.expect_word("expected function name")
    span = make_span(start, s.at)
    s.expect("(")
    params: list[ast.Param] = []
    if not s.match(")"):
        params.append(_param(s))
        while s.match(","):
            params.append(_param(s))
        s.expect(")")
    s.expect(":")
    returns = annotation(s)
    return ast.Function(span, name, params, returns, body(s))


def _param(s: Scanner) -> ast.Param:
    s.skip()
    start = s.at
    if s.text[start] != "$":
        raise s.unexpected("expected variable in function argument")
    name = s.sigil_name()
    variable = ast.Variable(make_span(start, s.at), name)
    s.expect(":")
    declared = annotation(s)
    return ast.Param(make_span(start, s.at), variable, declared)


def _map_declaration(s: Scanner) -> ast.MapDeclaration:
    start = s.at
    at = s.layout_end(start + len("let"))
    if s.text[at] != "@":
        raise s.unexpected("root-level let statements need to be map declarations, e.g. let @a = hash(2);")
    s.at = at
    name = s.sigil_name()
    map_ref = ast.MapRef(make_span(at, s.at), name)
    s.expect("=")
    kind = s.expect_word("expected map type name")
    s.expect("(")
    size = _map_size(s)
    s.expect(")")
    end = s.at
    if s.match(";"):
        end = s.at
    s.at = end
    return ast.MapDeclaration(make_span(start, end), map_ref, kind, size)


def _map_size(s: Scanner) -> int:
    start = s.at
    text = integer_text(s)
    try:
        size = to_uint(text)
    except ValueError:
        size = 0
    if size < 1:
        s.at = start
        raise s.unexpected("expected positive integer for map declaration max entries")
    return size


# --- probes ------------------------------------------------------------------------------------------------------------


def _probe(s: Scanner) -> ast.Probe:
    """Take a probe. Its span covers its attach points only."""
    start = s.at
    points = [_attach_point(s)]
    while s.match(","):
        s.skip()
        if s.text[s.at] in "/{":
            break  # a trailing comma
        points.append(_attach_point(s))
    last = points[-1].span
    span = make_span(start, (last >> 24) + (last & 0xFFFFFF))
    s.skip()
    predicate = None
    if s.text[s.at] == "/":
        s.at += 1
        predicate = expression(s)
        if not s.match("/"):
            raise s.unexpected("expected '/' to close predicate")
    return ast.Probe(span, points, predicate, body(s))


def _attach_point(s: Scanner) -> ast.AttachPointText:
    """Take the raw text of one attach point."""
    s.skip()
    start = at = s.at
    colon = False
    while at < s.end:
        c = s.text[at]
        if c in "{," or c in _SPACE:
            break
        if c == "/" and not colon and at > start and s.text[at + 1] not in "/*":
            break
        if c == '"':
            at = _quoted_end(s, at)
            continue
        colon = colon or c == ":"
        at += 1
    s.at = at
    if at == start:
        raise s.unexpected("expected attach point")
    return ast.AttachPointText(make_span(start, at), s.text[start:at])


def _quoted_end(s: Scanner, at: int) -> int:
    """Return where the quoted run that opens at `at` ends; one that never closes ends with the text."""
    at += 1
    while at < s.end and s.text[at] != '"':
        at += 2 if s.text[at] == "\\" else 1
    return min(at + 1, s.end)
