"""From the text of a C program to its TranslationUnit: preprocess, parse, declare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pycparser import c_ast

from probee.compiler.lang.c import basic
from probee.compiler.lang.c.attribute import attach_attributes
from probee.compiler.lang.c.constant import compatible, evaluate, first_span, span_of, undeclared
from probee.compiler.lang.c.declare import attributes_of, check_assertion, declare_typedef, is_variadic, parameters_of, type_of
from probee.compiler.lang.c.dialect import MapMacro, expand_dialect
from probee.compiler.lang.c.parse import Parser
from probee.compiler.lang.c.preprocess import preprocess
from probee.compiler.lang.c.scope import Kernel, Scope, Symbol
from probee.compiler.lang.c.token import Note, Token, Word, to_words
from probee.compiler.lang.c.unit import FunctionDeclaration, MapDeclaration, ProbeMacro, TranslationUnit
from probee.errors import CompileError, ParseError, Source, TypeMismatch
from probee.model.ctype import CType, ForwardType, StructType, VoidType, strip
from probee.model.target import Target


def parse_program(source: Source, target: Target, options: dict[str, Any] | None = None) -> TranslationUnit:
    """Read a program of BCC's C for a target.

    `options`: cflags (a list, as a compiler takes them), headers (the texts of those that are the program's own, by name).
    `source` may grow: headers, and texts of ours that the program uses, come behind its own.  Raises CompileError, whose span
    is in `source`.
    """
    options = options or {}
    try:
        return _read(source, target, options)
    except CompileError as error:
        raise error.at(source) from None


def _read(source: Source, target: Target, options: dict[str, Any]) -> TranslationUnit:
    tokens, preprocessor = preprocess(source, target, options.get("cflags") or (), options.get("headers"))
    own = words_of(tokens, source)
    words = _with_inlines(own, source, target)
    kernel = Kernel(target)
    unit = TranslationUnit(source, Scope(kernel))
    unit.includes = preprocessor.included
    if "BPF_LICENSE" in preprocessor.macros:
        unit.license = preprocessor.text_of("BPF_LICENSE")
    unit.warnings = list(preprocessor.warnings)

    def is_typedef(name: str) -> bool:
        return basic.is_typedef(name) or kernel.typedef(name) is not None

    for node in _parse(words, own, is_typedef, source.text):
        try:
            declare(node, unit)
        except CompileError as error:
            error.span = error.span or first_span(node)
            raise
    return unit


def _parse(words: list[Word], own: list[Word], is_typedef: Callable[[str], bool], text: str) -> list[c_ast.Node]:
    """Return the declarations of a program; a mistake is the program's own, not one of the functions behind it."""
    try:
        return Parser(words, is_typedef, text).run().ext  # type: ignore[no-any-return]
    except ParseError:
        if len(words) > len(own):
            Parser(own, is_typedef, text).run()
        raise


def words_of(tokens: list[Token], source: Source) -> list[Word]:
    """Return the parser's words of preprocessed tokens, bcc's macros and attributes dealt with."""
    words = to_words(tokens, lambda offset: source.position(offset)[0])
    return _with_function_names(expand_dialect(attach_attributes(words)))


_NAMES_OF_FUNCTIONS = frozenset(("__func__", "__FUNCTION__", "__PRETTY_FUNCTION__"))


def _with_function_names(words: list[Word]) -> list[Word]:
    """Return words with the name of the function around for __func__."""
    if not any(word.value in _NAMES_OF_FUNCTIONS for word in words):
        return words
    out: list[Word] = []
    depth, name = 0, ""
    for index, word in enumerate(words):
        if word.type == "LPAREN" and depth == 0 and index and words[index - 1].type == "ID":
            name = words[index - 1].value
        depth += (word.type in ("LBRACE", "LPAREN")) - (word.type in ("RBRACE", "RPAREN"))
        named = word.value in _NAMES_OF_FUNCTIONS and depth > 0
        out.append(Word("STRING_LITERAL", f'"{name}"', word.lineno, word.column) if named else word)
    return out


def _with_inlines(words: list[Word], source: Source, target: Target) -> list[Word]:
    """Return the words of a program and, behind them, those of the inline functions of kernel headers that it calls."""
    from probee.compiler.lang.c._tables.inline import FUNCTIONS

    used = {word.value for word in words if word.type == "ID"}
    wanted = [name for name in FUNCTIONS if name in used]
    if not wanted:
        return words
    out = words
    own = _defined_functions(words)
    done: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name in done or name in own:
            continue
        done.add(name)
        start = source.append(f"<{name}>", FUNCTIONS[name])
        text = Source(source.name, FUNCTIONS[name])
        more, _ = preprocess(text, target)
        for token in more:
            token.lineno += start << 24
        added = words_of(more, source)
        wanted += [word.value for word in added if word.type == "ID" and word.value in FUNCTIONS]
        out = out + added
    return out


def _defined_functions(words: list[Word]) -> set[str]:
    """Return the names of the functions that a program defines or declares: names before `(` outside of all braces."""
    found: set[str] = set()
    depth = 0
    for index, word in enumerate(words):
        if word.type in ("LBRACE", "LPAREN"):
            if word.type == "LPAREN" and depth == 0 and index and words[index - 1].type == "ID":
                found.add(words[index - 1].value)
            depth += 1
        elif word.type in ("RBRACE", "RPAREN"):
            depth -= 1
    return found


# -- declarations
def declare(node: c_ast.Node, unit: TranslationUnit) -> None:
    """Enter one declaration of the file into the unit."""
    if isinstance(node, c_ast.FuncDef):
        _declare_function(node, unit)
    elif isinstance(node, c_ast.Typedef):
        declare_typedef(node, unit.scope)
    elif isinstance(node, c_ast.StaticAssert):
        check_assertion(node, unit.scope)
    elif isinstance(node, c_ast.Decl):
        note = node.coord.file if node.coord is not None else ""
        if isinstance(note, Note) and isinstance(note.macro, MapMacro):
            _declare_map(node, note.macro, unit)
        elif node.name is None:
            _declare_tag(node, unit)
        else:
            _declare_variable(node, unit)


def _declare_tag(node: c_ast.Decl, unit: TranslationUnit) -> None:
    inner = node.type
    if isinstance(inner, (c_ast.Struct, c_ast.Union)) and inner.decls is None:
        kind = "struct" if isinstance(inner, c_ast.Struct) else "union"
        unit.scope.tags.setdefault(inner.name, ForwardType(kind, inner.name))
        return
    ctype = type_of(inner, unit.scope)
    if isinstance(ctype, StructType) and ctype.name:
        attributes = attributes_of(inner)
        if "packet_header" in attributes or attributes.get("deprecated", "").strip('"') == "packet":
            unit.packet_headers.add(ctype.name)


def _declare_variable(node: c_ast.Decl, unit: TranslationUnit) -> None:
    scope = unit.scope
    if isinstance(node.type, c_ast.FuncDecl):
        _declare_once(node.name, Symbol("function", node.name, type_of(node.type, scope), span=span_of(node)), scope)
        return
    _declare_once(node.name, Symbol("variable", node.name, type_of(node.type, scope), span=span_of(node)), scope)
    unit.globals[node.name] = node


def _declare_once(name: str, symbol: Symbol, scope: Scope) -> None:
    before = scope.symbols.get(name)
    if before is not None and (before.kind != symbol.kind or before.kind in ("map", "typedef", "enumerator")):
        raise TypeMismatch(f"{name!r} is declared twice, as {_a(before.kind)} and as {_a(symbol.kind)}", symbol.span)
    earlier, now = before.type if before is not None and before.kind == "variable" else None, symbol.type
    if earlier is not None and now is not None and not compatible(earlier, now):
        types = f"'{earlier.spelling()}' and as '{now.spelling()}'"
        raise TypeMismatch(f"{name!r} is declared twice, as {types}", symbol.span)
    scope.declare(name, symbol)


def _a(kind: str) -> str:
    return f"an {kind}" if kind == "enumerator" else f"a {kind}"


def _declare_function(node: c_ast.FuncDef, unit: TranslationUnit) -> None:
    declaration = node.decl
    name, span = declaration.name, span_of(node)
    if node.param_decls:
        raise ParseError(f"the parameters of {name!r} must be declared in its parentheses", span)
    if name in unit.functions:
        raise TypeMismatch(f"function {name!r} is defined twice", span, hint=_first_at(unit, unit.functions[name].span))
    kind = declaration.type
    if not isinstance(kind, c_ast.FuncDecl):
        raise ParseError(f"{name!r} is no function", span)
    note = declaration.coord.file if declaration.coord is not None else ""
    probe = note.macro if isinstance(note, Note) and isinstance(note.macro, ProbeMacro) else None
    _declare_once(name, Symbol("function", name, type_of(kind, unit.scope), span=span), unit.scope)
    attributes = frozenset(attributes_of(declaration))
    parameters = parameters_of(kind, unit.scope)
    for index, (parameter, _, place) in enumerate(parameters):
        if not parameter:
            raise ParseError(f"parameter {index + 1} of {name!r} has no name", place)
    unit.functions[name] = FunctionDeclaration(
        name, node, result=type_of(kind.type, unit.scope), parameters=parameters, span=span,
        static="static" in declaration.storage, inline="inline" in declaration.funcspec or "always_inline" in attributes,
        attributes=attributes, probe=probe, variadic=is_variadic(kind),
    )  # fmt: skip


def _first_at(unit: TranslationUnit, span: int) -> str:
    line, _ = unit.source.position(span >> 24)
    return f"The first one is in line {line}."


def _declare_map(node: c_ast.Decl, macro: MapMacro, unit: TranslationUnit) -> None:
    scope, name, span = unit.scope, node.name, span_of(node)
    before = scope.symbols.get(name)
    if before is not None:
        message = f"map {name!r} is declared twice" if before.kind == "map" else f"{name!r} is {_a(before.kind)} already"
        raise TypeMismatch(message, span, hint=_first_at(unit, before.span))
    if not isinstance(node.type, c_ast.TypeDecl) or node.init is not None or not isinstance(node.type.type, c_ast.Struct):
        raise ParseError(f"missing ';' after the {macro.macro}(...) of {name!r}", macro.span)
    parts = {member.name: member for member in node.type.type.decls}
    key, leaf = (_type_in_map(parts.get(part), part, name, unit) for part in ("key", "leaf"))
    entries, flags = (_number_in_map(parts[part], part, name, scope) for part in ("entries", "flags"))
    if macro.rounded and entries > 1:
        entries = 1 << (entries - 1).bit_length()
    unit.maps[name] = MapDeclaration(
        name, macro.kind, key=key, leaf=leaf, max_entries=entries, flags=flags, span=span, macro=macro.macro,
        pin=macro.pin, sharing=macro.sharing, inner=macro.inner,
    )  # fmt: skip
    scope.declare(name, Symbol("map", name, span=span))


def _type_in_map(node: c_ast.Decl | None, part: str, name: str, unit: TranslationUnit) -> CType | None:
    if node is None:
        return None
    ctype = type_of(node.type, unit.scope)
    plain = unit.scope.complete(ctype)
    if isinstance(plain, (ForwardType, VoidType)):
        what = "value" if part == "leaf" else "key"
        raise TypeMismatch(
            f"the {what} of map {name!r} has the incomplete type {plain.spelling()}", span_of(node),
            hint=f"Define {plain.spelling()} before the map." if isinstance(plain, ForwardType) else "",
        )  # fmt: skip
    return plain if isinstance(strip(ctype), ForwardType) else ctype


def _number_in_map(node: c_ast.Decl, part: str, name: str, scope: Scope) -> int:
    dimension = node.type.dim
    value = evaluate(dimension, scope)
    if value is None:
        what = "size" if part == "entries" else "flags"
        unknown = undeclared(dimension, scope)
        if unknown is not None:
            hint = f"Define it, or give it to BPF(…, cflags=['-D{unknown.name}=1024'])."
            message = f"{unknown.name!r} is not defined: the {what} of map {name!r} must be a constant"
            raise TypeMismatch(message, span_of(unknown) or span_of(node), hint=hint)
        raise TypeMismatch(f"the {what} of map {name!r} must be a constant", span_of(dimension) or span_of(node))
    return value
