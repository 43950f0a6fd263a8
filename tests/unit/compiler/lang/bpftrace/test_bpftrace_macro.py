"""User macros: binding, hygiene, overloads, types as arguments, libraries, and what is refused."""

from __future__ import annotations

import pytest
from bpftrace_tree import program, tree

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace.macro import expand
from probee.errors import CompileError, Source, span_range


def expanded(text: str, library: str = "", functions: frozenset[str] = frozenset()) -> ast.Program:
    found = program(text)
    imported = [(program(library), Source("library", library))] if library else []
    expand(found, Source("stdin", text), imported, functions=functions)
    return found


def plain(node: ast.Node) -> str:
    """A tree without the wrappers that say where text came from; blocks without statements are their values."""
    if isinstance(node, (ast.Expansion, ast.Argument)):
        inner = node.body if isinstance(node, ast.Expansion) else node.value
        return plain(inner)
    if isinstance(node, ast.Block) and not node.statements and node.value is not None:
        return plain(node.value)
    twin = ast.copy(node)
    for name in type(twin).__slots__:
        value = getattr(twin, name)
        if isinstance(value, ast.Node):
            setattr(twin, name, _Text(plain(value)))
        elif isinstance(value, list):
            setattr(twin, name, [_Text(plain(item)) if isinstance(item, ast.Node) else item for item in value])
    return tree(twin)


class _Text(str):
    """A finished part of a tree's text."""


def statements(text: str, library: str = "") -> str:
    block = expanded(text, library).probes[0].body
    return " ".join(plain(statement) for statement in block.statements)


EXPANSIONS = {
    # by name, by reference, maps
    "macro m(x) { x + 1 } begin { m(2); }": "(ExprStatement (+ 2 1))",
    "macro m(x) { x + x } begin { m(f()); }": "(ExprStatement (+ (Call f []) (Call f [])))",
    "macro m($v) { $v += 1; } begin { m($y); }": "(ExprStatement (Block [(Assign $y += 1)] -))",
    "macro m(@a) { @a[1] = 2; } begin { m(@b); }": "(ExprStatement (Block [(Assign (MapAccess @b 1) = 2)] -))",
    "macro m(x) { x } begin { m($y); m(@z); }": "(ExprStatement $y) (ExprStatement @z)",
    "macro m(@a) { for ($k : @a) { f($k); } } begin { m(@b); }": (
        "(ExprStatement (Block [(For $$m_1_k @b (Block [(ExprStatement (Call f [$$m_1_k]))] -))] -))"
    ),
    # without parentheses, and where that is not meant
    "macro one() { 1 } begin { one; one(); }": "(ExprStatement 1) (ExprStatement 1)",
    "macro one() { 1 } begin { $x.one; sizeof(one); sizeof(one()); }": (
        "(ExprStatement (Field $x one False)) (ExprStatement (SizeOf one)) (ExprStatement (SizeOf 1))"
    ),
    "macro pid() { 1 } begin { pid; pid(); }": "(ExprStatement pid) (ExprStatement 1)",
    # nesting
    "macro a(x) { x + 1 } macro b(y) { a(y) * 2 } begin { b(3); }": "(ExprStatement (* (+ 3 1) 2))",
    "macro a(x) { x + 1 } begin { a(a(a(1))); }": "(ExprStatement (+ (+ (+ 1 1) 1) 1))",
    "macro b(@m, $v) { a(@m, $v) } macro a(m, v) { f(m, v) } begin { b(@x, $y); }": "(ExprStatement (Call f [@x $y]))",
    "macro m(x) { g(x) } begin { if (m(1)) { m(2); } }": ("(If (Call g [1]) (Block [(ExprStatement (Call g [2]))] -) -)"),
    # hygiene
    "macro m(x) { $y = x; $y } begin { m($y); }": "(ExprStatement (Block [(Assign $$m_1_y = $y)] $$m_1_y))",
    "macro m(x) { let $y = x; $y } begin { m(m(1)); }": (
        "(ExprStatement (Block [(Let $$m_1_y - (Block [(Let $$m_2_y - 1)] $$m_2_y))] $$m_1_y))"
    ),
    "macro m() { $caller } begin { m(); }": "(ExprStatement $caller)",
    "macro m(m) { m } begin { m(1); }": "(ExprStatement 1)",
    # overloads
    "macro m() { 0 } macro m(x) { 1 } macro m(x, y) { 2 } begin { m; m(a); m(a, b); }": (
        "(ExprStatement 0) (ExprStatement 1) (ExprStatement 2)"
    ),
    "macro m(x) { 1 } macro m($x) { 2 } macro m(@x) { 3 } begin { m(a); m($a); m(@a); m(@a[1]); }": (
        "(ExprStatement 1) (ExprStatement 2) (ExprStatement 3) (ExprStatement 1)"
    ),
    # types
    "macro s(t) { sizeof(t) } begin { s(typeof(struct a)); }": "(ExprStatement (SizeOf struct a))",
    "macro s(t) { sizeof(t) } begin { s(typeof(a)); s(typeof($x.y)); s(b); }": (
        "(ExprStatement (SizeOf a)) (ExprStatement (SizeOf (TypeOf (Field $x y False)))) (ExprStatement (SizeOf b))"
    ),
    "macro s(t) { sizeof(t*) } begin { s(typeof(uint64)); }": "(ExprStatement (SizeOf (PointerType uint64)))",
    "macro s(t) { sizeof(t[2]) } begin { s(typeof(int8*)); }": ("(ExprStatement (SizeOf (ArrayType (PointerType int8) 2)))"),
    "macro s(t) { sizeof(struct t) } begin { s(typeof(a)); s(b); }": (
        "(ExprStatement (SizeOf struct a)) (ExprStatement (SizeOf struct b))"
    ),
    "macro s(t) { (t*)0 } begin { s(typeof(a)); }": "(ExprStatement (Cast (PointerType a) 0))",
    "macro s(t) { let $x : t = 0; } begin { s(typeof(int8)); }": "(ExprStatement (Block [(Let $$s_1_x int8 0)] -))",
    "macro s(t) { let $x : t = 0; } begin { s(typeof(@m)); }": ("(ExprStatement (Block [(Let $$s_1_x (TypeOf @m) 0)] -))"),
    "macro s(x) { let $k : typeof(x); } begin { s(@m); }": "(ExprStatement (Block [(Let $$s_1_k (TypeOf @m) -)] -))",
    "macro i(t) { sizeof(t) } macro o(u) { i(u) + i(typeof(u)) } begin { o(typeof(int8*)); }": (
        "(ExprStatement (+ (SizeOf (PointerType int8)) (SizeOf (PointerType int8))))"
    ),
    "macro i(t) { sizeof(t*) } macro o(u) { i(typeof(u[2])) } begin { o(typeof(int8)); }": (
        "(ExprStatement (SizeOf (PointerType (ArrayType int8 2))))"
    ),
    "macro i(t) { typeinfo(t) } macro o(u) { i(typeof(u + 1)) } begin { o($x); }": (
        "(ExprStatement (TypeInfo (TypeOf (+ $x 1))))"
    ),
    "macro o(t, f) { offsetof(t, f) } begin { o(typeof(struct a), b); o(typeof(c), d.e); }": (
        "(ExprStatement (OffsetOf struct a [b])) (ExprStatement (OffsetOf c [d e]))"
    ),
    "macro o(t, f) { offsetof(t, f.g) } begin { o(typeof(c), d); }": "(ExprStatement (OffsetOf c [f g]))",
}


@pytest.mark.parametrize(("text", "shape"), EXPANSIONS.items())
def test_expansion(text: str, shape: str) -> None:
    assert statements(text) == shape


def test_where_text_came_from_is_kept() -> None:
    text = "macro m(x) { x + 1 } begin { m(2); }"
    found = expanded(text)
    assert found.macros == []
    statement = found.probes[0].body.statements[0]
    assert isinstance(statement, ast.ExprStatement)
    expansion = statement.value
    assert isinstance(expansion, ast.Expansion)
    start, end = span_range(expansion.span)
    assert (text[start:end], expansion.name) == ("m(2)", "m")
    assert expansion.source is not None
    assert expansion.source.name == "stdin"
    value = expansion.body.value
    assert isinstance(value, ast.Binary)
    assert isinstance(value.left, ast.Argument)
    assert tree(value.left.value) == "2"


def test_an_argument_of_an_argument_leads_out_of_both_expansions() -> None:
    text = "macro a(x) { x } macro b(y) { a(y) } begin { b(1); }"
    statement = expanded(text).probes[0].body.statements[0]
    assert tree(statement).count("Expansion") == 2
    assert "(Argument (Argument 1))" in tree(statement)


def test_expansions_share_no_nodes() -> None:
    found = expanded("macro m(x) { x + x } begin { m(f(1)); m(f(1)); }")
    nodes = [id(node) for node in ast.walk(found)]
    assert len(nodes) == len(set(nodes))


# --- libraries -----------------------------------------------------------------------------------------------------------

LIBRARY = "macro cpu() { __builtin_cpu } macro twice(x) { helper(x) * 2 } macro helper(x) { x + 1 }"
LIBRARY_USES = {
    "begin { cpu; cpu(); }": "(ExprStatement __builtin_cpu) (ExprStatement __builtin_cpu)",
    "macro cpu() { 42 } begin { cpu; }": "(ExprStatement 42)",
    "macro cpu(x) { x } begin { cpu; cpu(1); }": "(ExprStatement __builtin_cpu) (ExprStatement 1)",
    "macro helper(x) { 0 } begin { twice(5); helper(5); }": "(ExprStatement (* (+ 5 1) 2)) (ExprStatement 0)",
    "macro helper(x) { 0 } begin { twice(helper(5)); }": "(ExprStatement (* (+ 0 1) 2))",
    "begin { twice; }": "(ExprStatement twice)",
}


@pytest.mark.parametrize(("text", "shape"), LIBRARY_USES.items())
def test_library_macros_give_way_but_not_inside_the_library(text: str, shape: str) -> None:
    assert statements(text, LIBRARY) == shape


def test_functions_of_the_compiler_may_have_other_arities() -> None:
    found = expanded("begin { twice(1, 2); }", LIBRARY, frozenset({"twice"}))
    assert tree(found.probes[0].body) == "(Block [(ExprStatement (Call twice [1 2]))] -)"


# --- errors: «» surround what is underlined ---------------------------------------------------------------------------------

_STRAY = "When used as a call argument, `typeof` builtin only valid for macro calls that are expecting a type parameter"
_MISFIT = "Call to m() has arguments that do not match any definition."
ERRORS = {
    "macro m(x) { 1 } «macro m»(y) { 2 } begin { }": "Redefinition of macro: m",
    "macro m($x, «$x») { } begin { }": "Variable for macro argument has already been used: $x",
    "macro m(@x, «@x») { } begin { }": "Map for macro argument has already been used: @x",
    "macro m(x, «x») { } begin { }": "Ident for macro argument has already been used: x",
    "macro m() { «@x» = 1; } begin { m(); }": (
        "Unhygienic access to map: @x. Maps must be passed into the macro as arguments."
    ),
    "macro m($x) { let «$x»; } begin { m($y); }": "Variable declaration shadows macro arg $x",
    "macro m($x) { for («$x» : 0..1) { } } begin { m($y); }": "Variable declaration shadows macro arg $x",
    "macro a() { «b()» } macro b() { a() } begin { b; }": "Recursive macro call detected. Call chain: b > a > b",
    "macro m(x) { «m(x)» } begin { m(1); }": "Recursive macro call detected. Call chain: m > m",
    "macro m(x) { x } begin { «m()»; }": _MISFIT,
    "macro m(x) { x } begin { «m»; }": _MISFIT,
    "macro m($x) { $x } begin { «m(1)»; }": _MISFIT,
    "begin { f(«typeof(a)»); }": _STRAY,
    "macro m(x) { x + 1 } begin { m(«typeof(a)»); }": _STRAY,
    "macro m(t) { sizeof(struct t) } begin { m(«typeof(int8*)»); }": (
        "Invalid replacement for macro 'm' type parameter 't' which makes up the type 'struct t'"
    ),
    "macro m(t) { sizeof(t*) } begin { m(«1»); }": (
        "Invalid replacement for macro 'm' type parameter 't' which makes up the type 't *'"
    ),
    "macro m(t, f) { offsetof(t, f) } begin { m(typeof(a), «f().b»); }": (
        "FieldAccess expressions must be made up entirely of idents (e.g. a.b.c) to replace the second argument in `offsetof`"
    ),
}


@pytest.mark.parametrize(("marked", "message"), ERRORS.items())
def test_what_is_refused(marked: str, message: str) -> None:
    before, underlined, after = marked.replace("»", "«").split("«")
    with pytest.raises(CompileError) as caught:
        expanded(before + underlined + after)
    assert caught.value.message == message
    assert span_range(caught.value.span) == (len(before), len(before) + len(underlined))
    assert caught.value.source is not None


HINTS = {
    "macro m(x) { } begin { m(1, 2); }": (
        "The closest definition of m() has a different number of arguments. Expected: 1 but got 2"
    ),
    "macro m($x) { } begin { m(1); }": "Mismatched arg. m() expects a variable for arg $x but got an expression.",
    "macro m($x) { } begin { m(@y); }": "Mismatched arg. m() expects a variable for arg $x but got a map.",
    "macro m(@x) { } begin { m($y); }": "Mismatched arg. m() expects a map for arg @x but got a variable.",
    "macro m(x) { } macro m(y) { } begin { }": "This is the original definition: stdin:1:1-8",
}


@pytest.mark.parametrize(("text", "hint"), HINTS.items())
def test_hints_name_the_closest_definition(text: str, hint: str) -> None:
    with pytest.raises(CompileError) as caught:
        expanded(text)
    assert caught.value.hint == hint


def test_an_error_inside_a_library_macro_names_the_library() -> None:
    with pytest.raises(CompileError) as caught:
        expanded("begin { m(); }", "macro m() { @x }")
    assert caught.value.source is not None
    assert caught.value.source.name == "library"


def test_expansion_that_doubles_comes_to_an_end() -> None:
    macros = " ".join(f"macro m{i}(x) {{ m{i + 1}(x) + m{i + 1}(x) }}" for i in range(40))
    with pytest.raises(CompileError, match="macro expansions"):
        expanded(f"{macros} macro m40(x) {{ x }} begin {{ m0(1); }}")
