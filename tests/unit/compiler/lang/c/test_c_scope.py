"""Names and tags: what the program declares wins over what the kernel has."""

from __future__ import annotations

from c_text import read, target

from probee.compiler.lang.c.scope import Kernel, Scope, Symbol
from probee.model.ctype import IntType, PointerType, StructType, strip


def scope_of(text: str) -> Scope:
    return read(text).scope


def member_type(scope: Scope, tag: str, name: str) -> object:
    struct = scope.tag("struct", tag)
    assert struct is not None
    return scope.member_path(struct, name)[-1].type


def test_inner_scope_sees_the_outer_one_and_hides_it() -> None:
    outer = Scope(Kernel(target()))
    outer.declare("a", Symbol("variable", "a"))
    inner = outer.child()
    assert inner.find("a") is outer.find("a")
    inner.declare("a", Symbol("typedef", "a"))
    found = inner.find("a")
    assert found is not None and found.kind == "typedef"
    assert sorted(inner.names()) == ["a", "a"]


def test_struct_of_the_program_wins_over_the_kernels() -> None:
    scope = scope_of("struct mount { int mine; };")
    found = scope.tag("struct", "mount")
    assert isinstance(found, StructType) and found.size == 4


def test_pointer_from_the_kernel_leads_to_the_programs_struct() -> None:
    scope = scope_of("struct mnt_namespace { u64 before; int inum; };")
    pointer = member_type(scope, "nsproxy", "mnt_ns")
    assert isinstance(pointer, PointerType)
    struct = scope.pointee(pointer)
    assert struct is scope.local_tag("struct", "mnt_namespace")
    assert scope.member_path(pointer.target, "inum")[0].offset == 8


def test_struct_inside_a_kernel_struct_stays_the_kernels() -> None:
    scope = scope_of("struct qstr { int mine; };")
    inner = strip(member_type(scope, "dentry", "d_name"))  # type: ignore[arg-type]
    assert isinstance(inner, StructType) and inner.size == 16


def test_struct_that_is_only_declared_is_the_kernels() -> None:
    scope = scope_of("struct task_struct;\nstruct unheard_of;")
    found = scope.tag("struct", "task_struct")
    assert isinstance(found, StructType)
    nowhere = scope.tag("struct", "unheard_of")
    assert nowhere is not None and nowhere.size == 0


def test_members_have_the_names_of_kernel_headers() -> None:
    scope = scope_of("int x;")
    state = member_type(scope, "sock", "sk_state")
    assert isinstance(strip(state), IntType)  # type: ignore[arg-type]
    assert scope.member_path(scope.tag("struct", "inet_sock"), "inet_dport")  # type: ignore[arg-type]
    assert scope.member_path(scope.tag("struct", "in6_addr"), "s6_addr32")  # type: ignore[arg-type]
    task = scope.tag("struct", "task_struct")
    assert [member.name for member in scope.member_path(task, "cpu")] == ["thread_info", "cpu"]  # type: ignore[arg-type]
    assert [member.name for member in scope.member_path(task, "state")] == ["__state"]  # type: ignore[arg-type]
    assert scope.member_path(scope.tag("struct", "sock"), "no_such_member") == ()  # type: ignore[arg-type]


def test_own_member_wins_over_an_alias() -> None:
    scope = scope_of("struct sock { int other; u8 sk_state; };")
    path = scope.member_path(scope.tag("struct", "sock"), "sk_state")  # type: ignore[arg-type]
    assert [member.offset for member in path] == [4]


def test_constant_of_the_program_wins() -> None:
    scope = scope_of("enum { TCP_CLOSE = 77 };")
    assert scope.constant("TCP_CLOSE") is not None and scope.constant("TCP_CLOSE")[0] == 77  # type: ignore[index]
    assert scope_of("int x;").constant("TCP_CLOSE")[0] == 7  # type: ignore[index]
    assert scope_of("int AF_INET;").constant("AF_INET") is None


def test_typedefs_come_from_btf_or_from_our_table() -> None:
    scope = scope_of("typedef struct { int v; } mine_t;")
    assert [scope.typedef(name) is not None for name in ("mine_t", "u64", "u_int8_t", "atomic_t", "nothing_t")] == [
        True, True, True, True, False,
    ]  # fmt: skip
    found = scope.typedef("u_int8_t")
    assert found is not None and strip(found).size == 1


def test_tracepoints_have_a_struct() -> None:
    scope = scope_of("int x;")
    struct = scope.tag("struct", "tracepoint__sched__sched_switch")
    assert isinstance(struct, StructType)
    format = target().tracepoint("sched", "sched_switch")
    assert format is not None
    for field in format.fields:
        if field.offset >= 8:
            (member,) = struct.find(field.name)
            assert (member.offset, strip(member.type).size) == (field.offset, field.size)
    assert scope.tag("struct", "tracepoint__no__such") is None


def test_data_at_a_place_of_its_own_is_an_integer_with_bccs_name() -> None:
    struct = scope_of("int x;").tag("struct", "tracepoint__sched__sched_process_exec")
    assert isinstance(struct, StructType)
    (member,) = struct.find("data_loc_filename")
    assert strip(member.type).size == 4


def test_tags_that_are_macros_in_headers_are_found() -> None:
    found = scope_of("struct __kernel_sockaddr_storage { char data[128]; };").kernel.tag("struct", "rcu_head")
    assert found is None or found.size
