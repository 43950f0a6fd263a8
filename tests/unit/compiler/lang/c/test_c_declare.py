"""Declarations: the types that C's declarators spell, and what cannot be declared."""

from __future__ import annotations

import pytest
from c_text import read, refused, underlined

from probee.model.ctype import ArrayType, EnumType, FunctionType, PointerType, StructType, strip


def type_of(text: str, name: str = "x") -> object:
    symbol = read(text).scope.find(name)
    assert symbol is not None and symbol.type is not None
    return symbol.type


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unsigned x;", "unsigned int"), ("long long int unsigned x;", "unsigned long long"), ("short int x;", "short"),
        ("signed char x;", "signed char"), ("long unsigned int x;", "unsigned long"), ("const char *x;", "const char *"),
        ("unsigned __int128 x;", "unsigned __int128"), ("__uint128_t x;", "unsigned __int128"), ("bool x;", "_Bool"),
        ("u8 x[4][3];", "u8 [4][3]"), ("char *x[2];", "char *[2]"), ("int (*x)(u64, void *);", "int (*)(u64, void *)"),
        ("struct file *x;", "struct file *"), ("typeof(int *) x;", "int *"), ("volatile u32 x;", "u32"),
        ("int (*x)[3];", "int (*)[3]"), ("struct { int a; } x;", "struct (anon)"), ("size_t x;", "size_t"),
    ],
)  # fmt: skip
def test_declarators_spell_types(text: str, expected: str) -> None:
    assert type_of(text).spelling() == expected  # type: ignore[attr-defined]


def test_length_of_an_array_is_any_constant() -> None:
    array = type_of("enum { N = 3 }; struct s { char c[2]; }; u8 x[N * sizeof(struct s) + (1 << 2)];")
    assert isinstance(array, ArrayType) and (array.count, array.size) == (10, 10)
    assert type_of('char needle[] = "abc"; char y; char x[sizeof("abc")];').count == 4  # type: ignore[attr-defined]


def test_struct_may_point_to_itself_and_to_later_ones() -> None:
    unit = read("struct a { struct a *next; struct b *other; }; struct b { int v; };")
    struct = unit.scope.tag("struct", "a")
    assert isinstance(struct, StructType)
    pointers = [member.type for member in struct.members]
    assert [unit.scope.pointee(pointer) for pointer in pointers] == [struct, unit.scope.tag("struct", "b")]


def test_several_variables_share_one_struct() -> None:
    unit = read("struct { int a; } x, y;")
    assert unit.scope.find("x").type is unit.scope.find("y").type  # type: ignore[union-attr]


def test_enumerators_count_on() -> None:
    unit = read("enum e { A, B = 5, C, D = -1 } x;")
    assert [unit.scope.constant(name)[0] for name in "ABCD"] == [0, 5, 6, -1]  # type: ignore[index]
    enum = strip(type_of("enum e { A, B = 5 } x;"))  # type: ignore[arg-type]
    assert isinstance(enum, EnumType) and enum.values == (("A", 0), ("B", 5))


def test_wide_enum_takes_eight_bytes() -> None:
    assert type_of("enum e { BIG = 1ULL << 40 } x;").size == 8  # type: ignore[attr-defined]


def test_enum_of_the_kernel_can_be_named() -> None:
    assert type_of("enum skb_drop_reason x;").size == 4  # type: ignore[attr-defined]


def test_parameters_decay() -> None:
    function = type_of("int x(char name[16], int f(void), struct file *file, ...);")
    assert isinstance(function, FunctionType) and function.variadic
    assert all(isinstance(parameter.type, PointerType) for parameter in function.parameters)


def test_functions_have_names_types_and_storage() -> None:
    unit = read("static inline u32 f(struct pt_regs *ctx, u8 a[4]) { return 0; }\nint g(void) { return 0; }")
    f, g = unit.functions["f"], unit.functions["g"]
    assert [(name, ctype.spelling()) for name, ctype, _ in f.parameters] == [("ctx", "struct pt_regs *"), ("a", "u8 *")]
    assert (f.static, f.inline, f.result.spelling()) == (True, True, "u32")
    assert (g.static, g.inline, g.parameters) == (False, False, ())


def test_packet_headers_are_known_by_tag() -> None:
    unit = read("#include <bcc/proto.h>\nstruct mine { int a; } BPF_PACKET_HEADER;\nstruct other { int a; };")
    assert {"ethernet_t", "ip_t", "udp_t", "mine"} <= unit.packet_headers
    assert "other" not in unit.packet_headers


def test_headers_of_packets_have_the_size_they_have_on_the_wire() -> None:
    unit = read("#include <bcc/proto.h>\n")
    sizes = {"ethernet_t": 14, "ip_t": 20, "udp_t": 8, "tcp_t": 20, "ip6_t": 40, "arp_t": 28, "vxlan_t": 8, "dot1q_t": 4}
    found = {tag: unit.scope.tag("struct", tag).size for tag in sizes}  # type: ignore[union-attr]
    assert found == sizes


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("struct s { int a; int a; };", "has two members named 'a'", "a"),
        ("struct s { struct s inner; };", "incomplete type struct s", "inner"),
        ("struct s { void v; };", "incomplete type void", "v"),
        ("struct s { int a; }; struct s { int b; };", "struct s is defined twice", "s"),
        ("struct s { u8 a : 9; };", "no width for a bit field", "9"),
        ("struct s { u32 a : n; };", "no width for a bit field", "n"),
        ("u64 counts[n];", "length of an array must be a constant", "n"),
        ("u64 counts[-1];", "cannot have -1 elements", "1"),
        ("struct none x[3];", "has no size", "x"),
        ("enum e { A, B = x };", "value of B must be a constant", "B"),
        ("enum { A }; enum { A };", "'A' is declared twice", "A"),
        ("enum nowhere x;", "there is no enum nowhere", "enum"),
        ("int f(void) { return 0; } int f(void) { return 1; }", "function 'f' is defined twice", "f"),
        ("int f; int f(void) { return 0; }", "as a variable and as a function", "f"),
        ('_Static_assert(sizeof(int) == 8, "no");', "this assertion fails", "sizeof"),
        ("struct s { struct nothing : 3; };", "a member without a name has the incomplete type struct nothing", "nothing"),
        ("static int f(void p) { return 0; }", "parameter 'p' is void: did you mean a pointer", "p"),
        ("int x; u64 x;", "'x' is declared twice, as 'int' and as 'u64'", "x"),
    ],
)
def test_what_cannot_be_declared_is_refused(text: str, message: str, place: str) -> None:
    error = refused(text)
    assert message in str(error)
    assert underlined(error).startswith(place) or error.span == 0


def test_program_may_assert() -> None:
    read('struct s { u64 a; u8 b; };\n_Static_assert(sizeof(struct s) == 16, "size");')
