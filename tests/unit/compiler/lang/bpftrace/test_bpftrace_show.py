"""The tree back as text: what it looks like, and that parsing it gives the same tree, for programs of any shape."""

from __future__ import annotations

import pytest
from bpftrace_tree import expr, program
from hypothesis import given, settings
from hypothesis import strategies as st

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace.parser_type import TYPE_NAMES
from probee.compiler.lang.bpftrace.show import show
from probee.compiler.lang.bpftrace.show_expression import quoted, show_expression, show_type

# --- examples ---------------------------------------------------------------------------------------------------------

EXAMPLES = {
    "a+b*c": "a + b * c",
    "(a+b)*c": "(a + b) * c",
    "a-(b-c)": "a - (b - c)",
    "((a-b))-c": "a - b - c",
    "a?:(b?c:d)": "a ?: b ? c : d",
    "(a?b:c)?d:e": "(a ? b : c) ? d : e",
    "-(-a)": "-(-a)",
    "!(a&&b)": "!(a && b)",
    "(*$p).x": "(*$p).x",
    "((struct a*)$p)->x": "((struct a *)$p)->x",
    "@m[(a,b)]": "@m[a, b]",
    "(@m)[1]": "(@m)[1]",
    "(1,)": "(1,)",
    r'"\x41\n\""': r'"A\n\""',
    "f(typeof(a),1)": "f(typeof(a), 1)",
    "sizeof((a[1]))": "sizeof((a[1]))",
    "1_000": "1_000",
}


@pytest.mark.parametrize(("text", "shown"), EXAMPLES.items())
def test_expression_text(text: str, shown: str) -> None:
    assert show_expression(expr(text)) == shown


def test_program_text() -> None:
    text = """#define N 1
config = {
  a = 1;
}
import "x";
let @m = hash(5);
macro m($a, b) {
  b + 1
}
fn f($x : int8) : void {
  return;
}
k:a,
k:b
/ pid == 1 /
{
  if (a) {
    f();
  } else if (b) {
    { };
  } else {};
  for ($i : 0..(1 + 1)) {}
  let $x : struct s * = { $y = 1; $y };
}
"""
    expected = text.replace("{ };", "{};").replace("{ $y = 1; $y }", "{\n    $y = 1;\n    $y\n  }")
    assert show(program(text)) == expected


def test_strings_of_all_bytes_come_back() -> None:
    value = bytes(range(256))
    literal = expr(quoted(value))
    assert isinstance(literal, ast.StringLiteral)
    assert literal.value == value


def test_a_long_chain_is_shown_without_recursion() -> None:
    text = " + ".join(["a"] * 20_000)
    assert show_expression(expr(text)) == text


# --- generated trees ----------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "foo", "x1", "_y", "ifs", "structure", "pid", "arg0", "comm"])
FIELDS = st.sampled_from(["a", "b", "config", "if", "let"])
INTEGERS = st.sampled_from(["0", "1", "007", "0x1f", "1e3", "5ms", "7u", "1_0", "18446744073709551615"])
BARE_TYPES = st.sampled_from(sorted(TYPE_NAMES))
PLAIN = st.builds(lambda name: ast.NamedType(0, name), BARE_TYPES)
TAGGED = st.builds(lambda name, tag: ast.NamedType(0, name, tag), NAMES, st.sampled_from(["struct", "union", "enum"]))


def _wrapped(inner: st.SearchStrategy[ast.TypeName]) -> st.SearchStrategy[ast.TypeName]:
    pointers = st.builds(lambda target: ast.PointerType(0, target), inner)
    sizes = st.one_of(st.none(), st.integers(0, 9))
    return pointers | st.builds(lambda element, size: ast.ArrayType(0, element, size), inner, sizes)


TYPES = st.recursive(PLAIN | TAGGED, _wrapped, max_leaves=3)

VARIABLES = st.builds(lambda name: ast.Variable(0, name), NAMES)
MAPS = st.builds(lambda name: ast.MapRef(0, name), NAMES | st.just(""))
IDENTIFIERS = st.builds(lambda name: ast.Identifier(0, name), NAMES)
LITERALS = st.one_of(
    st.builds(expr, INTEGERS),
    st.builds(lambda value: ast.BoolLiteral(0, value), st.booleans()),
    st.builds(lambda value: ast.StringLiteral(0, value), st.binary(max_size=4)),
    st.builds(lambda index: ast.Positional(0, index), st.integers(1, 99)),
    st.just(ast.PositionalCount(0)),
)
LEAVES = VARIABLES | MAPS | IDENTIFIERS | LITERALS


@st.composite
def _targets(draw: st.DrawFn, inner: st.SearchStrategy[ast.Expr]) -> ast.Expr:
    """A variable, a map or a map access."""
    kind = draw(st.integers(0, 2))
    if kind == 0:
        return draw(VARIABLES)
    reference = draw(MAPS)
    return reference if kind == 1 else ast.MapAccess(0, reference, draw(inner))


@st.composite
def _blocks(draw: st.DrawFn, inner: st.SearchStrategy[ast.Expr], value: bool | None = None) -> ast.Block:
    """A block with a value, without one, or either; statements in it are simple ones."""
    statements = draw(st.lists(_statements(inner, depth=1), max_size=2))
    wanted = draw(st.booleans()) if value is None else value
    return ast.Block(0, statements, draw(inner.filter(_yields)) if wanted else None)


def _yields(node: ast.Expr) -> bool:
    if isinstance(node, ast.Block):
        return node.value is not None
    if isinstance(node, ast.IfExpr):
        return node.then.value is not None or (node.otherwise is not None and _yields(node.otherwise))
    return True


@st.composite
def _operands(draw: st.DrawFn, inner: st.SearchStrategy[ast.Expr]) -> ast.Expr | ast.TypeName:
    """What sizeof takes: a type, or an expression that does not read as one."""
    if draw(st.booleans()):
        return draw(TYPES)
    return draw(inner)


@st.composite
def _operations(draw: st.DrawFn, inner: st.SearchStrategy[ast.Expr]) -> ast.Expr:
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return ast.Unary(0, draw(st.sampled_from("!~-")), draw(inner))
    if kind == 1:
        return ast.Deref(0, draw(inner))
    if kind == 2:
        return ast.AddressOf(0, draw(VARIABLES | MAPS))
    if kind == 3:
        return ast.IncDec(0, draw(st.sampled_from(["++", "--"])), draw(st.booleans()), draw(_targets(inner)))
    if kind in (4, 5):
        op = draw(st.sampled_from(["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "==", "!=", "<", "<=", ">", ">="]))
        return ast.Binary(0, op, draw(inner), draw(inner))
    if kind == 6:
        return ast.Logical(0, draw(st.sampled_from(["&&", "||"])), draw(inner), draw(inner))
    if kind == 7:
        return ast.Ternary(0, draw(inner), draw(st.none() | inner), draw(inner))
    if kind == 8:
        return ast.Cast(0, draw(TYPES), draw(inner))
    return ast.Comptime(0, draw(inner))


@st.composite
def _postfixes(draw: st.DrawFn, inner: st.SearchStrategy[ast.Expr]) -> ast.Expr:
    operand = draw(inner)
    kind = draw(st.integers(0, 2))
    if kind == 0:
        return ast.Field(0, operand, draw(FIELDS), draw(st.booleans()))
    if kind == 1:
        return ast.TupleIndex(0, operand, draw(st.integers(0, 12)))
    return ast.Index(0, operand, draw(inner))


@st.composite
def _compositions(draw: st.DrawFn, inner: st.SearchStrategy[ast.Expr]) -> ast.Expr:
    kind = draw(st.integers(0, 8))
    if kind == 0:
        return ast.MapAccess(0, draw(MAPS), draw(inner))
    if kind == 1:
        types = st.builds(lambda op: ast.TypeArgument(0, ast.TypeOf(0, op)), _operands(inner))
        return ast.Call(0, draw(NAMES), draw(st.lists(inner | types, max_size=3)))
    if kind == 2:
        return ast.SizeOf(0, draw(_operands(inner)))
    if kind == 3:
        return ast.OffsetOf(0, draw(_operands(inner)), draw(st.lists(FIELDS, min_size=1, max_size=3)))
    if kind == 4:
        return ast.TypeInfo(0, draw(_operands(inner)))
    if kind == 5:
        return ast.Tuple(0, draw(st.lists(inner, max_size=3)))
    if kind == 6:
        names = draw(st.lists(st.sampled_from(["a", "b", "if"]), min_size=1, max_size=3, unique=True))
        return ast.Record(0, names, [draw(inner) for _ in names])
    if kind == 7:
        return draw(_blocks(inner))
    otherwise = draw(st.none() | _blocks(inner))
    if draw(st.booleans()):
        otherwise = ast.IfExpr(0, draw(inner), draw(_blocks(inner)), otherwise)
    return ast.IfExpr(0, draw(inner), draw(_blocks(inner)), otherwise)


@st.composite
def _statements(draw: st.DrawFn, inner: st.SearchStrategy[ast.Expr], depth: int) -> ast.Statement | ast.Block:
    kind = draw(st.integers(0, 6 if depth else 12))
    nested = _blocks(inner, value=False)
    plain = inner.filter(lambda node: not isinstance(node, (ast.Block, ast.IfExpr)))
    if kind == 0:
        return ast.ExprStatement(0, draw(plain))
    if kind == 1:
        return ast.Discard(0, draw(inner))
    if kind == 2:
        return ast.Let(0, draw(VARIABLES), draw(st.none() | TYPES), draw(st.none() | inner))
    if kind == 3:
        op = draw(st.sampled_from(["=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="]))
        return ast.Assign(0, draw(_targets(inner)), op, draw(inner))
    if kind == 4:
        return draw(st.sampled_from([ast.Break(0), ast.Continue(0), ast.Import(0, 'a".c')]))
    if kind in (5, 6):
        return ast.Return(0, draw(st.none() | inner))
    if kind == 7:
        return draw(nested)
    if kind == 8:
        return ast.While(0, draw(inner), draw(nested))
    if kind == 9:
        return ast.Unroll(0, draw(inner), draw(nested))
    if kind == 10:
        ranges = st.builds(lambda start, end: ast.Range(0, start, end), inner, inner)
        return ast.For(0, draw(VARIABLES), draw(MAPS | ranges), draw(nested))
    otherwise = draw(st.none() | nested)
    if draw(st.booleans()):
        otherwise = ast.If(0, draw(inner), draw(nested), otherwise)
    return ast.If(0, draw(inner), draw(nested), otherwise)


EXPRESSIONS = st.recursive(
    LEAVES, lambda inner: _operations(inner) | _operations(inner) | _postfixes(inner) | _compositions(inner), max_leaves=8
)


@given(TYPES)
def test_types_come_back(node: ast.TypeName) -> None:
    found = expr(f"sizeof({show_type(node)})")
    assert isinstance(found, ast.SizeOf)
    assert isinstance(found.operand, ast.TypeName)
    assert ast.same(found.operand, node)


@given(EXPRESSIONS)
@settings(max_examples=400, deadline=None)
def test_expressions_come_back(node: ast.Expr) -> None:
    assert ast.same(expr(show_expression(node)), node), show_expression(node)


@given(
    st.lists(_statements(EXPRESSIONS, depth=0), max_size=3),
    st.none() | EXPRESSIONS,
    st.none() | EXPRESSIONS.filter(_yields),
)
@settings(max_examples=200, deadline=None)
def test_programs_come_back(
    statements: list[ast.Statement | ast.Block], predicate: ast.Expr | None, value: ast.Expr | None
) -> None:
    probe = ast.Probe(
        0, [ast.AttachPointText(0, 'u:"/a b":f'), ast.AttachPointText(0, "end")], predicate, ast.Block(0, statements)
    )
    params: list[ast.Variable | ast.MapRef | ast.Identifier] = [
        ast.Variable(0, "v"),
        ast.MapRef(0, "m"),
        ast.Identifier(0, "i"),
    ]
    macro = ast.Macro(0, "m", params, ast.Block(0, statements, value))
    returns = ast.TypeOf(0, ast.MapRef(0, "m"))
    function = ast.Function(0, "f", [ast.Param(0, ast.Variable(0, "p"), returns)], returns, ast.Block(0, statements))
    whole = ast.Program(0, [ast.CText(0, "#define X 1")], None, [], [macro], [function], [], [probe])
    assert ast.same(program(show(whole)), whole), show(whole)
