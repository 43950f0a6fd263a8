"""Structs of the kernel's BTF and of the script: members, bit fields, arrays, unions, pointers; kernel and user memory."""

from __future__ import annotations

import pytest

from probee.errors import TypeMismatch
from script_harness import World, run, run_script, shared_target
from target_fixture import offset_of

TASK, PARENT, USER = 0xFFFF_A000_0000_0000, 0xFFFF_A000_0100_0000, 0x7F00_0000_0000


def put(data: bytearray, offset: int, value: int | bytes, size: int = 8) -> None:
    raw = value if isinstance(value, bytes) else (value & (1 << 8 * size) - 1).to_bytes(size, "little")
    data[offset : offset + len(raw)] = raw


def task_world() -> World:
    """A task with a parent, and a word of its bit fields."""
    target = shared_target()

    def at(member: str) -> int:
        return offset_of(target, "task_struct", member)

    task, parent = bytearray(4096), bytearray(4096)
    put(task, at("pid"), 77, 4)
    put(task, at("tgid"), 70, 4)
    put(task, at("comm"), b"worker\0")
    put(task, at("prio"), -5, 4)
    put(task, at("real_parent"), PARENT)
    put(task, at("long_array"), b"".join(n.to_bytes(8, "little") for n in (10, 20, 30, 40)))
    put(task, at("matrix"), b"".join(n.to_bytes(4, "little") for n in (1, 2, 3, 4, 5, 6)))
    put(task, at("se.vruntime"), 1 << 40)
    put(task, at("exit_signal") + 4, 1 | 1 << 1 | 0b10101 << 2 | 99 << 7, 8)
    put(parent, at("pid"), 1, 4)
    put(parent, at("comm"), b"init\0")
    world = World(kernel={TASK: bytes(task), PARENT: bytes(parent)})
    world.environment.task = TASK
    return world


KERNEL = [
    ("curtask.pid", "77"),
    ("curtask->pid", "77"),
    ("curtask.comm", "worker"),
    ("curtask.prio", "-5"),
    ("curtask.se.vruntime", "1099511627776"),
    ("curtask.real_parent.pid", "1"),
    ("curtask->real_parent->comm", "init"),
    ("ppid", "1"),
    ("ppid()", "1"),
    ("pcomm", "init"),
    ("ppid(curtask)", "1"),
    ("curtask.long_array[2]", "30"),
    ("curtask.long_array[$i]", "20"),
    ("curtask.matrix[1][2]", "6"),
    ("curtask.matrix[$i][0]", "4"),
    ("curtask.long_array", "[10,20,30,40]"),
    ("curtask.in_execve", "1"),
    ("curtask.in_iowait", "1"),
    ("curtask.sched_class_bits", "21"),
    ("$t.pid", "77"),
    ("$t.real_parent.comm", "init"),
    ("(*$t).pid", "77"),
    (f"((struct task_struct *){PARENT}).pid", "1"),
    (f"((struct task_struct *){PARENT})->comm", "init"),
    ("(uint64)&$i != 0", "true"),
    ("offsetof(struct task_struct, pid) > 0", "true"),
    ("sizeof(struct list_head)", "16"),
    ("sizeof(curtask.comm)", "16"),
    ('curtask.comm == "worker"', "true"),
    ("curtask.pid == 77 && curtask.tgid == 70", "true"),
    ("curtask.mm ? 1 : 2", "2"),
    ("curtask.mm.brk", "0"),  # a read that fails gives zero
    ("TCP_CLOSE", "TCP_CLOSE"),
    ("EXAMPLE_NEGATIVE", "EXAMPLE_NEGATIVE"),
    ("(enum migrate_mode)1", "MIGRATE_SYNC_LIGHT"),
    ("MIGRATE_SYNC + 1", "3"),
    ("MIGRATE_SYNC == 2", "true"),
    ("sizeof(pid_t)", "4"),
    ("(u8)300", "44"),
    ("(pid_t)-1", "-1"),
    ("is_err((struct file *)0xfffffffffffffffe)", "true"),
    ("is_err(curtask)", "false"),
    ("container_of((uint8 *)100, typeof(struct list_head), prev)", "0x5c"),
]


@pytest.mark.parametrize(("expression", "expected"), KERNEL)
def test_kernel_structs(expression: str, expected: str) -> None:
    text = f"begin {{ $t = curtask; $i = 1; print({expression}); }}"
    assert run_script(text, task_world()) == expected + "\n"


def test_anonymous_enums_print_by_name() -> None:
    assert run_script('begin { printf("%s %d\\n", TCP_CLOSE, TCP_CLOSE); }') == "TCP_CLOSE 7\n"


PREAMBLE = """
#define LIMIT 3
#define DOUBLE LIMIT * 2
enum Color { RED, GREEN = 5, BLUE };
struct Point { int x; int y; };
struct Box { struct Point corner; struct Point *other; char name[8]; uint8_t bytes[4]; };
struct Bits { uint32_t a : 3; uint32_t b : 5; int c : 4; uint64_t wide : 40; };
union Both { uint32_t word; uint8_t bytes[4]; };
struct Nested { int tag; union { int number; struct { short low; short high; }; }; };
struct __attribute__((packed)) Tight { char a; int b; };
struct Node { int value; struct Node *next; };
typedef struct { int inner; } alias_t;
struct Uses { alias_t first; enum Color color; bool flag; };
"""


def script_world() -> World:
    box = bytearray(64)
    put(box, 0, 1, 4), put(box, 4, -2, 4), put(box, 8, USER), put(box, 16, b"box\0"), put(box, 24, b"\x01\x02\x03\x04")
    bits = (5 | 9 << 3 | 0xF << 8 | 0x12_3456_789A << 12).to_bytes(8, "little")
    node = bytearray(32)
    put(node, 0, 11, 4), put(node, 8, PARENT + 0x200_0000)
    kernel = {
        TASK: bytes(box),
        PARENT: bits,
        PARENT + 0x100_0000: bytes(node),
        PARENT + 0x200_0000: (22).to_bytes(4, "little") + bytes(12),
        PARENT + 0x300_0000: (7).to_bytes(4, "little") + (0x0002_0001).to_bytes(4, "little") + b"\x01" + bytes(7),
    }
    return World(kernel=kernel, user={USER: bytes((30, 0, 0, 0, 40, 0, 0, 0))})


BOX, BITS, NODE, NESTED = TASK, PARENT, PARENT + 0x100_0000, PARENT + 0x300_0000
OWN = [
    (f"((struct Box *){BOX}).corner.x", "1"),
    (f"((struct Box *){BOX}).corner.y", "-2"),
    (f"((struct Box *){BOX}).name", "box"),
    (f"((struct Box *){BOX}).bytes", "[1,2,3,4]"),
    (f"((struct Box *){BOX}).bytes[1]", "2"),
    (f"(uint32)((struct Box *){BOX}).bytes", "67305985"),
    (f"uptr(((struct Box *){BOX}).other).y", "40"),
    (f"((struct Box *){BOX}).other.y", "0"),  # kernel reads do not reach user memory
    (f"((struct Point *){BOX})[0].y", "-2"),
    (f"*(struct Point *){BOX}", "{ .x = 1, .y = -2 }"),
    (f"((struct Box *){BOX}).corner", "{ .x = 1, .y = -2 }"),
    (f"(1, *(struct Point *){BOX})", "(1, { .x = 1, .y = -2 })"),
    (f"((struct Bits *){BITS}).a", "5"),
    (f"((struct Bits *){BITS}).b", "9"),
    (f"((struct Bits *){BITS}).c", "15"),  # signed, but extended by zeros
    (f"((struct Bits *){BITS}).wide", "78187493530"),
    (f"*(struct Bits *){BITS}", "{ .a = 5, .b = 9, .c = 15, .wide = 78187493530 }"),
    (f"((union Both *){BOX}).word", "1"),
    (f"((union Both *){BOX}).bytes[0]", "1"),
    (f"((struct Nested *){NESTED}).number", "131073"),
    (f"((struct Nested *){NESTED}).high", "2"),
    (f"((struct Node *){NODE}).value", "11"),
    (f"((struct Node *){NODE}).next.value", "22"),
    (f"((struct Node *){NODE}).next.next", "0x0"),
    (f"((struct Uses *){NESTED}).first.inner", "7"),
    (f"((struct Uses *){NESTED}).flag", "true"),
    ("sizeof(struct Box)", "32"),
    ("sizeof(struct Tight)", "5"),
    ("sizeof(union Both)", "4"),
    ("offsetof(struct Box, name)", "16"),
    ("offsetof(struct Box, corner.y)", "4"),
    ("offsetof(struct Nested, high)", "6"),
    ("LIMIT", "3"),
    ("DOUBLE", "6"),
    ("GREEN", "GREEN"),
    ("(enum Color)6", "BLUE"),
    ("GREEN + 1", "6"),
    ("(int32)GREEN", "5"),
    ("(uint64)((struct Box *)0 + 1)", "32"),
]


@pytest.mark.parametrize(("expression", "expected"), OWN)
def test_structs_of_the_script(expression: str, expected: str) -> None:
    assert run_script(f"{PREAMBLE} begin {{ print({expression}); }}", script_world()) == expected + "\n"


def test_enums_print_by_name_and_number() -> None:
    text = f'{PREAMBLE} begin {{ printf("%s %d %s %10s|\\n", GREEN, GREEN, (enum Color)6, RED); @[BLUE] = GREEN; }}'
    assert run_script(text) == "GREEN 5 BLUE        RED|\n@[BLUE]: GREEN\n"


def test_a_struct_in_a_variable_keeps_its_value() -> None:
    text = f"{PREAMBLE} begin {{ $p = *(struct Point *){BOX}; print($p.y); @[$p.x] = $p; }}"
    assert run_script(text, script_world()) == "-2\n@[1]: { .x = 1, .y = -2 }\n"


def test_what_the_script_defines_wins_over_btf() -> None:
    world = task_world()
    text = "struct task_struct { int first; } begin { print(curtask.first); }"
    assert run_script(text, world) == "0\n"


def test_typeof_names_the_type_of_an_expression() -> None:
    text = f"{PREAMBLE} begin {{ $p = (struct Point *){BOX}; $q = (typeof($p)){BOX}; print($q.y); }}"
    assert run_script(text, script_world()) == "-2\n"


OUT_OF_BOUNDS = "Array access out of bounds. This can lead to unexpected results."


@pytest.mark.parametrize(("index", "value", "warned"), [(1, "20", False), (4, "0", True), (100, "0", True), (-1, "0", True)])
def test_an_index_only_known_at_run_time_is_checked(index: int, value: str, warned: bool) -> None:
    array = b"".join(n.to_bytes(4, "little") for n in (10, 20, 30, 40, 50))
    script = f"struct A {{ int x[4]; }} begin {{ $i = (int64){index}; $a = uptr((struct A *){USER}); @x = $a.x[$i]; }}"
    outcome = run(script, World(user={USER: array}))
    assert outcome.out == f"@x: {value}\n"
    assert (OUT_OF_BOUNDS in outcome.err) == warned


def test_an_array_of_unknown_length_has_no_bounds() -> None:
    script = f"struct A {{ int n; int x[]; }} begin {{ $i = 2; print(uptr((struct A *){USER}).x[$i]); }}"
    outcome = run(script, World(user={USER: b"".join(n.to_bytes(4, "little") for n in (1, 10, 20, 30))}))
    assert (outcome.out, outcome.err) == ("30\n", "")


@pytest.mark.parametrize(("memory", "shown"), [(b"hello!", "hello"), (b"hell\0!", "hell"), (b"he\0lo!", "he")])
def test_characters_of_a_member_need_no_nul(memory: bytes, shown: str) -> None:
    script = (
        f"struct F {{ char s[5]; }} begin {{ $s = uptr((struct F *){USER}).s; "
        'printf("%s|%s|\\n", $s, uptr((struct F *)' + str(USER) + ").s); @[$s] = 1; }"
    )
    assert run_script(script, World(user={USER: memory})) == f"{shown}|{shown}|\n@[{shown}]: 1\n"


SIZES = [
    ("struct F { int m; int n; }", 12), ("struct F { char c; }", 8), ("struct F { int m; void *p; }", 24),
    ("struct __attribute__((packed)) F { char c; int n; }", 12), ("union F { short s[3]; char c; }", 12),
]  # fmt: skip


@pytest.mark.parametrize(("declaration", "size"), SIZES)
def test_a_struct_is_aligned_as_its_members(declaration: str, size: int) -> None:
    kind = declaration.partition(" ")[0]
    tuple = f"((int32)1, *uptr(({kind} F *){USER}))"
    script = f"{declaration} begin {{ $t = {tuple}; print(sizeof($t)); }}"
    assert run_script(script, World(user={USER: bytes(64)})) == f"{size}\n"


FLOATS = "union N { int i; float f; }; struct Foo { int m; union N n; double d; float all[2]; long double wide; };"


def test_floating_point_members_keep_their_room_and_print_as_nothing() -> None:
    memory = bytes((2, 0, 0, 0, 5, 0, 0, 0)) + bytes(64)
    script = f"{FLOATS} begin {{ print(*uptr((struct Foo *){USER})); print(sizeof(struct Foo)); }}"
    shown = "{ .m = 2, .n = { .i = 5, .f = null }, .d = null, .all = null, .wide = null }"
    assert run_script(script, World(user={USER: memory})) == f"{shown}\n48\n"


@pytest.mark.parametrize("expression", ["$p.d", "$p.n.f + 1", "$p.all[0]", "$p.wide"])
def test_floating_point_members_take_no_part_in_expressions(expression: str) -> None:
    with pytest.raises(TypeMismatch, match="eBPF has no floating-point numbers"):
        run_script(f"{FLOATS} begin {{ $p = uptr((struct Foo *){USER}); print({expression}); }}")
