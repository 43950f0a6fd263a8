"""Expressions: precedence, associativity, postfix forms, and what a parenthesis turns out to be."""

from __future__ import annotations

import pytest
from bpftrace_tree import body, expr, failure, program, tree

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace.parser import parse_expression
from probee.errors import ParseError, Source, span_range

SHAPES = {
    # binary operators, from loose to tight, and their associativity
    "a || b && c": "(|| a (&& b c))",
    "a && b | c": "(&& a (| b c))",
    "a | b ^ c": "(| a (^ b c))",
    "a ^ b & c": "(^ a (& b c))",
    "a & b == c": "(& a (== b c))",
    "a == b < c": "(== a (< b c))",
    "a < b << c": "(< a (<< b c))",
    "a << b + c": "(<< a (+ b c))",
    "a + b * c": "(+ a (* b c))",
    "a * b + c": "(+ (* a b) c)",
    "a - b - c": "(- (- a b) c)",
    "a / b % c * d": "(* (% (/ a b) c) d)",
    "a == b != c": "(!= (== a b) c)",
    "a <= b >= c > d": "(> (>= (<= a b) c) d)",
    "a >> b << c": "(<< (>> a b) c)",
    "a || b || c": "(|| (|| a b) c)",
    "a || b && c | d ^ e & f == g < h << i + j * k": "(|| a (&& b (| c (^ d (& e (== f (< g (<< h (+ i (* j k))))))))))",
    "a * b + c << d < e == f & g ^ h | i && j || k": "(|| (&& (| (^ (& (== (< (<< (+ (* a b) c) d) e) f) g) h) i) j) k)",
    # ternaries
    "a ? b : c ? d : e": "(Ternary a b (Ternary c d e))",
    "a ? b ? c : d : e": "(Ternary a (Ternary b c d) e)",
    "a || b ? c : d": "(Ternary (|| a b) c d)",
    "a ?: b": "(Ternary a - b)",
    "a ? : b ?: c": "(Ternary a - (Ternary b - c))",
    # prefixes
    "!a && ~b": "(&& (! a) (~ b))",
    "-a * -b": "(* (- a) (- b))",
    "a - -b": "(- a (- b))",
    "!!a": "(! (! a))",
    "**a": "(Deref (Deref a))",
    "*a.b": "(Deref (Field a b False))",
    "(*a).b": "(Field (Deref a) b False)",
    "&$x": "(AddressOf $x)",
    "& @m": "(AddressOf @m)",
    "a & &$x": "(& a (AddressOf $x))",
    "++$x": "(IncDec ++ True $x)",
    "--@m[1]": "(IncDec -- True (MapAccess @m 1))",
    "-$x++": "(- (IncDec ++ False $x))",
    "!a != b": "(!= (! a) b)",
    # postfix
    "a.b->c.0[d]": "(Index (TupleIndex (Field (Field a b False) c True) 0) d)",
    "a . b": "(Field a b False)",
    "a.if": "(Field a if False)",
    "$x.0.1": "(TupleIndex (TupleIndex $x 0) 1)",
    '"abc"[1]': "(Index (StringLiteral b'abc') 1)",
    "f(a)[0]": "(Index (Call f [a]) 0)",
    "$x--": "(IncDec -- False $x)",
    "@++": "(IncDec ++ False @)",
    # maps and parameters
    "@": "@",
    "@m": "@m",
    "@[1]": "(MapAccess @ 1)",
    "@m[a, b]": "(MapAccess @m (Tuple [a b]))",
    "@m[(a, b)]": "(MapAccess @m (Tuple [a b]))",
    "@m[a][b]": "(Index (MapAccess @m a) b)",
    "(@m)[a]": "(Index @m a)",
    "$1 + $#": "(+ (Positional 1) (PositionalCount))",
    # calls and keywords
    "f()": "(Call f [])",
    "f (a, 1)": "(Call f [a 1])",
    "f(typeof(a), typeof(struct b *))": "(Call f [(TypeArgument (TypeOf a)) (TypeArgument (TypeOf (PointerType struct b)))])",
    "true": "(BoolLiteral True)",
    "trueish": "trueish",
    "comptime a + b": "(+ (Comptime a) b)",
    "comptime (a + b)": "(Comptime (+ a b))",
    "sizeof(a)": "(SizeOf a)",
    "sizeof(a == b)": "(SizeOf (== a b))",
    "sizeof(uint64)": "(SizeOf uint64)",
    "sizeof(struct a)": "(SizeOf struct a)",
    "sizeof(a*)": "(SizeOf (PointerType a))",
    "sizeof(a[2]*)": "(SizeOf (PointerType (ArrayType a 2)))",
    "sizeof(a.b)": "(SizeOf (Field a b False))",
    "sizeof(a * b)": "(SizeOf (* a b))",
    "sizeof(args)": "(SizeOf args)",
    "sizeof(typeof(a))": "(SizeOf (TypeOf a))",
    "offsetof(struct a, b.c)": "(OffsetOf struct a [b c])",
    "offsetof(a, config)": "(OffsetOf a [config])",
    "offsetof(*$p, b)": "(OffsetOf (Deref $p) [b])",
    "typeinfo(@m)": "(TypeInfo @m)",
    "if a { 1 } else { 2 }": "(IfExpr a (Block [] 1) (Block [] 2))",
    "if (a) { 1 } else if b { 2 } else { 3 }": "(IfExpr a (Block [] 1) (IfExpr b (Block [] 2) (Block [] 3)))",
    "{ $a = 1; $a }": "(Block [(Assign $a = 1)] $a)",
    # parentheses, in the order in which they are tried
    "()": "(Tuple [])",
    "(a = 1)": "(Record [a] [1])",
    "(a = 1, b = (c = 2))": "(Record [a b] [1 (Record [c] [2])])",
    "(a == 1)": "(== a 1)",
    "(int32)a": "(Cast int32 a)",
    "(uint8[4])1": "(Cast (ArrayType uint8 4) 1)",
    "(int8[])$x": "(Cast (ArrayType int8 -) $x)",
    "(struct a *)b": "(Cast (PointerType struct a) b)",
    "(struct a **)b": "(Cast (PointerType (PointerType struct a)) b)",
    "(typeof(a))1": "(Cast (TypeOf a) 1)",
    "(size_t)-1": "(Cast size_t (- 1))",
    "(u32)*$p": "(Cast u32 (Deref $p))",
    "(enum e)1 + 2": "(+ (Cast enum e 1) 2)",
    "(int8)a.b": "(Cast int8 (Field a b False))",
    "((int8)a).b": "(Field (Cast int8 a) b False)",
    "(a) + 1": "(+ a 1)",
    "(a) && b": "(&& a b)",
    "(a) != b": "(!= a b)",
    "(pid) - 1": "(- pid 1)",
    "(cpu) - 1": "(- cpu 1)",
    "(arg0) * 2": "(* arg0 2)",
    "(args)": "args",
    "(true) - 1": "(- (BoolLiteral True) 1)",
    "(a)": "a",
    "(a * b)": "(* a b)",
    "(a[1] + 2)": "(+ (Index a 1) 2)",
    "(a[i])": "(Index a i)",
    "(a,)": "(Tuple [a])",
    "(a, b)": "(Tuple [a b])",
    "(a, b,)": "(Tuple [a b])",
    # layout anywhere
    "a /* b */ + // c\n d": "(+ a d)",
    "@m [ 1 ]": "(MapAccess @m 1)",
    "$x ++": "(IncDec ++ False $x)",
}


@pytest.mark.parametrize(("text", "shape"), SHAPES.items())
def test_shape_of_expression(text: str, shape: str) -> None:
    assert tree(expr(text)) == shape


def test_division_before_a_brace_ends_a_predicate() -> None:
    found = program("k:f /a / b/ { }").probes[0]
    assert tree(found.predicate) == "(/ a b)"
    assert tree(program("k:f /a / 2/\n// why\n{ }").probes[0].predicate) == "(/ a 2)"


def test_names_defined_by_the_preamble_are_values_before_an_ambiguous_operator() -> None:
    text = "#define N 4\nbegin { _ = (N) - 1; _ = (M) - 1; }"
    first, second = program(text).probes[0].body.statements
    assert tree(first) == "(Discard (- N 1))"
    assert tree(second) == "(Discard (Cast M (- 1)))"


SPANS = {
    "a + b * c": "a + b * c",
    "(a) + (b)": "a) + (b)",
    "f( a )": "f( a )",
    "$x . y": "$x . y",
    "@m[a, b]": "@m[a, b]",
    "-a": "-a",
    "(int8) a": "(int8) ",
    "(a, b)": "(a, b)",
    "a ? b : c": "a ? b : c",
    "sizeof( int8 )": "sizeof( int8 )",
    "{ 1 }": "{ 1 }",
    '"x"': '"x"',
}


@pytest.mark.parametrize(("text", "covered"), SPANS.items())
def test_spans_cover_what_upstream_underlines(text: str, covered: str) -> None:
    before = "begin { _ = "
    start, end = span_range(expr(text).span)
    assert f"{before}{text}"[start:end] == covered


def test_a_long_chain_needs_no_recursion() -> None:
    found = expr("+".join(["1"] * 20_000))
    assert isinstance(found, ast.Binary)
    assert sum(isinstance(node, ast.Binary) for node in ast.walk(found)) == 19_999


def test_a_long_postfix_chain_needs_no_recursion() -> None:
    assert isinstance(expr("$x" + ".a[1]" * 5_000), ast.Index)


@pytest.mark.parametrize("opening", ["(", "!", "-(", "f(", "@m[", "(int8)", "{", "if (a) { 1 } else if (", "1 ? 2 : ", "*"])
def test_nesting_beyond_the_limit_is_an_error_and_not_a_crash(opening: str) -> None:
    assert failure("begin { _ = " + opening * 5_000)[0].startswith("syntax: nested ")


def test_nesting_below_the_limit_is_fine() -> None:
    assert tree(expr("(" * 90 + "a" + ")" * 90)) == "a"


def test_an_exhausted_stack_is_reported_as_nesting(monkeypatch: pytest.MonkeyPatch) -> None:
    from probee.compiler.lang.bpftrace import scanner

    monkeypatch.setattr(scanner, "MAX_DEPTH", 10**9)
    assert failure("begin { _ = " + "(" * 100_000)[0] == "syntax: nested too deeply; split the program up"


def test_parse_expression_takes_all_of_its_text() -> None:
    assert tree(parse_expression(Source("m", " 1 + 2 "))) == "(+ 1 2)"
    with pytest.raises(ParseError, match="syntax: unexpected input") as caught:
        parse_expression(Source("m", '"a" "b"'))
    assert caught.value.source is not None
    assert caught.value.source.name == "m"


def test_if_without_value_ends_its_statement() -> None:
    statements = body("if (a) { f(); } ++$x; if (b) { g(); } *$p").statements
    assert [type(s).__name__ for s in statements] == ["If", "ExprStatement", "If", "ExprStatement"]
