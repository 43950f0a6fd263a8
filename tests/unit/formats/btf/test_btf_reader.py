"""Reading BTF: names to ids, ids to types, split blobs, every kind."""

from __future__ import annotations

import mmap
import tempfile

import pytest

from btf_from_c import Declarations
from probee.errors import BtfError
from probee.formats.btf import kind
from probee.formats.btf.build import BtfBuilder
from probee.formats.btf.reader import Btf
from probee.model.ctype import (
    VOID,
    ArrayType,
    EnumType,
    FloatType,
    ForwardType,
    FunctionType,
    IntType,
    PointerType,
    StructType,
    TypedefType,
    strip,
)


def read(text: str) -> Btf:
    declarations = Declarations()
    declarations.parse(text)
    return Btf(declarations.blob())


def struct(btf: Btf, name: str) -> StructType:
    found = btf.named("struct", name)
    assert isinstance(found, StructType)
    return found


def function(btf: Btf, name: str) -> FunctionType:
    found = btf.function(name)
    assert found is not None
    return found


def test_struct_members_have_names_types_and_offsets() -> None:
    found = struct(read("struct s { char c; int i; struct s *next; long a[3]; };"), "s")
    assert [(m.name, m.offset, m.type.spelling()) for m in found.members] == [
        ("c", 0, "char"), ("i", 4, "int"), ("next", 8, "struct s *"), ("a", 16, "long int [3]"),
    ]  # fmt: skip
    assert found.size == 40


def test_a_cycle_leads_back_to_the_same_object() -> None:
    found = struct(read("struct s { struct s *next; };"), "s")
    pointer = found.members[0].type
    assert isinstance(pointer, PointerType)
    assert pointer.target is found


def test_member_of_anonymous_union_is_found_with_its_path() -> None:
    found = struct(read("struct s { int a; union { struct { int b; int c; }; long d; }; };"), "s")
    path = found.find("c")
    assert [m.name for m in path] == ["", "", "c"]
    assert sum(m.offset for m in path) == 12


def test_bit_fields_have_bit_offsets_and_sizes() -> None:
    found = struct(read("struct s { unsigned int a : 3; unsigned int b : 30; unsigned int c; };"), "s")
    assert [(m.bit_offset, m.bit_size) for m in found.members] == [(0, 3), (32, 30), (64, 0)]


def test_bit_field_that_only_its_integer_describes() -> None:
    b = BtfBuilder()
    narrow = b.record(kind.INT, "unsigned int", 4, tail=(5 << 16 | 3,))  # bit offset 5, 3 bits
    b.struct("s", 8, [("a", narrow, 32, 0)])
    assert [(m.bit_offset, m.bit_size) for m in struct(Btf(b.blob()), "s").members] == [(37, 3)]


def test_qualifiers_are_dropped_and_a_pointees_tag_stays() -> None:
    found = struct(read("struct s { const volatile char *a; const char __user *b; int __percpu *c; };"), "s")
    a, b, c = [m.type for m in found.members]
    assert isinstance(a, PointerType) and isinstance(b, PointerType) and isinstance(c, PointerType)
    assert isinstance(a.target, IntType) and a.tag == ""
    assert isinstance(b.target, IntType) and b.tag == "user"
    assert c.tag == "percpu"


def test_type_tag_with_kind_flag_is_an_attribute_and_no_tag() -> None:
    b = BtfBuilder()
    tagged = b.record(kind.TYPE_TAG, "btf_attribute", b.integer("int", 4), flag=True)
    b.struct("s", 8, [("p", b.pointer(tagged), 0, 0)])
    pointer = struct(Btf(b.blob()), "s").members[0].type
    assert isinstance(pointer, PointerType)
    assert pointer.tag == ""
    assert isinstance(pointer.target, IntType)


def test_integers_tell_sign_and_encoding() -> None:
    btf = read("struct s { char a; unsigned char b; _Bool c; int d; };")
    types = [m.type for m in struct(btf, "s").members]
    assert all(isinstance(t, IntType) for t in types)
    assert [(t.signed, t.encoding) for t in types if isinstance(t, IntType)] == [
        (True, "char"), (False, ""), (False, "bool"), (True, ""),
    ]  # fmt: skip


def test_typedef_of_array_has_the_arrays_size() -> None:
    found = read("typedef int row[4]; struct s { row rows[2]; };").named("struct", "s")
    assert isinstance(found, StructType)
    member = found.members[0].type
    assert isinstance(member, ArrayType)
    assert (member.size, member.count) == (32, 2)
    inner = strip(member.element)
    assert isinstance(inner, ArrayType) and inner.size == 16


def test_function_has_its_parameters_result_and_variadic_dots() -> None:
    btf = read("struct f { int x; }; int open_it(struct f *file, const char *name, ...); void none(void);")
    assert function(btf, "open_it").spelling("open_it") == "int open_it(struct f *file, const char *name, ...)"
    assert function(btf, "none").parameters == ()
    assert function(btf, "none").result is VOID
    assert btf.function("missing") is None


def test_function_pointer_member_is_spelled_as_c() -> None:
    found = struct(read("struct s { int (*call)(struct s *, long); };"), "s")
    assert found.members[0].type.spelling("call") == "int (*call)(struct s *, long int)"


def test_raw_tracepoint_takes_its_parameter_names_from_the_iterator() -> None:
    btf = read("TRACEPOINT(my_event, int level, long value);")
    found = btf.raw_tracepoint("my_event")
    assert found is not None
    assert [(p.name, p.type.spelling()) for p in found.parameters] == [
        ("__data", "void *"), ("level", "int"), ("value", "long int"),
    ]  # fmt: skip
    assert found.result is VOID
    assert list(btf.raw_tracepoints()) == ["my_event"]
    assert btf.raw_tracepoint("other") is None


def test_enumerator_is_found_in_whichever_enum_has_it() -> None:
    btf = read("enum a { A0, A1 }; enum { B0 = 7, B1 = -3 };")
    assert btf.enumerator("A1") is not None
    found = btf.enumerator("B1")
    assert found is not None
    value, enum = found
    assert (value, enum.name, enum.signed) == (-3, "", True)
    assert btf.enumerator("a") is None  # an enum's own name is no enumerator


def test_high_enum_value_is_unsigned_when_this_btf_knows_signed_enums() -> None:
    b = BtfBuilder()
    b.record(kind.ENUM, "plain", 4, vlen=1, tail=(b.string("HIGH"), 0x80000000))
    b.record(kind.ENUM, "flagged", 4, vlen=1, flag=True, tail=(b.string("LOW"), 0xFFFFFFFF))
    btf = Btf(b.blob())
    high, low = btf.enumerator("HIGH"), btf.enumerator("LOW")
    assert high is not None and low is not None
    assert (high[0], low[0]) == (0x80000000, -1)


def test_high_enum_value_is_negative_in_btf_from_before_signed_enums() -> None:
    b = BtfBuilder()
    b.record(kind.ENUM, "plain", 4, vlen=1, tail=(b.string("LOW"), 0xFFFFFFFF))
    low = Btf(b.blob()).enumerator("LOW")
    assert low is not None
    assert (low[0], low[1].signed) == (-1, True)


@pytest.mark.parametrize(("flag", "value"), [(False, (1 << 64) - 2), (True, -2)])
def test_enum64_joins_its_halves(flag: bool, value: int) -> None:
    b = BtfBuilder()
    b.record(kind.ENUM64, "big", 8, vlen=1, flag=flag, tail=(b.string("BIG"), 0xFFFFFFFE, 0xFFFFFFFF))
    btf = Btf(b.blob())
    found = btf.enumerator("BIG")
    assert found is not None
    assert found[0] == value
    assert isinstance(btf.named("enum", "big"), EnumType)


def test_forward_declarations_tell_struct_from_union() -> None:
    b = BtfBuilder()
    b.record(kind.FWD, "s", 0)
    b.record(kind.FWD, "u", 0, flag=True)
    btf = Btf(b.blob())
    kinds = [t.kind for t in (btf.type(1), btf.type(2)) if isinstance(t, ForwardType)]
    assert kinds == ["struct", "union"]


def test_float_is_known_by_name_and_size() -> None:
    b = BtfBuilder()
    b.record(kind.FLOAT, "double", 8)
    found = Btf(b.blob()).named("float", "double")
    assert isinstance(found, FloatType)
    assert found.size == 8


def test_variables_of_the_percpu_section() -> None:
    b = BtfBuilder()
    number = b.integer("int", 4, signed=True)
    inside = b.record(kind.VAR, "inside", number, tail=(1,))
    b.record(kind.VAR, "outside", number, tail=(1,))
    b.record(kind.DATASEC, ".data..percpu", 64, vlen=1, tail=(inside, 0, 4))
    btf = Btf(b.blob())
    assert set(btf.variables()) == {"inside", "outside"}
    assert btf.is_percpu("inside") and not btf.is_percpu("outside")
    assert btf.variable("outside") is btf.type(number)


def test_tagged_yields_what_the_declaration_tags_are_on() -> None:
    b = BtfBuilder()
    proto = b.func_proto(0, [])
    one = b.func("bpf_one", proto)
    b.func("two", proto)
    b.record(kind.DECL_TAG, "bpf_kfunc", one, tail=(0xFFFFFFFF,))
    btf = Btf(b.blob())
    assert list(btf.tagged("bpf_kfunc")) == ["bpf_one"]
    assert list(btf.tagged("other")) == []


def test_find_tells_kinds_of_the_same_name_apart() -> None:
    btf = read("struct x { int a; }; typedef struct x x; int x(int a);")
    ids = [btf.id_of(k, "x") for k in ("struct", "typedef", "func")]
    assert None not in ids and len(set(ids)) == 3
    assert isinstance(btf.named("typedef", "x"), TypedefType)
    assert btf.find("union", "x") == []
    assert btf.find("struct", "") == []


def test_find_returns_every_type_of_the_name() -> None:
    b = BtfBuilder()
    first = b.struct("twin", 4, [])
    second = b.struct("twin", 8, [])
    assert Btf(b.blob()).find("struct", "twin") == [first, second]


def test_names_that_share_a_tail_in_the_string_section_are_found() -> None:
    b = BtfBuilder()
    b.struct("outer_name", 1, [])
    blob = bytearray(b.blob())
    offset = b.string("outer_name") + len("outer_")
    blob[24:28] = offset.to_bytes(4, "little")
    btf = Btf(bytes(blob))
    assert btf.find("struct", "name") == [1]
    assert btf.find("struct", "outer_name") == []


def test_functions_lists_every_function_once() -> None:
    btf = read("int a(int x); int b(int x); struct c { int a; };")
    assert list(btf.functions()) == ["a", "b"]
    assert list(btf.names("struct")) == ["c"]


def test_module_types_continue_the_ids_of_vmlinux() -> None:
    base = Declarations()
    base.parse("struct shared { int a; };")
    module = Declarations(base)
    module.parse("struct own { struct shared *s; }; int shared(struct shared *s); enum { OWN = 3 };")
    vmlinux = Btf(base.blob())
    btf = Btf(module.blob(), vmlinux)
    own = struct(btf, "own")
    pointer = own.members[0].type
    assert isinstance(pointer, PointerType)
    assert pointer.target is struct(vmlinux, "shared")
    assert btf.find("struct", "shared") == vmlinux.find("struct", "shared")
    assert btf.find("struct", "shared", own=True) == []
    assert function(btf, "shared").parameters[0].name == "s"
    assert vmlinux.function("shared") is None
    assert btf.enumerator("OWN") is not None
    assert btf.id_of("struct", "own") == vmlinux.end_id + [btf.name(i) for i in range(btf.first_id, btf.end_id)].index("own")


def test_module_without_strings_of_its_own_is_read() -> None:
    base = BtfBuilder()
    shared = base.struct("shared", 4, [])
    module = BtfBuilder(base)
    module.pointer(shared)
    btf = Btf(module.blob(), Btf(base.blob()))
    assert btf.type(btf.first_id).spelling() == "struct shared *"


@pytest.mark.parametrize("view", [bytes, bytearray, memoryview])
def test_any_buffer_will_do(view: type) -> None:
    b = BtfBuilder()
    b.struct("s", 4, [("a", b.integer("int", 4), 0, 0)])
    assert struct(Btf(view(b.blob())), "s").size == 4


def test_a_mapped_file_will_do() -> None:
    b = BtfBuilder()
    b.struct("s", 4, [])
    with tempfile.TemporaryFile() as file:
        file.write(b.blob())
        file.flush()
        btf = Btf(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        assert struct(btf, "s").size == 4


def test_void_is_type_zero() -> None:
    assert Btf(BtfBuilder().blob()).type(0) is VOID


def test_unknown_kind_is_stepped_over_when_the_blob_describes_its_layout() -> None:
    b = BtfBuilder()
    b.record(20, "", 0, vlen=2, tail=(9, 9, 9))  # one word, and one more for each of two elements
    b.struct("after", 4, [])
    old = b.blob()
    layout = bytes(4 * 20) + bytes((4, 4, 0, 0))
    sizes = (len(old) - 24).to_bytes(4, "little"), len(layout).to_bytes(4, "little")
    blob = old[:4] + (32).to_bytes(4, "little") + old[8:24] + sizes[0] + sizes[1] + old[24:] + layout
    assert Btf(blob).find("struct", "after") == [2]
    with pytest.raises(BtfError, match="type at offset 24 has unknown kind 20"):
        Btf(old).find("struct", "after")


class TestBrokenBytes:
    def test_short(self) -> None:
        with pytest.raises(BtfError, match="ends inside its header"):
            Btf(b"\x9f\xeb\x01")

    def test_other_byte_order(self) -> None:
        with pytest.raises(BtfError, match="other byte order"):
            Btf(b"\xeb\x9f\x01\x00" + bytes(40))

    def test_not_btf(self) -> None:
        with pytest.raises(BtfError, match="not BTF: magic 0x0000 at offset 0"):
            Btf(bytes(40))

    def test_section_outside(self) -> None:
        b = BtfBuilder()
        b.integer("int", 4)
        with pytest.raises(BtfError, match=r"string section .* ends after"):
            Btf(b.blob()[:-1])

    def test_type_that_runs_past_its_section(self) -> None:
        b = BtfBuilder()
        b.record(kind.STRUCT, "s", 4, vlen=2, tail=(0, 0, 0))
        with pytest.raises(BtfError, match="offset 24 runs past"):
            Btf(b.blob()).find("struct", "s")

    def test_id_outside(self) -> None:
        b = BtfBuilder()
        b.pointer(99)
        pointer = Btf(b.blob())
        with pytest.raises(BtfError, match="no type 99"):
            pointer.type(1)

    def test_typedef_of_itself(self) -> None:
        b = BtfBuilder()
        b.record(kind.TYPEDEF, "a", 2)
        b.record(kind.TYPEDEF, "b", 1)
        with pytest.raises(BtfError, match="defined by itself"):
            Btf(b.blob()).type(1)

    def test_array_of_itself(self) -> None:
        b = BtfBuilder()
        b.record(kind.ARRAY, "", 0, tail=(1, 1, 4))
        with pytest.raises(BtfError, match="defined by itself"):
            Btf(b.blob()).type(1)

    def test_struct_that_contains_itself(self) -> None:
        b = BtfBuilder()
        b.record(kind.STRUCT, "s", 4, vlen=1, tail=(0, 1, 0))
        found = Btf(b.blob()).type(1)
        assert isinstance(found, StructType)
        with pytest.raises(BtfError, match="contains itself"):
            found.find("x")

    def test_section_is_no_c_type(self) -> None:
        b = BtfBuilder()
        b.record(kind.DATASEC, ".data", 0)
        with pytest.raises(BtfError, match="no C type"):
            Btf(b.blob()).type(1)

    def test_string_outside(self) -> None:
        b = BtfBuilder()
        b.struct("s", 4, [])
        blob = bytearray(b.blob())
        blob[24:28] = (5000).to_bytes(4, "little")
        with pytest.raises(BtfError, match="string offset 5000"):
            Btf(bytes(blob)).type(1)
