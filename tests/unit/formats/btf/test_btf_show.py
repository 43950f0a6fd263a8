"""Definitions as C text."""

from __future__ import annotations

import pytest

from btf_from_c import Declarations
from probee.errors import BtfError
from probee.formats.btf import kind
from probee.formats.btf.build import BtfBuilder
from probee.formats.btf.reader import Btf
from probee.formats.btf.show import show_blob, show_function, show_type
from probee.model.ctype import CType


def named(text: str, kind_name: str, name: str) -> CType:
    declarations = Declarations()
    declarations.parse(text)
    found = Btf(declarations.blob()).named(kind_name, name)
    assert found is not None
    return found


def squeezed(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.split("\n")]


def test_struct_shows_offsets_from_the_outermost() -> None:
    text = "struct s { int a; union { struct { char b; long c; }; long d; }; int (*call)(int); char name[8]; };"
    assert squeezed(show_type(named(text, "struct", "s"))) == [
        "struct s { /* size 40 */",
        "int a; /* 0, 4 */",
        "union {",
        "struct {",
        "char b; /* 8, 1 */",
        "long int c; /* 16, 8 */",
        "};",
        "long int d; /* 8, 8 */",
        "};",
        "int (*call)(int); /* 24, 8 */",
        "char name[8]; /* 32, 8 */",
        "};",
    ]


def test_bit_fields_show_byte_bit_and_width() -> None:
    text = "struct s { unsigned int a : 3; unsigned int b : 7; };"
    assert squeezed(show_type(named(text, "struct", "s")))[2] == "unsigned int b : 7; /* 0:3, 7 */"


def test_named_members_of_anonymous_structs_keep_their_declarator() -> None:
    text = "struct s { struct { int a; } pair[2]; union { int b; } *p; };"
    assert squeezed(show_type(named(text, "struct", "s"))) == [
        "struct s { /* size 16 */", "struct {", "int a; /* 0, 4 */", "} pair[2];",
        "union {", "int b; /* 8, 4 */", "} *p;", "};",
    ]  # fmt: skip


def test_enum_shows_its_values() -> None:
    assert squeezed(show_type(named("enum e { A, B = 5 };", "enum", "e"))) == ["enum e {", "A = 0,", "B = 5,", "};"]


def test_typedef_and_integer() -> None:
    assert show_type(named("typedef unsigned long x;", "typedef", "x")) == "typedef long unsigned int x;"
    assert show_type(named("typedef int x;", "int", "int")) == "int;  /* size 4, signed */"


def test_function_is_a_declaration() -> None:
    declarations = Declarations()
    declarations.parse("struct f { int a; }; long vfs(struct f *file, ...);")
    function = Btf(declarations.blob()).function("vfs")
    assert function is not None
    assert show_function("vfs", function) == "long int vfs(struct f *file, ...);"


def test_blob_shows_every_type() -> None:
    declarations = Declarations()
    declarations.parse("struct f { int a; }; int go(struct f *file); PER_CPU(struct f, each);")
    declarations.builder.record(kind.DECL_TAG, "bpf_kfunc", 1, tail=(0,))
    lines = list(show_blob(Btf(declarations.blob())))
    assert [line.split("\n")[0].split("]")[0] for line in lines] == [f"[{n}" for n in range(1, len(lines) + 1)]
    texts = " ".join(squeezed("\n".join(lines)))
    for wanted in ("int go(struct f *file);", "struct f each;", "section .data..percpu;", "tag bpf_kfunc;"):
        assert wanted in texts


def test_endless_type_is_our_error() -> None:
    b = BtfBuilder()
    proto = b.record(kind.FUNC_PROTO, "", 0, vlen=1, tail=(0, 2))
    pointer = b.pointer(proto)
    with pytest.raises(BtfError, match="without end"):
        show_type(Btf(b.blob()).type(pointer))
