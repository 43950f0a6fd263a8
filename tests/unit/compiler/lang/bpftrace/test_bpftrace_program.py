"""Whole programs: the order of their pieces, the preamble, config, imports, macros, functions, maps, probes."""

from __future__ import annotations

import pytest
from bpftrace_tree import failure, program, tree

from probee.compiler.lang.bpftrace import ast
from probee.errors import ParseError, span_range


@pytest.mark.parametrize("text", ["", " \n", "// nothing", "/* nothing */\n", "#!/usr/bin/env bpftrace\n", "#!x"])
def test_a_program_may_be_empty(text: str) -> None:
    assert program(text).probes == []


def test_all_pieces_in_order() -> None:
    found = program(
        """#!/usr/bin/env bpftrace
        // a comment
        #include <linux/sched.h>
        struct a { int x; };
        import "one";
        config = { x = 1 }
        import "two";
        macro m(a) { a }
        k:f { }
        let @m = hash(5)
        fn f($a : int8) : void { }
        let @n = lruhash(0x10);
        """
    )
    assert [piece.text for piece in found.preamble] == ["#include <linux/sched.h>", "struct a { int x; };"]
    assert [piece.path for piece in found.imports] == ["one", "two"]
    assert found.config is not None
    assert [macro.name for macro in found.macros] == ["m"]
    assert [function.name for function in found.functions] == ["f"]
    assert [tree(node) for node in found.maps] == ["(MapDeclaration @m hash 5)", "(MapDeclaration @n lruhash 16)"]
    assert [probe.attach_points[0].text for probe in found.probes] == ["k:f"]


# --- preamble ---------------------------------------------------------------------------------------------------------

PREAMBLES = {
    "#define A 1   \nbegin {}": ["#define A 1"],
    "struct a { int x; } begin {}": ["struct a { int x; };"],
    "struct a { int x; };begin {}": ["struct a { int x; };"],
    "union a { struct b { int c; } d; } begin {}": ["union a { struct b { int c; } d; };"],
    "enum { A, B }; begin {}": ["enum { A, B };"],
    "struct a { /* } */ int x; // }\n } begin {}": ["struct a { /* } */ int x; // }\n };"],
    "struct a { int x; } __attribute__((packed)) begin {}": ["struct a { int x; } __attribute__((packed));"],
    "struct a {} /**/ __attribute__ ((a)) __attribute__((b(1))); begin {}": [
        "struct a {} /**/ __attribute__ ((a)) __attribute__((b(1)));"
    ],
    "struct __attribute__((packed)) a {} begin {}": ["struct __attribute__((packed)) a {};"],
    "typedef unsigned int u; typedef struct { int x; } s; begin {}": [
        "typedef unsigned int u;",
        "typedef struct { int x; } s;",
    ],
}


@pytest.mark.parametrize(("text", "pieces"), PREAMBLES.items())
def test_preamble_pieces_are_verbatim(text: str, pieces: list[str]) -> None:
    found = program(text)
    assert [piece.text for piece in found.preamble] == pieces
    assert len(found.probes) == 1


@pytest.mark.parametrize("text", ["struct:probe { }", "structure { }", "enumeration:a { }", "union/1/ { }", "typedef:x {}"])
def test_a_probe_may_be_named_like_a_definition(text: str) -> None:
    assert len(program(text).probes) == 1


# --- config -----------------------------------------------------------------------------------------------------------


def test_config_values() -> None:
    found = program('config = { a = "x"; b = true; c = 1_000; d = perf; e = 2ms } begin {}').config
    assert found is not None
    assert [f"{item.key}={tree(item.value)}" for item in found.items] == [
        "a=(StringLiteral b'x')",
        "b=(BoolLiteral True)",
        "c=1_000",
        "d=perf",
        "e=2ms",
    ]


def test_a_config_item_spans_key_and_value() -> None:
    text = "config = { bad_config = 1; } begin {}"
    found = program(text).config
    assert found is not None
    start, end = span_range(found.items[0].span)
    assert text[start:end] == "bad_config = 1"


# --- macros and functions -----------------------------------------------------------------------------------------------


def test_macro_parameters_of_all_kinds() -> None:
    macro = program("macro m($a, @b, c) { c }").macros[0]
    assert [tree(param) for param in macro.params] == ["$a", "@b", "c"]
    assert tree(macro.body) == "(Block [] c)"


def test_function_signature() -> None:
    text = "fn f($a : struct x *, $b : typeof(c)) : string[8] { return 1; }"
    function = program(text).functions[0]
    assert [tree(param) for param in function.params] == [
        "(Param $a (PointerType struct x))",
        "(Param $b (TypeOf c))",
    ]
    assert tree(function.returns) == "(ArrayType string 8)"
    start, end = span_range(function.span)
    assert text[start:end] == "fn f"


# --- probes -----------------------------------------------------------------------------------------------------------

ATTACH_POINTS = {
    "begin {}": ["begin"],
    "begin{}": ["begin"],
    "k:a, k:b {}": ["k:a", "k:b"],
    "k:a,k:b,\n{}": ["k:a", "k:b"],
    "k:a, /1/ {}": ["k:a"],
    "begin/1/{}": ["begin"],
    "begin // why\n {}": ["begin"],
    "uprobe:/bin/sh:f {}": ["uprobe:/bin/sh:f"],
    "uprobe:/bin/sh:f /1/ {}": ["uprobe:/bin/sh:f"],
    'uprobe:"/a b/{c,}":"f(int, char)" {}': ['uprobe:"/a b/{c,}":"f(int, char)"'],
    r'k:"a\"b {" {}': [r'k:"a\"b {"'],
    "uprobe:bin@file.c:12:3 {}": ["uprobe:bin@file.c:12:3"],
    "name=k:f {}": ["name=k:f"],
    "*:vfs_* {}": ["*:vfs_*"],
    "k:$1+0x10 {}": ["k:$1+0x10"],
    "let_me:x {}": ["let_me:x"],
}


@pytest.mark.parametrize(("text", "points"), ATTACH_POINTS.items())
def test_attach_points_are_raw_text(text: str, points: list[str]) -> None:
    found = program(text).probes
    assert len(found) == 1
    assert [point.text for point in found[0].attach_points] == points
    for point in found[0].attach_points:
        start, end = span_range(point.span)
        assert text[start:end] == point.text


def test_a_probe_spans_its_attach_points() -> None:
    text = "  k:a,\nk:b /1/ { }"
    start, end = span_range(program(text).probes[0].span)
    assert text[start:end] == "k:a,\nk:b"


def test_predicate_is_an_expression() -> None:
    found = program('k:f /comm == "a" && (pid > 1)/ { }').probes[0]
    assert tree(found.predicate) == "(&& (== comm (StringLiteral b'a')) (> pid 1))"


# --- errors: «» surround what is underlined -----------------------------------------------------------------------------

ERRORS = [
    ("begin {}\n«#define A 1\n»", "C definitions must appear before probes and functions"),
    ("config = {}\n«#define A 1»", "C definitions must appear before probes and functions"),
    ("begin {} «struct a { int x; };»", "C definitions must appear before probes and functions"),
    ("begin {} «config» = { a = 1 }", "config must appear before probes and functions"),
    ('macro m() {} «import» "x";', "root imports must appear before probes and functions"),
    ("config = {} «config» = {}", "duplicate config block"),
    ("«let» $x = 1;", "root-level let statements need to be map declarations, e.g. let @a = hash(2);"),
    ("struct a {} __attribute__ «begin» {}", "__attribute__ syntax error, expected '(('"),
    ("struct a {} __attribute__«(»(a) begin {}", "__attribute__ syntax error, mismatched '(' and ')'"),
    ("struct a { int x;«»", "expected '}'"),
    ("typedef int x«»", "expected ';'"),
    ("config «{» }", "expected '='"),
    ("config = «a»", "expected '{'"),
    ("config = { «$a» = 1 }", "expected config key"),
    ("config = { a «1» }", "expected '='"),
    ("config = { a = «-» }", "expected string, int, boolean, or ident"),
    ("config = { a = «1e99» }", "invalid integer in config"),
    ("config = { a = 1 «b» = 2 }", "expected ';'"),
    ("config = { a = 1;«»", "expected '}'"),
    ("import «x»;", "expected string after 'import'"),
    ('import "x" «begin» {}', "expected ';' after import"),
    ("macro «(»", "expected macro name"),
    ("macro m «{»", "expected '('"),
    ("macro m(«1») { }", "expected macro argument ($var, @map, or identifier)"),
    ("macro m(«args») { }", "builtin 'args' can't be used as a macro argument"),
    ("macro m(«sarg1») { }", "builtin 'sarg1' can't be used as a macro argument"),
    ("macro m(a «b») { }", "expected ')'"),
    ("macro m(a) «;»", "expected '{'"),
    ("fn «(»", "expected function name"),
    ("fn f(«a» : int8) : void {}", "expected variable in function argument"),
    ("fn f($a«)» : void {}", "expected ':'"),
    ("fn f($a : «1») : void {}", "expected type name"),
    ("fn f($a : struct«)» : void {}", "expected identifier"),
    ("fn f() «{»}", "expected ':'"),
    ("let @a «hash»(5)", "expected '='"),
    ("let @a = «5»", "expected map type name"),
    ("let @a = hash(«)»", "expected positive integer for map declaration max entries"),
    ("let @a = hash(«0»)", "expected positive integer for map declaration max entries"),
    ("let @a = hash(«-»1)", "expected positive integer for map declaration max entries"),
    ("let @a = hash(5«»", "expected ')'"),
    ("«{» }", "expected attach point"),
    ("k:f«»", "expected '{'"),
    ("k:f, k:g «x» {}", "expected '{'"),
    ("k:f /1 «{» }", "expected '/' to close predicate"),
    ("k:f /1/«»", "expected expression"),
    ("k:f { f();«»", "expected '}'"),
    ("k:f { f() «g»() }", "expected ';'"),
    ("k:f { «;» }", "expected expression"),
    ("k:f { «)» }", "expected expression"),
    ("k:f { break «f»(); }", "expected ';'"),
    ("k:f { return 1 «2» }", "expected ';'"),
    ("k:f { let «@a» = 1; }", "expected variable after 'let'"),
    ("k:f { let «$» = 1; }", "expected identifier after '$'"),
    ("k:f { let $a : «1»; }", "expected type name"),
    ("k:f { $a = 1 «$b» }", "expected ';'"),
    ("k:f { $a «:» int8 = 1 }", "expected ';'"),
    ("k:f { 1 «=» 2 }", "expected ';'"),
    (
        "k:f { «$a.x = 2» }",
        "Tuples and records are immutable once created. Consider creating a new value and assigning it instead.",
    ),
    (
        "k:f { «@a.1 += 2» }",
        "Tuples and records are immutable once created. Consider creating a new value and assigning it instead.",
    ),
    ("k:f { «$a[1] = 2»; }", "invalid assignment target"),
    ("k:f { «@a[1][2] = 3»; }", "invalid assignment target"),
    ("k:f { if (a) { } else «f»(); }", "expected '{' or 'if' after 'else'"),
    ("k:f { if (a «=» 1) { } }", "expected ')'"),
    ("k:f { while (a«,» b) { } }", "expected ')'"),
    ("k:f { for («a» : @m) { } }", "expected variable in for loop"),
    ("k:f { for ($a «@m») { } }", "expected ':'"),
    ("k:f { for ($a : b) «{» } }", "expected map or range in for loop"),
    ("k:f { for $a : @m[1] «{» } }", "expected map or range in for loop"),
    ("k:f { for ($a : 0..1«+»1) { } }", "expected ')'"),
    ("k:f { for ($a : 0..«)» { } }", "expected expression"),
    ("k:f { for ($a : @m «{» } }", "expected ')'"),
    ("k:f { import «1»; }", "expected string after 'import'"),
    ('k:f { import "a" «}»', "expected ';' after import"),
    ("k:f { f(1, «}»", "expected expression"),
    ("k:f { f(1 «2») }", "expected ')'"),
    ("k:f { @m[1«;» }", "expected ']'"),
    ("k:f { $a[1«;» }", "expected ']'"),
    ("k:f { $a.«;» }", "expected field name after '.'"),
    ("k:f { $a->«1»; }", "expected field name after '->'"),
    ("k:f { ++«1»; }", "increment/decrement requires a variable or map"),
    ("k:f { --«f(2)»; }", "increment/decrement requires a variable or map"),
    ("k:f { f()«++»; }", "increment/decrement requires a variable or map"),
    ("k:f { &«1»; }", "address-of operator (&) can only be used on a map or variable"),
    ("k:f { «$»; }", "expected identifier after '$'"),
    ("k:f { «$0»; }", "param $0 is out of integer range [1, 9223372036854775807]"),
    ("k:f { «$9223372036854775808»; }", "param $9223372036854775808 is out of integer range [1, 9223372036854775807]"),
    ("k:f { a ? b«;» }", "expected ':'"),
    ("k:f { (a = 1, b«)» }", "expected '='"),
    ("k:f { (a = 1,«)» }", "expected identifier"),
    ("k:f { (a = 1, «a = 2») }", "Named argument list already contains name: a"),
    ("k:f { (1«;» }", "expected ')'"),
    ("k:f { («,») }", "expected expression"),
    ("k:f { sizeof «1» }", "expected '('"),
    ("k:f { offsetof(struct a«)» }", "expected ','"),
    ("k:f { offsetof(struct a, «1») }", "expected identifier"),
    ("k:f { «'»a' }", "expected expression"),
    ("k:f { } «/*» ", "unterminated comment"),
    ("k:f { 1 «/*» }", "unterminated comment"),
    ("k:f { «\x00» }", "unexpected NUL character; this is not a program text"),
    ("k:f { «µ» }", "expected expression"),
    ("k:f { «\udcff» }", "expected expression"),
]


@pytest.mark.parametrize(("marked", "message"), ERRORS)
def test_error_and_its_place(marked: str, message: str) -> None:
    before, underlined, after = marked.replace("»", "«").split("«")
    place = (len(before), len(before) + len(underlined))
    assert failure(before + underlined + after) == (f"syntax: {message}", *place)


def test_the_error_names_its_source_and_shows_the_line() -> None:
    with pytest.raises(ParseError) as caught:
        program("k:f {\n  f() g();\n}")
    assert caught.value.report() == "stdin:2:7-8: ERROR: syntax: expected ';'\n  f() g();\n      ~"


def test_only_the_first_error_is_reported() -> None:
    assert failure("k:f { < } config = {}")[0] == "syntax: expected expression"


def test_a_megabyte_of_probes_parses_in_time() -> None:
    text = 'k:f /pid == 1/ { @x[tid] = nsecs; printf("%d\\n", args.a->b[1] + 2 * arg0); }\n' * 3_000
    assert len(program(text).probes) == 3_000


def test_program_lists_hold_nodes_of_their_kind() -> None:
    found = program("macro m() { } begin { }")
    assert all(isinstance(node, ast.Macro) for node in found.macros)
