"""The parser: what it reads beside pycparser's C, and that every node knows its place."""

from __future__ import annotations

import pytest
from c_text import body, read
from pycparser import c_ast

from probee.compiler.lang.c.constant import span_of


def returned(expression: str, before: str = "") -> c_ast.Node:
    unit = read(f"{before}int f(int a, int b) {{ return {expression}; }}")
    return body(unit, "f")[-1].expr


def test_spans_of_nodes_are_offsets_in_the_text() -> None:
    unit = read("int f(int first) {\n    return first + second(first);\n}")
    text = unit.source.text
    call = body(unit, "f")[0].expr.right
    span = span_of(call)
    assert text[span >> 24 : (span >> 24) + (span & 0xFFFFFF)] == "second"


def test_condition_may_lack_its_middle() -> None:
    node = returned("a ?: b")
    assert isinstance(node, c_ast.TernaryOp) and node.iftrue is None


def test_case_may_be_a_range() -> None:
    switch = body(read("int f(int a) { switch (a) { case 1 ... 5: return 1; default: return 0; } }"), "f")[0]
    case = switch.stmt.block_items[0]
    assert isinstance(case.expr, c_ast.BinaryOp) and case.expr.op == "..."


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("({ int x = a; x + 1; })", c_ast.Compound), ("(struct key){ 1 }.v", c_ast.StructRef), ("(u64)a", c_ast.Cast),
        ("sizeof(struct key)", c_ast.UnaryOp), ("offsetof(struct key, v)", c_ast.FuncCall), ("true", c_ast.Constant),
        ("__builtin_offsetof(struct key, v)", c_ast.FuncCall), ("(typeof(a))b", c_ast.Cast), ("(sector_t)b", c_ast.Cast),
        ("(unsigned __int128)a", c_ast.Cast), ('"a" "b"', c_ast.Constant), ("a, b", c_ast.ExprList),
    ],
)  # fmt: skip
def test_expressions_of_gnu_c_are_read(expression: str, kind: type) -> None:
    assert isinstance(returned(expression, "struct key { int v; };\n"), kind)


def test_pragma_unroll_stands_before_its_loop() -> None:
    found = body(read("int f(int a) {\n#pragma unroll\nfor (int i = 0; i < 3; i++) a++;\nreturn a; }"), "f")
    assert isinstance(found[0], c_ast.Pragma) and found[0].string == "unroll"
    assert isinstance(found[1], c_ast.For)


def test_variable_may_have_the_name_of_a_kernel_type() -> None:
    unit = read("int f(int a) { int pid_t = 3; int size_t = pid_t * a; return size_t; }")
    assert isinstance(body(unit, "f")[1].init, c_ast.BinaryOp)


def test_member_may_have_the_name_of_a_kernel_type() -> None:
    unit = read("struct s { u32 pid_t; }; int f(struct s *p) { return p->pid_t; }")
    assert body(unit, "f")[0].expr.field.name == "pid_t"


def test_function_may_return_a_kernel_type() -> None:
    assert read("static gfp_t f(gfp_t x) { return x; }").functions["f"].result.spelling() == "gfp_t"


def test_designated_initialisers_and_empty_ones_are_read() -> None:
    unit = read("struct s { int a, b[3]; }; int f(int x) { struct s s = { .a = 1, .b[1] = x }, t = {}; return s.a; }")
    init = body(unit, "f")[0].init
    assert [type(item).__name__ for item in init.exprs] == ["NamedInitializer", "NamedInitializer"]
    assert body(unit, "f")[1].init.exprs == []


def test_labels_and_gotos_are_read() -> None:
    kinds = [type(node).__name__ for node in body(read("int f(int a) { if (a) goto out; a++; out: return a; }"), "f")]
    assert kinds == ["If", "UnaryOp", "Label"]
