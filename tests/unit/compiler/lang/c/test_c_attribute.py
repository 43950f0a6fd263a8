"""Attributes and asm: what they are about, and what is refused."""

from __future__ import annotations

import pytest
from c_text import body, read, refused, underlined

from probee.compiler.lang.c.declare import attributes_of
from probee.errors import ParseError, Unsupported


@pytest.mark.parametrize(
    "text",
    [
        "struct s { char a; int b; } __attribute__((packed));",
        "struct __attribute__((__packed__)) s { char a; int b; };",
        "struct s { char a; int b; } __packed;",
    ],
)
def test_struct_is_packed_wherever_the_attribute_stands(text: str) -> None:
    struct = read(text).scope.tag("struct", "s")
    assert struct is not None and struct.size == 5


def test_member_and_struct_can_be_aligned() -> None:
    unit = read("struct s { char a; char b __attribute__((aligned(8))); char c[3] __attribute__((aligned(4))); };")
    struct = unit.scope.tag("struct", "s")
    assert struct is not None
    assert [member.offset for member in struct.members] == [0, 8, 12]  # type: ignore[attr-defined]
    assert struct.size == 16


@pytest.mark.parametrize(
    "head",
    [
        "static __attribute__((noinline)) int f(int a)",
        "__attribute__((noinline)) static int f(int a)",
        "static int __attribute__((noinline)) f(int a)",
        "static noinline int f(int a)",
    ],
)
def test_function_has_its_attributes(head: str) -> None:
    unit = read(f"{head} {{ return a; }}")
    assert unit.functions["f"].attributes == {"noinline"}


def test_always_inline_makes_a_function_inline() -> None:
    function = read("static __always_inline int f(int a) { return a; }").functions["f"]
    assert function.inline and function.static


def test_attribute_behind_a_prototype_belongs_to_it() -> None:
    unit = read('int f(int a) __attribute__((section("x"))), g(int b);')
    assert unit.scope.find("f") is not None and unit.scope.find("g") is not None


def test_attribute_of_one_variable_is_not_the_next_ones() -> None:
    unit = read("u64 a __attribute__((aligned(16))); u64 b;")
    assert attributes_of(unit.globals["a"]) == {"aligned": "16"}
    assert attributes_of(unit.globals["b"]) == {}


def test_empty_asm_is_nothing() -> None:
    statements = body(read('int f(void *ctx) { int a = 1; asm volatile("" : "=r"(a) : "0"(a)); return a; }'), "f")
    assert [type(statement).__name__ for statement in statements] == ["Decl", "EmptyStatement", "Return"]


def test_other_asm_is_refused() -> None:
    error = refused('int f(void *ctx) { asm("r0 = 1"); return 0; }')
    assert isinstance(error, Unsupported)
    assert underlined(error) == 'asm("r0 = 1")'


def test_attribute_needs_its_parentheses() -> None:
    error = refused("struct s { int a; } __attribute__(packed);")
    assert isinstance(error, ParseError) and underlined(error) == "__attribute__"


def test_alignment_must_be_a_power_of_two() -> None:
    assert "power of two" in str(refused("struct s { int a __attribute__((aligned(3))); };"))
