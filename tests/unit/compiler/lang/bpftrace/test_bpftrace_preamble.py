"""The C preamble: conditionals, macros, includes, and declarations of all forms."""

from __future__ import annotations

import pytest
from bpftrace_tree import program, tree

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace.cdefinition import CDefinitions, CStruct
from probee.compiler.lang.bpftrace.cpreprocessor import read_preamble
from probee.errors import ParseError, span_range


def read(text: str, **predefined: str) -> CDefinitions:
    return read_preamble(program(text).preamble, predefined)


def members(declarations: str) -> list[str]:
    """The members of a struct with these declarations, one string each."""
    struct = read(f"struct s {{ {declarations} }};").types[-1]
    assert isinstance(struct, CStruct)
    return [tree(member).removeprefix("(CMember ").removesuffix(")") for member in struct.members]


# --- conditionals -----------------------------------------------------------------------------------------------------

CONDITIONALS = {
    "#ifdef A\n#define X 1\n#endif": [],
    "#define A\n#ifdef A\n#define X 1\n#endif": ["A", "X"],
    "#ifndef A\n#define X 1\n#else\n#define Y 1\n#endif": ["X"],
    "#if 0\n#define X 1\n#elif 1\n#define Y 1\n#elif 1\n#define Z 1\n#else\n#define W 1\n#endif": ["Y"],
    "#if 1\n#if 0\n#define X 1\n#else\n#define Y 1\n#endif\n#endif": ["Y"],
    "#if 0\n#if 1\n#define X 1\n#else\n#define Y 1\n#endif\n#endif": [],
    "#if 0\n#ifdef\n#elif nonsense +\n#error no\n#bogus\n#endif\n#endif": [],
    "#if defined(A) || !defined B && 2 > 1\n#define X 1\n#endif": ["X"],
    "#define A 4\n#if A * 2 == 8 && A\n#define X 1\n#endif": ["A", "X"],
    "#if UNKNOWN\n#define X 1\n#endif": [],
    "#if (1 ? 0 : 1) || (0 ?: 0) || -1 / 2 || -7 % 2 != -1\n#define X 1\n#endif": [],
    "#define A 1\n#undef A": [],
    "#define A 1\n#define A(x) x": [],
    "# define A 1": ["A"],
    "#pragma once\n#warning careful\n#\n#define A 1": ["A"],
}


@pytest.mark.parametrize(("text", "names"), CONDITIONALS.items())
def test_which_macros_remain(text: str, names: list[str]) -> None:
    assert list(read(text).macros) == names


def test_predefined_macros_count_as_defined() -> None:
    text = "#ifndef BPFTRACE_HAVE_BTF\n#include <linux/a.h>\nstruct a { int x; };\n#else\n#define B 1\n#endif"
    with_btf = read(text, BPFTRACE_HAVE_BTF="1")
    assert (with_btf.types, with_btf.includes, "B" in with_btf.macros) == ([], [], True)
    without = read(text)
    assert (next(tree(t) for t in without.types)[:17], "B" in without.macros) == ("(CStruct struct a", False)


def test_includes_are_recorded() -> None:
    found = read('#include <linux/a.h> // why\n#include "b.h"').includes
    assert [(include.path, include.system) for include in found] == [("linux/a.h", True), ("b.h", False)]


MACROS = {
    "#define A": "",
    "#define A 1 /* one */": "1",
    "#define A 1 // one": "1",
    "#define A 1 /* goes on": "1",
    "#define A  (1  +\t2) ": "(1 + 2)",
    '#define A "x // y"': '"x // y"',
    "#define A(x) x\n#define A 2": "2",
}


@pytest.mark.parametrize(("text", "value"), MACROS.items())
def test_macro_texts_have_no_comments(text: str, value: str) -> None:
    assert read(text).macros["A"].text == value


# --- members ----------------------------------------------------------------------------------------------------------

MEMBERS = {
    "int x;": ["x int -"],
    "int x": ["x int -"],
    "int x, *y, z[4], *w[2][3];": [
        "x int -",
        "y (PointerType int) -",
        "z (ArrayType int 4) -",
        "w (ArrayType (ArrayType (PointerType int) 3) 2) -",
    ],
    "const volatile char *const restrict x;": ["x (PointerType char) -"],
    "unsigned x; unsigned long int long y; long unsigned z; short int w; signed char v; long double u;": [
        "x unsigned int -",
        "y unsigned long long -",
        "z unsigned long -",
        "w short -",
        "v signed char -",
        "u long double -",
    ],
    "char a; unsigned char b; signed c; float d; double e; _Bool f; void *g; unsigned short int h;": [
        "a char -",
        "b unsigned char -",
        "c int -",
        "d float -",
        "e double -",
        "f _Bool -",
        "g (PointerType void) -",
        "h unsigned short -",
    ],
    "u64 x; struct a *b; union c d; enum e f;": [
        "x u64 -",
        "b (PointerType struct a) -",
        "d union c -",
        "f enum e -",
    ],
    "int x[]; int y[0]; int z[1 << 3];": ["x (ArrayType int -) -", "y (ArrayType int 0) -", "z (ArrayType int 8) -"],
    "int a:4, b : 2 + 1, :5; short c:1; int :0;": ["a int 4", "b int 3", " int 5", "c short 1", " int 0"],
    "int (*f)(int, struct x *); void *(*g[2])(void);": [
        "f (PointerType (CFunction)) -",
        "g (ArrayType (PointerType (CFunction)) 2) -",
    ],
    "int (*x)[3]; int *(y); int (z);": ["x (PointerType (ArrayType int 3)) -", "y (PointerType int) -", "z int -"],
    "struct { int a; union { int b; char c; }; } d;": [
        "d (CStruct struct  [(CMember a int -) (CMember  (CStruct union  [(CMember b int -) (CMember c char -)] False 0) -)] "
        "False 0) -"
    ],
    "struct n { int a; } m, *p;": ["m struct n -", "p (PointerType struct n) -"],
    "struct n { int a; };": [],
    "enum n { A } m;": ["m enum n -"],
    "int a __attribute__((aligned(8))); ; int b;": ["a int -", "b int -"],
}


@pytest.mark.parametrize(("text", "shapes"), MEMBERS.items())
def test_members(text: str, shapes: list[str]) -> None:
    assert members(text) == shapes


def test_a_named_inner_definition_is_defined_before_the_outer_one() -> None:
    names = [tree(t).split(" [")[0] for t in read("struct a { struct b { union c { int x; } y; } z; };").types]
    assert names == ["(CStruct union c", "(CStruct struct b", "(CStruct struct a"]


ATTRIBUTES = {
    "struct a { int x; };": (False, 0),
    "struct a { int x; } __attribute__((packed));": (True, 0),
    "struct __attribute__((__packed__)) a { int x; };": (True, 0),
    "struct a { int x; } __attribute__((aligned(4 * 4))) __attribute__ ((packed));": (True, 16),
    "struct a { int x; } __attribute__((unused, preserve_access_index, packed));": (True, 0),
}


@pytest.mark.parametrize(("text", "found"), ATTRIBUTES.items())
def test_attributes(text: str, found: tuple[bool, int]) -> None:
    struct = read(text).types[0]
    assert isinstance(struct, CStruct)
    assert (struct.packed, struct.aligned) == found


# --- enums, typedefs, macros in declarations -----------------------------------------------------------------------------

ENUMS = {
    "enum { A, B, C };": {"A": 0, "B": 1, "C": 2},
    "enum e { A = 5, B, C = -1, D, };": {"A": 5, "B": 6, "C": -1, "D": 0},
    "enum { A = 1 << 4, B = A | 3, C = ~A & 0xff, D = A > B ? 1 : 2 };": {"A": 16, "B": 19, "C": 239, "D": 2},
    "enum { A = -7 / 2, B = -7 % 2, C = 7 / -2, D = (int)3 };": {"A": -3, "B": -1, "C": -3, "D": 3},
    "#define N 3\nenum { A = N * N, B = !A || 0, C = A && 0 };": {"A": 9, "B": 0, "C": 0},
    "struct s { enum { A = 1 } x; };": {"A": 1},
}


@pytest.mark.parametrize(("text", "constants"), ENUMS.items())
def test_enum_values(text: str, constants: dict[str, int]) -> None:
    assert read(text).constants == constants


TYPEDEFS = {
    "typedef unsigned int u;": ["(CTypedef u unsigned int)"],
    "typedef struct { int x; } s, *p;": [
        "(CTypedef s (CStruct struct  [(CMember x int -)] False 0))",
        "(CTypedef p (PointerType (CStruct struct  [(CMember x int -)] False 0)))",
    ],
    "typedef int (*f)(void);": ["(CTypedef f (PointerType (CFunction)))"],
    "typedef struct a a_t;": ["(CTypedef a_t struct a)"],
    "typedef char name[16];": ["(CTypedef name (ArrayType char 16))"],
}


@pytest.mark.parametrize(("text", "shapes"), TYPEDEFS.items())
def test_typedefs(text: str, shapes: list[str]) -> None:
    assert [tree(node) for node in read(text).types] == shapes


def test_macros_are_replaced_in_declarations() -> None:
    text = "#define __user\n#define W unsigned long\n#define T W\n#define N 4\nstruct s { T __user *x; u8 y[N]; };"
    assert tree(read(text).types[0]) == (
        "(CStruct struct s [(CMember x (PointerType unsigned long) -) (CMember y (ArrayType u8 4) -)] False 0)"
    )


def test_spans_point_into_the_program() -> None:
    text = "// first\nstruct a { int x; } begin {}"
    struct = read(text).types[0]
    assert isinstance(struct, CStruct)
    start, end = span_range(struct.members[0].span)
    assert text[start:end] == "x"


# --- errors: «» surround what is underlined -----------------------------------------------------------------------------

ERRORS = [
    ("«#if 1»\n", "unterminated conditional directive"),
    ("«#endif»\n", "#endif without #if"),
    ("#if 1\n#else\n«#else»\n#endif", "#else without #if"),
    ("#if 1\n#else\n«#elif 1»\n#endif", "#elif without #if"),
    ("«#error not here»\n", "#error not here"),
    ("«#bogus 1»\n", "invalid preprocessing directive #bogus"),
    ("«#define 1»\n", "macro name must be an identifier"),
    ("«#undef»\n", "macro name must be an identifier"),
    ("«#include linux/a.h»\n", 'expected "FILENAME" or <FILENAME> after #include'),
    ("«#include <linux/a.h»\n", 'expected "FILENAME" or <FILENAME> after #include'),
    ("«#if 1 +»\n#endif", "invalid condition in #if: syntax: expected expression"),
    ("«#if F(1)»\n#endif", "invalid condition in #if: not a constant integer expression"),
    ("«#if 1 / 0»\n#endif", "invalid condition in #if: division by zero in a constant expression"),
    ("struct s { int a[«n»]; };", "'n' is not a constant known here"),
    ("struct s { int a[«sizeof(int)»]; };", "not a constant integer expression"),
    ("struct s { int a«[-1]»; };", "array size is negative"),
    ("struct s { int a «b»; };", "expected ';'"),
    ("struct s { «+» };", "expected type name"),
    ("struct s { int *«;» };", "expected identifier"),
    ("struct s { struct «*»a; };", "expected identifier"),
    ("enum e { A = «1 << 64» };", "shift by more than 63 bits in a constant expression"),
    ("enum e { «1» };", "expected identifier"),
    ("enum e { A «B» };", "expected ','"),
    ("typedef int«;»", "expected identifier"),
]


@pytest.mark.parametrize(("marked", "message"), ERRORS)
def test_preamble_errors(marked: str, message: str) -> None:
    before, underlined, after = marked.replace("»", "«").split("«")
    with pytest.raises(ParseError) as caught:
        read(before + underlined + after)
    assert caught.value.message == f"syntax: {message}"
    assert span_range(caught.value.span) == (len(before), len(before) + len(underlined))


def test_deep_declarators_are_an_error_and_not_a_crash() -> None:
    text = "struct s { int " + "(" * 5_000 + "x" + ")" * 5_000 + "; };"
    with pytest.raises(ParseError, match="nested"):
        read(text)


def test_a_struct_may_be_declared_without_a_body() -> None:
    found = program("struct foo; union bar ; struct x { struct foo *p; }; begin { }")
    assert [piece.text for piece in found.preamble] == ["struct foo;", "union bar ;", "struct x { struct foo *p; };"]
    assert len(found.probes) == 1


def test_the_span_of_a_pointer_or_array_type_begins_where_its_target_does() -> None:
    text = "begin { $x = (struct a * [2])0; }"
    (cast,) = [node for node in ast.walk(program(text).probes[0]) if isinstance(node, ast.Cast)]
    start, end = span_range(cast.target.span)
    assert text[start:end] == "struct a * [2]"
