"""Statements and blocks, and which blocks have a value."""

from __future__ import annotations

import pytest
from bpftrace_tree import body, program, tree

from probee.compiler.lang.bpftrace import ast
from probee.errors import span_range

SHAPES = {
    "": "",
    "f();": "(ExprStatement (Call f []))",
    "f()": "(ExprStatement (Call f []))",
    "_ = f();": "(Discard (Call f []))",
    "_ = f()": "(Discard (Call f []))",
    "_ == 1;": "(ExprStatement (== _ 1))",
    "let $x;": "(Let $x - -)",
    "let $x : int8;": "(Let $x int8 -)",
    "let $x = 1;": "(Let $x - 1)",
    "let $x : struct a *[2] = 1": "(Let $x (ArrayType (PointerType struct a) 2) 1)",
    "let $x : typeof(@m) = 1": "(Let $x (TypeOf @m) 1)",
    "letter;": "(ExprStatement letter)",
    "$x = 1;": "(Assign $x = 1)",
    "$x = 1": "(Assign $x = 1)",
    "@ = 1": "(Assign @ = 1)",
    "@m[a, b] = 1": "(Assign (MapAccess @m (Tuple [a b])) = 1)",
    "$x <<= 1": "(Assign $x <<= 1)",
    "$x == 1": "(ExprStatement (== $x 1))",
    "$x.a == 1": "(ExprStatement (== (Field $x a False) 1))",
    "$x ? f() : g()": "(ExprStatement (Ternary $x (Call f []) (Call g [])))",
    "$x++": "(ExprStatement (IncDec ++ False $x))",
    "$x++ + 1": "(ExprStatement (+ (IncDec ++ False $x) 1))",
    "--@m[1];": "(ExprStatement (IncDec -- True (MapAccess @m 1)))",
    "$1;": "(ExprStatement (Positional 1))",
    "$#;": "(ExprStatement (PositionalCount))",
    "if a { f() }": "(If a (Block [(ExprStatement (Call f []))] -) -)",
    "if (a == b) { } else { f(); }": "(If (== a b) (Block [] -) (Block [(ExprStatement (Call f []))] -))",
    "if !f(x) { } else if $p { } else { }": "(If (! (Call f [x])) (Block [] -) (If $p (Block [] -) (Block [] -)))",
    "if comptime (a) { }": "(If (Comptime a) (Block [] -) -)",
    "if (a) { 1 } else { 2 }": "(If a (Block [(ExprStatement 1)] -) (Block [(ExprStatement 2)] -))",
    "if (a) { 1 } else { 2 } + 3": "(ExprStatement (+ (IfExpr a (Block [] 1) (Block [] 2)) 3))",
    "if (a) && (b) { }": "(If (&& a b) (Block [] -) -)",
    "if a == b { }": "(If (== a b) (Block [] -) -)",
    "if ($x).y { }": "(If (Field $x y False) (Block [] -) -)",
    "while ($a < 1) { $a++ }": "(While (< $a 1) (Block [(ExprStatement (IncDec ++ False $a))] -))",
    "while !$a { break; }": "(While (! $a) (Block [(Break)] -))",
    "unroll (3) { f() }": "(Unroll 3 (Block [(ExprStatement (Call f []))] -))",
    "unroll $1 { }": "(Unroll (Positional 1) (Block [] -))",
    "for ($kv : @m) { f() }": "(For $kv @m (Block [(ExprStatement (Call f []))] -))",
    "for $kv : @m { }": "(For $kv @m (Block [] -))",
    "for ($i : 0..10) { continue }": "(For $i (Range 0 10) (Block [(Continue)] -))",
    "for $i : (-1)..f(a) { }": "(For $i (Range (- 1) (Call f [a])) (Block [] -))",
    "return;": "(Return -)",
    "return": "(Return -)",
    "return 1 + 2": "(Return (+ 1 2))",
    'import "a.bpf.c";': "(Import a.bpf.c)",
    "{ f(); }": "(Block [(ExprStatement (Call f []))] -)",
    "{ { 1 } }": "(Block [(Block [(ExprStatement 1)] -)] -)",
    "{ 1 } f();": "(Block [(ExprStatement 1)] -) (ExprStatement (Call f []))",
    "{ $a } + 1;": "(ExprStatement (+ (Block [] $a) 1))",
    "if (a) { f() } else { { 1 } } g();": (
        "(If a (Block [(ExprStatement (Call f []))] -) (Block [(Block [(ExprStatement 1)] -)] -)) (ExprStatement (Call g []))"
    ),
    "breakfast; return_me; forest;": "(ExprStatement breakfast) (ExprStatement return_me) (ExprStatement forest)",
}


@pytest.mark.parametrize(("text", "shape"), SHAPES.items())
def test_shape_of_statements(text: str, shape: str) -> None:
    block = body(text)
    assert block.value is None
    assert " ".join(tree(statement) for statement in block.statements) == shape


VALUES = {
    "1": "(Block [] 1)",
    "1;": "(Block [(ExprStatement 1)] -)",
    "f(); $x": "(Block [(ExprStatement (Call f []))] $x)",
    "$x = 1": "(Block [(Assign $x = 1)] -)",
    "$x + 1": "(Block [] (+ $x 1))",
    "if (a) { 1 } else { 2 }": "(Block [] (IfExpr a (Block [] 1) (Block [] 2)))",
    "if (a) { f(); }": "(Block [(If a (Block [(ExprStatement (Call f []))] -) -)] -)",
    "if (a) { 1 } 2": "(Block [(If a (Block [(ExprStatement 1)] -) -)] 2)",
    "{ 1 }": "(Block [] (Block [] 1))",
    "{ f(); }": "(Block [(Block [(ExprStatement (Call f []))] -)] -)",
}


@pytest.mark.parametrize(("text", "shape"), VALUES.items())
def test_an_unterminated_last_expression_is_the_value_of_a_macro(text: str, shape: str) -> None:
    assert tree(program(f"macro m() {{ {text} }}").macros[0].body) == shape


SPANS = {
    "$x = f(1);": "$x = f(1)",
    "f(1) ;": "f(1) ;",
    "let $x : int8 = 1;": "let $x : int8 = 1",
    "let $x;": "let $x",
    "if (a) { }": "if (a) { }",
    "for ($i : 0..1) { }": "for ($i : 0..1) { }",
    "return 1;": "return 1;",
    "_ = 1;": "_ = 1",
}


@pytest.mark.parametrize(("text", "covered"), SPANS.items())
def test_spans_of_statements_end_before_the_semicolon_but_of_those_that_are_expressions(text: str, covered: str) -> None:
    source = f"begin {{ {text} }}"
    start, end = span_range(body(text).statements[0].span)
    assert source[start:end] == covered


def test_a_hundred_thousand_statements_parse() -> None:
    assert len(body("$x = 1;" * 100_000).statements) == 100_000


def test_walk_visits_parents_first_and_in_order() -> None:
    kinds = [type(node).__name__ for node in ast.walk(body("$x = a + 1;"))]
    assert kinds == ["Block", "Assign", "Variable", "Binary", "Identifier", "IntLiteral"]


def test_same_ignores_spans_and_sees_differences() -> None:
    assert ast.same(body("$x = 1;"), body("$x   =  1"))
    for other in ("$x = 2", "$y = 1", "$x += 1", "$x = 1; f()", "@x = 1", "$x = 01"):
        assert not ast.same(body("$x = 1"), body(other))


def test_a_copy_is_equal_and_shares_no_node() -> None:
    block = body("if (a) { @m[1, 2] = (x = 1); } f(typeof(int8*), sizeof(b));")
    twin = ast.copy(block)
    assert ast.same(block, twin)
    assert not {id(node) for node in ast.walk(block)} & {id(node) for node in ast.walk(twin)}
