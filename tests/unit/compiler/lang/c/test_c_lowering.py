"""Lowering: what programs of C compute, where they read, and what they are refused for; run by the instruction interpreter."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

import pytest

from c_corpus import PROGRAMS
from c_harness import CRun, registers, run_c
from probee.compiler.compile import compile_c
from probee.compiler.ir import op
from probee.compiler.ir.unit import Unit
from probee.errors import CompileError
from probee.model.spec import AttachType, MapType, ProgramType
from script_harness import shared_target
from target_fixture import offset_of

TASK, PARENT, FILE, INODE = (number << 32 for number in range(0x10, 0x14))


@pytest.fixture(autouse=True)
def verified(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Judge the IR after every pass."""
    monkeypatch.setenv("PROBEE_VERIFY_IR", "1")
    yield


def refused(text: str) -> str:
    """Return the message of a program that is refused, as it is shown."""
    with pytest.raises(CompileError) as caught:
        compile_c(text, shared_target(), {})
    return caught.value.report()


# -- values


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return a + b;", 12),
        ("return a > b ? a : b;", 7),
        ("s32 x = -7; return x / 2;", (1 << 64) - 3),
        ("u8 x = 250; x += 10; return x;", 4),
        ("return (s8)200;", (1 << 64) - 56),
        ("u32 x = a; return x << 31 >> 31;", 1),
        ("return !a || (b && 0);", 0),
        ("return a ?: b;", 7),
        ("u64 x = 0; for (int i = 0; i < 5; i++) { if (i == 3) continue; x += i; } return x;", 7),
        ("u64 x = 3; while (x < 100) x *= 2; return x;", 192),
        ("u64 x = 0; do x++; while (x < 3); return x;", 3),
        ("u64 x = 0; again: x++; if (x < 4) goto again; return x;", 4),
        ("switch (a) { case 1: return 10; case 5 ... 8: return 20; default: return 30; }", 20),
        ('char s[] = "abc"; return s[1] + sizeof(s);', 102),
        ("int t[3] = { 1, 2 }; return t[a - 6] + t[2];", 2),
        ("struct { u8 a; u32 b; } x = { .b = 9 }; return x.b + sizeof(x);", 17),
        ("struct { u32 a; } x = { 3 }, y; y = x; return y.a;", 3),
        ("return ({ u64 x = a; x * 2; });", 14),
        ("return sizeof(struct task_struct *) + sizeof(u16[3]);", 14),
        ("return __builtin_bswap32(0x01020304) + ntohs(0x0102);", 0x04030201 + 0x0201),
        ("u64 x[2] = { 1, 2 }, y[2]; __builtin_memcpy(y, x, sizeof(y)); return y[1];", 2),
        ('u8 x[5]; __builtin_memset(x, 3, 5); return x[4] + __builtin_memcmp(x, "\\3\\3", 2);', 3),
        ("unsigned __int128 x = 5; return x == 5 && x != 6;", 1),
        ("unsigned __int128 x = ~0ULL; x++; return (u64)(x >> 64) * 10 + (u64)x;", 10),
        ("unsigned __int128 x = 1, y; x <<= 100; y = x - 1; return (u64)(y >> 64);", (1 << 36) - 1),
        ("unsigned __int128 x = a; x += x; x |= 1; return x;", 15),
        ("return 3000000.0 > a;", 1),
        ('char *s = "read"; u64 x; __builtin_memcpy(&x, s, 8); return x;', int.from_bytes(b"read", "little")),
        ("struct s { u64 x; char t[8]; }; return (size_t)(&((struct s *)0)->t) + a;", 15),
    ],
)
def test_a_function_returns_what_c_says(body: str, expected: int) -> None:
    assert run_c(body, 7, 5) == expected


def test_a_key_by_value_is_used_where_it_lies() -> None:
    text = """
    struct key_t { u64 a; u32 b; };
    struct wide_t { u32 before; struct key_t key; };
    BPF_HASH(keys, struct key_t);
    int f(struct pt_regs *ctx, u64 a) {
        struct key_t key = { .a = a };
        struct wide_t wide = { .key = { .b = a } };
        keys.increment(key);
        keys.increment(wide.key);
        keys.increment((struct key_t){ a, a });
        return 0;
    }
    """
    run = CRun(text)
    run.call("f", 5)
    assert run.entries("keys") == {struct.pack("QQ", *key): struct.pack("Q", 1) for key in ((5, 0), (0, 5), (5, 5))}
    stages: dict[str, int] = {}
    compile_c(text, shared_target(), {}, after=lambda stage, unit: stages.setdefault(stage, n_copies(unit)))
    assert stages["lower"] == 0


def test_what_only_a_value_that_nobody_wants_asked_for_is_not_read() -> None:
    text = """
    int f(struct pt_regs *ctx, struct file *file, u64 b) {
        u32 flags = file->f_flags, mode = 0;
        if (flags & 64 || (flags & 4259840) == 4259840) mode = b;
        return 0;
    }
    """
    (program,) = compile_c(text, shared_target(), {}).programs
    assert len(program.instructions) == 2 * 8


def n_copies(unit: Unit) -> int:
    values = [value for block in unit.programs[0].functions[0].blocks for value in block.values]
    return sum(value.op == op.COPY for value in values)


def test_what_an_initialiser_leaves_out_is_zero_padding_included() -> None:
    text = """
    struct key_t { u8 small; u64 wide; };
    BPF_HASH(keys, struct key_t);
    int f(struct pt_regs *ctx) { struct key_t key = { .small = 1 }; keys.increment(key); return 0; }
    """
    run = CRun(text)
    run.call("f")
    assert list(run.entries("keys")) == [struct.pack("<B7xQ", 1, 0)]


def test_a_static_local_keeps_its_value_between_runs() -> None:
    run = CRun("int f(struct pt_regs *ctx) { static u64 n; return ++n; }")
    assert [run.call("f") for _ in range(3)] == [1, 2, 3]


# -- where pointers point to


def kernel_memory() -> dict[int, bytes]:
    """A task with pid 41 whose parent has pid 42."""
    size = 4096
    task, parent = bytearray(size), bytearray(size)
    for memory, pid in ((task, 41), (parent, 42)):
        struct.pack_into("<i", memory, offset_of(shared_target(), "task_struct", "pid"), pid)
    struct.pack_into("<Q", task, offset_of(shared_target(), "task_struct", "real_parent"), PARENT)
    return {TASK: bytes(task), PARENT: bytes(parent)}


@pytest.mark.parametrize(
    "body",
    [
        "return task->real_parent->pid;",
        "return (*task->real_parent).pid;",
        "struct task_struct *p = task->real_parent; return p->pid;",
        "struct task_struct **p = &task; return (*p)->real_parent->pid;",
        "struct { struct task_struct *held; } x = { task }, *y = &x; return y->held->real_parent->pid;",
        "return parent_of(task)->pid;",
        "u64 address = (u64)task->real_parent; return ((struct task_struct *)address)->pid;",
        "int pid; bpf_probe_read_kernel(&pid, sizeof(pid), &task->real_parent->pid); return pid;",
        "return task[0].real_parent[0].pid;",
    ],
)
def test_what_a_probe_was_given_is_read_from_the_kernel(body: str) -> None:
    before = "static struct task_struct *parent_of(struct task_struct *t) { return t->real_parent; }"
    text = f"{before}\nint f(struct pt_regs *ctx, struct task_struct *task) {{ {body} }}"
    assert CRun(text, kernel=kernel_memory()).call("f", TASK) == 42


@pytest.mark.parametrize(
    ("structs", "expression"),
    [
        ("struct sock { int a; struct { int rmem_alloc; } sk_backlog; };", "((struct sock *)p)->sk_rmem_alloc"),
        ("struct kernfs_node { int a, __parent; };", "((struct kernfs_node *)p)->parent"),
        ("struct mm_struct { int a, mmap_lock; };", "((struct mm_struct *)p)->mmap_sem"),
        ("struct siginfo { int a; union { struct { int _pid; } _kill; } _sifields; };", "((struct siginfo *)p)->si_pid"),
        ("struct flowi4 { int a; struct { int flowic_oif; } __fl_common; };", "((struct flowi4 *)p)->flowi4_oif"),
    ],
)
def test_members_that_kernels_renamed_are_found_under_their_old_names(structs: str, expression: str) -> None:
    text = f"{structs}\nint f(struct pt_regs *ctx, void *p) {{ return {expression}; }}"
    assert CRun(text, kernel={TASK: struct.pack("<II", 1, 5)}).call("f", TASK) == 5


def test_what_is_copied_behind_a_literal_is_zeros() -> None:
    before = "struct s { char text[32], more[40]; }; static void put(char *to, const char *text) { memcpy(to, text, 32); }"
    body = """
        struct s s;
        __builtin_memset(&s, 0xff, sizeof(s));
        put(s.text, "open");
        __builtin_memcpy(s.more, "abc", 40);
        return s.text[0] + s.text[4] + s.text[31] + s.more[2] + s.more[3] + s.more[39];
    """
    assert run_c(body, before=before) == ord("o") + ord("c")


def test_literals_are_copied_by_strcpy() -> None:
    body = """
        char s[16];
        __builtin_memset(s, 0xff, sizeof(s));
        strcpy(s, "abc");
        strncpy(s + 8, "de", 4);
        strncpy(s + 12, "fgh", 2);
        return s[2] == 'c' && s[3] == 0 && s[4] == -1 && s[9] == 'e' && s[10] == 0 && s[11] == 0 && s[13] == 'g' && s[14] == -1;
    """
    assert run_c(body) == 1


def test_devices_are_encoded_as_user_space_knows_them() -> None:
    assert run_c("return new_encode_dev(a << 20 | b);", 8, 300) == os.makedev(8, 300)


def test_a_function_s_name_is_text() -> None:
    inner = "static u64 named(u64 a) { const char *name = __func__; return name[0] + a; }"
    assert run_c("return named(sizeof(__FUNCTION__)) + (__func__ + 0)[0];", before=inner) == ord("n") + 2 + ord("f")


def test_a_pointer_that_went_through_a_map_is_read_from_the_kernel() -> None:
    text = """
    BPF_HASH(tasks, u32, struct task_struct *);
    int enter(struct pt_regs *ctx, struct task_struct *task) { u32 key = 1; tasks.update(&key, &task); return 0; }
    int leave(struct pt_regs *ctx) {
        u32 key = 1;
        struct task_struct **found = tasks.lookup(&key);
        return found ? (*found)->pid : 0;
    }
    """
    run = CRun(text, kernel=kernel_memory())
    assert run.call("leave") == 0
    run.call("enter", TASK)
    assert run.call("leave") == 41


def test_a_variable_that_gets_another_kind_of_pointer_later_is_read_as_both_allow() -> None:
    text = """
    BPF_ARRAY(table, u64, 1);
    int f(struct pt_regs *ctx, u64 *other) {
        u32 zero = 0;
        u64 sum = 0, *p = table.lookup(&zero);
        for (int i = 0; i < 2; i++) { if (p) sum += *p; p = other; }
        return sum;
    }
    """
    run = CRun(text, kernel={TASK: struct.pack("<Q", 5)})
    assert run.call("f", TASK) == 5


def test_a_pointer_to_a_variable_or_to_a_map_s_value_reads_and_writes_either() -> None:
    run = CRun(PROGRAMS["a pointer to a variable, or to a map's value"])
    assert run.call("f") == 111  # through the variable: what it has, and what is sent
    assert run.call("f") == 112
    assert run.call("f") == 113
    (value,) = run.entries("values").values()
    assert struct.unpack_from("<IIQ", value) == (13, 1, 30)


def test_what_is_written_through_one_pointer_is_read_through_another_to_the_same_variable() -> None:
    body = """
        u32 key = 0;
        struct v one = { 1, 2 }, two = { 3, 4 }, *p = values.lookup(&key), *q = &two;
        if (!p) p = &one;
        if (a & 1) q = &one;
        u64 before = q->b;
        p->b = before + 5;
        return q->b * 10 + one.b;
    """
    before = "struct v { u32 a, b; }; BPF_HASH(values, u32, struct v);"
    assert run_c(body, 1, before=before) == 77
    assert run_c(body, 2, before=before) == 49


def test_pointers_behind_a_pointer_to_a_variable_are_known() -> None:
    run = CRun(PROGRAMS["a cursor in a packet, moved by functions"])
    packet = bytearray(bytes(12) + b"\x08\x00" + bytes(8) + bytes([64, 17]) + bytes(10))
    assert run.call("f", context=bytes(24), packet=packet) == 3  # XDP_TX
    assert (packet[6], packet[22]) == (64, 1)
    assert run.entries("seen")[struct.pack("<I", 17)][:8] == struct.pack("<q", 1)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("u64 x = 1, y = 2, *p = &x; for (int i = 0; i < 2; i++) { *p += 10; p = &y; } return x * 100 + y;", 1112),
        ("u64 x = 1, y = 2, *p = &x; if (a) p = &y; *p = 9; return x * 10 + y;", 19),
        ("u64 t[4] = {}, n = 0; for (u64 *p = t; p < t + 4; p++) *p = ++n; return t[0] + t[3] * 10;", 41),
        ("struct { u64 n, *p; } s = {}, z; u64 x = 1, y = 2; s.p = &x; z.p = &y; s = z; *s.p = 5; return x * 10 + y;", 15),
        ("u64 x = 1, y = 2, *p = &x, **q = &p; void *r = &y; __builtin_memcpy(q, &r, 8); *p = 5; return x * 10 + y;", 15),
        ("u64 x = 1, y = 2, *p = &x; *(u64 *)&p = (u64)&y; *p = 5; return x * 10 + y;", 15),
        ("u64 x = 1, y = 2, *p = &x; both(&p, &y); *p = 5; return x * 10 + y;", 15),
    ],
)
def test_what_is_written_through_a_pointer_goes_where_it_points(body: str, expected: int) -> None:
    assert run_c(body, 7, 5, before="static inline void both(u64 **to, u64 *p) { *to = p; }") == expected


def test_packet_headers_are_loaded_from_the_packet() -> None:
    run = CRun(PROGRAMS["packets at XDP"])
    packet = bytearray(bytes(12) + b"\x08\x00" + bytes(9) + bytes([1]) + bytes(10))
    assert run.call("f", context=bytes(24), packet=packet) == 1  # XDP_DROP
    assert run.call("f", context=bytes(24), packet=bytearray(10)) == 2  # XDP_PASS
    assert run.entries("protocols")[struct.pack("<I", 1)][:8] == struct.pack("<q", 1)


def test_pointers_into_the_packet_and_the_kernel_do_not_mix() -> None:
    text = """
    int f(struct xdp_md *ctx) {
        void *data = (void *)(long)ctx->data;
        if (ctx->rx_queue_index) data = (void *)bpf_get_current_task();
        return data != 0;
    }"""
    assert "points to the packet in one place and to kernel memory in another" in refused(text)


# -- programs


def test_functions_become_programs_by_their_context() -> None:
    text = """
    int a(struct pt_regs *ctx) { return 0; }
    int b(struct xdp_md *ctx) { return 0; }
    int c(struct __sk_buff *skb) { return 0; }
    int d(struct bpf_perf_event_data *ctx) { return 0; }
    RAW_TRACEPOINT_PROBE(sched_switch) { return 0; }
    KFUNC_PROBE(vfs_read, struct file *file) { return 0; }
    LSM_PROBE(inode_mkdir, struct inode *dir) { return 0; }
    BPF_ITER(task) { return 0; }
    int iterate(struct bpf_iter__task *ctx) { return 0; }
    static int helper(void) { return 1; }
    """
    spec = compile_c(text, shared_target(), {})
    found = {program.name: (program.type, program.attach_type, program.attach_target) for program in spec.programs}
    assert found == {
        "a": (ProgramType.KPROBE, 0, ""),
        "b": (ProgramType.XDP, 0, ""),
        "c": (ProgramType.SOCKET_FILTER, 0, ""),
        "d": (ProgramType.PERF_EVENT, 0, ""),
        "raw_tracepoint__sched_switch": (ProgramType.RAW_TRACEPOINT, 0, ""),
        "kfunc__vmlinux__vfs_read": (ProgramType.TRACING, AttachType.TRACE_FENTRY, "vfs_read"),
        "lsm__inode_mkdir": (ProgramType.LSM, AttachType.LSM_MAC, "bpf_lsm_inode_mkdir"),
        "bpf_iter__task": (ProgramType.TRACING, AttachType.TRACE_ITER, "bpf_iter_task"),
        "iterate": (ProgramType.TRACING, AttachType.TRACE_ITER, "bpf_iter_task"),
    }


def test_a_type_of_map_that_the_kernel_has_not_is_an_error_at_its_place() -> None:
    assert "this kernel has no maps of type task_storage" in refused("BPF_TASK_STORAGE(s, u64); int f(void *ctx) { return 0; }")


def test_maps_have_the_types_and_sizes_of_their_declarations() -> None:
    text = """
    struct key_t { u32 a; char b[12]; };
    BPF_HASH(one, struct key_t, u32, 7);
    BPF_HISTOGRAM(two);
    BPF_PERF_OUTPUT(three);
    BPF_RINGBUF_OUTPUT(four, 4);
    """
    found = {spec.name: (spec.type, spec.key_size, spec.value_size, spec.max_entries) for spec in
             compile_c(text, shared_target(), {}).maps}  # fmt: skip
    assert found == {
        "one": (MapType.HASH, 16, 4, 7),
        "two": (MapType.ARRAY, 4, 8, 64),
        "three": (MapType.PERF_EVENT_ARRAY, 4, 4, 0),
        "four": (MapType.RINGBUF, 0, 0, 4 * 4096),
    }


def test_arguments_of_system_calls_come_from_the_inner_registers() -> None:
    inner = bytearray(registers(3, 4, 5, 99))
    struct.pack_into("<Q", inner, 56, 6)  # r10, where the fourth argument is
    text = "u64 syscall__call(struct pt_regs *ctx, int a, u64 b, u64 c, u64 d) { return a + b * 10 + c * 100 + d * 1000; }"
    assert CRun(text, kernel={TASK: bytes(inner)}).call("syscall__call", TASK) == 6543


# -- warnings and errors


def test_a_format_that_the_kernel_does_not_print_is_warned_about() -> None:
    spec = compile_c('int f(struct pt_regs *ctx) { bpf_trace_printk("%f %s %s", 1); return 0; }', shared_target(), {})
    assert "only %d %u %x %ld" in spec.warnings[0] and "cannot use several %s" in spec.warnings[1]


@pytest.mark.parametrize(
    ("body", "at", "message"),
    [
        ("return tsk;", "tsk", "'tsk' is not declared"),
        ("return task->pidd;", "pidd", "'struct task_struct' has no member 'pidd'"),
        ("return bpf_get_current_pid_tgi();", "bpf_get", "there is no helper 'bpf_get_current_pid_tgi'"),
        ("u32 k = 1; counts.increment(k); return 0;", "counts", "'counts' is not declared"),
        ("struct request { int a; } *r; r->rq_disk; return 0;", "rq_disk", "Since Linux 5.17 it is q->disk."),
        ("return vfs_read(task);", "vfs_read", "'vfs_read' is a function of the kernel, which no BPF program can call"),
        ("char text[2 * LENGTH_OF_IT]; return 0;", "LENGTH", "'LENGTH_OF_IT' is not defined: the length of an array"),
        ("return current->pid;", "current", "The task that runs is (struct task_struct *)bpf_get_current_task()."),
        ("char s[16]; strcpy(s, task->comm); return 0;", "task->comm", "strcpy() takes a literal"),
        ("return LIMIT_OF_IT;", "LIMIT", "Define it, or replace it in the text before BPF() gets that"),
        ("return bpf_ktime_ns();", "bpf_ktime", "Did you mean: bpf_ktime_get_ns?"),
        ("return bpf_ktime_get_ns(1);", "bpf_ktime", "bpf_ktime_get_ns() takes 0 arguments, not 1"),
        ("task->pid = 1; return 0;", "task->", "kernel memory cannot be written by a BPF program"),
        ("return task.pid;", "pid", "has no members: use '->'"),
        ("double x = 1; return x;", "x", "floating"),
        ("goto nowhere; return 0;", "goto", "there is no label 'nowhere'"),
        ("int t[2]; return t[5];", "t[5]", "index 5 is outside the array"),
        ("int t[2]; return &t[3] - t;", "t[3]", "index 3 is outside the array"),
        ("break;", "break", "break outside of a loop or switch"),
        ("f(ctx, 0); return 0;", "f(ctx", "'f' is a program: it cannot be called"),
        ("return task + task;", "task + ", "two pointers cannot be added"),
        ("u64 x = ctx->ax * 1.5; return x;", "1.5", "BPF programs have no floating-point numbers"),
        ("struct { u32 a; float b; } x = {}; return x.b > 1;", "x.b > 1", "BPF programs have no floating-point numbers"),
        ("struct { u32 a; float b; } x = {}; x.b = 1; return 0;", "1; ret", "BPF programs have no floating-point numbers"),
        ("5 = 3; return 0;", "5", "can be assigned"),
        ("void *p = task; *p = 1; return 0;", "p = 1", "a void cannot be assigned: cast the pointer"),
        ("task + 1 = task; return 0;", "task + 1", "can be assigned"),
        ("*task = *task; return 0;", "task = *", "kernel memory cannot be written by a BPF program"),
        ("x: x: return 0;", "x: return", "there is a label 'x' already"),
        ("int x = { .b = 1 }; return 0;", "b = 1", "'int' has no members"),
        ("int x[2] = { [5] = 1 }; return 0;", "1 };", "index 5 is outside the array, which has 2 elements"),
        ("int (*p)(int); return p(1);", "p(1)", "no calls through pointers to functions"),
        ("return __builtin_constant_p();", "__builtin", "__builtin_constant_p() takes 1 argument, not 0"),
        ("return __builtin_expect();", "__builtin", "__builtin_expect() takes 2 arguments, not 0"),
        ("return __builtin_choose_expr(0, 1);", "__builtin", "__builtin_choose_expr() takes 3 arguments, not 2"),
        ("return __builtin_choose_expr(task, 1, 2);", "task", "__builtin_choose_expr() chooses by a constant"),
        ("char c[4] = {}; return strlen(c);", "strlen", "strlen() takes a literal"),
        ("struct { u32 x; } s = {}; return (-s).x;", "s).x", "cannot be computed with"),
        ("struct { u32 x; } s = {}; return s ?: 1;", "s ?", "where a number or a pointer is needed"),
        ("__int128 x = 1, y = (x + 1)++; return 0;", "x + 1", "can be assigned"),
        ("int x[2] = { .a = 1 }; return 0;", "a = 1", "'int [2]' has no member 'a'"),
        ("struct { int a; } x = { .a[1] = 1 }; return 0;", "[1] =", "'int' has no elements"),
        ("return task(1);", "task(1)", "'task' is a 'struct task_struct *', not a function"),
        (
            "int a = 1, *p = &a; if (task) p = &task->pid; *p = 2; return 0;",
            "p = 2",
            "points to the stack here and to kernel memory there",
        ),
    ],
)
def test_a_mistake_is_shown_in_its_place(body: str, at: str, message: str) -> None:
    head = "BPF_ARRAY(t, u64, 1); int f(struct pt_regs *ctx, struct task_struct *task) { "
    report = refused(f"{head}{body} }}")
    assert message in report
    column = int(report.split(":")[2].partition("-")[0])
    assert column == len(head) + body.index(at) + 1


def test_constants_and_globals_are_each_program_s_to_read() -> None:
    run = CRun(PROGRAMS["globals and constants"])
    assert [run.call("f", number) for number in (3, 0, 9)] == [7 + 1, 7 + 2 + 2, ord("o")]
    assert run.call("g") == 3 + ord("p") + 9


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_of_the_corpus_is_legal_after_each_pass(name: str) -> None:
    assert compile_c(PROGRAMS[name], shared_target(), {}).programs


def test_a_struct_that_only_a_module_has_is_found_there() -> None:
    text = "int f(struct pt_regs *ctx, struct demo_state *state) { return sizeof(*state) == 32 && state->level == 0; }"
    assert CRun(text).call("f", TASK) == 1
