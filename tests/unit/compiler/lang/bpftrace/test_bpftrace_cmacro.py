"""C macros in a program's expressions."""

from __future__ import annotations

import pytest
from bpftrace_tree import program, tree

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace.cmacro import expand_constants
from probee.compiler.lang.bpftrace.cpreprocessor import read_preamble
from probee.errors import ParseError, span_range


def expanded(text: str) -> ast.Program:
    found = program(text)
    expand_constants(found, read_preamble(found.preamble).macros)
    return found


EXPANSIONS = {
    "#define N 4\nbegin { N; }": "(ExprStatement 4)",
    "#define N 1+2\nbegin { N*3; }": "(ExprStatement (* (+ 1 2) 3))",
    "#define A B\n#define B 2\nbegin { A; }": "(ExprStatement 2)",
    "#define C curtask->pid\nbegin { C; }": "(ExprStatement (Field curtask pid True))",
    '#define S "x"\nbegin { f(S, [0]) }'.replace(", [0]", ""): "(ExprStatement (Call f [(StringLiteral b'x')]))",
    "#define N 4\nbegin { $N = @N; $x.N }": "(Assign $N = @N) (ExprStatement (Field $x N False))",
    "#define N 4\nbegin { M; }": "(ExprStatement M)",
    "#define N n(x)\nbegin { N; }": "(ExprStatement (Call n [x]))",
}


@pytest.mark.parametrize(("text", "shape"), EXPANSIONS.items())
def test_names_become_expressions(text: str, shape: str) -> None:
    statements = expanded(text).probes[0].body.statements
    assert " ".join(tree(statement) for statement in statements) == shape


def test_predicates_functions_and_macros_are_covered() -> None:
    found = expanded("#define N 4\nk:f /N/ { } fn g() : void { N; } macro m(N) { N } macro o() { N }")
    assert tree(found.probes[0].predicate) == "4"
    assert tree(found.functions[0].body) == "(Block [(ExprStatement 4)] -)"
    assert [tree(macro.body) for macro in found.macros] == ["(Block [] N)", "(Block [] 4)"]


def test_everything_replaced_has_the_span_of_the_name() -> None:
    text = "#define N 1 + 2\nbegin { N; }"
    statement = expanded(text).probes[0].body.statements[0]
    assert isinstance(statement, ast.ExprStatement)
    for node in ast.walk(statement.value):
        start, end = span_range(node.span)
        assert text[start:end] == "N"


ERRORS = {
    "#define M M+1\nbegin { «M»; }": "Macro recursion: M",
    "#define A B\n#define B f(A)\nbegin { «A»; }": "Macro recursion: A->B",
    "#define M {\nbegin { «M»; }": "unable to expand macro as an expression: {",
    "#define M\nbegin { «M»; }": "unable to expand macro as an expression: ",
    '#define M "a" "b"\nbegin { f(«M»); }': 'unable to expand macro as an expression: "a" "b"',
}


@pytest.mark.parametrize(("marked", "message"), ERRORS.items())
def test_macros_that_are_no_expressions(marked: str, message: str) -> None:
    before, underlined, after = marked.replace("»", "«").split("«")
    with pytest.raises(ParseError) as caught:
        expanded(before + underlined + after)
    assert caught.value.message == message
    assert span_range(caught.value.span) == (len(before), len(before) + len(underlined))


def test_macros_that_double_come_to_an_end() -> None:
    lines = [f"#define M{i} M{i + 1} + M{i + 1}" for i in range(40)]
    with pytest.raises(ParseError, match="macro replacements"):
        expanded("\n".join([*lines, "#define M40 1", "begin { M0; }"]))
