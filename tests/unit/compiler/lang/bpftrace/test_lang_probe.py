# ruff: noqa: E501 -- a row of a table is one line
"""What probes give: arguments, return values, registers, tracepoint fields, the names of the process and the probe."""

from __future__ import annotations

import pytest

from probee.probes.register import registers
from script_harness import World, compile_script, run, run_script, shared_target

KERNEL, USER = 0xFFFF_A000_0000_0000, 0x7F00_0000_0000


def pt_regs(**values: int) -> bytes:
    data = bytearray(168)
    for name, value in values.items():
        offset = registers("x86_64").offset(name)
        data[offset : offset + 8] = (value & (1 << 64) - 1).to_bytes(8, "little")
    return bytes(data)


REGS = pt_regs(di=10, si=-2, dx=KERNEL, cx=3, r8=4, r9=5, ax=-7, ip=0xFFFF_FFFF_8100_0004, sp=KERNEL + 64, cs=0x10)
STACK = bytes(64) + b"".join(n.to_bytes(8, "little") for n in (99, 100, 101))


def regs_world() -> World:
    return World(context=REGS, kernel={KERNEL: b"text\0".ljust(64, b"\0") + STACK[64:]})


KPROBE = [
    ("arg0", "10"),
    ("arg1", "18446744073709551614"),
    ("(int64)arg1", "-2"),
    ("(int32)arg1", "-2"),
    ("arg5", "5"),
    ("sarg0", "100"),
    ("sarg1", "101"),
    ("str(arg2)", "text"),
    ("func", "vfs_read"),
    ('reg("ax")', "18446744073709551609"),
    ('reg("ip")', str(0xFFFF_FFFF_8100_0004)),
    ("probe", "kprobe:vfs_read"),
    ("probetype", "kprobe"),
    ("usermode", "0"),
    ("pid", "1200"),
    ("tid", "1234"),
    ("uid", "1000"),
    ("gid", "1001"),
    ("comm", "probee"),
    ("cpu", "0"),
    ("ncpus", "4"),
    ("nsecs", "6000000000"),
    ("nsecs(monotonic)", "1000000000"),
    ("nsecs(tai)", "1700000001000000000"),
    ("elapsed", "1000000000"),
    ("cgroup", "42"),
    ("numaid", "0"),
    ("jiffies", "250"),
    ("cpid", "0"),
    ("has_cpid", "false"),
    ("__builtin_cpu", "0"),
    ("kstack(1)", "\n        do_sys_openat2+0\n"),
    ("kstack(raw, 1)", "\nffffffff81001000\n"),
    ("kstack(perf, 1)", "\n\tffffffff81001000 do_sys_openat2+0\n"),
    ("ustack(1)", "\n        0x555500001000\n"),
    ("ksym(0xffffffff81000010)", "vfs_read"),
    ("ksym(16)", "0x10"),
    ("rand != rand", "true"),
    ("(uint64)ctx != 0", "true"),
]


@pytest.mark.parametrize(("expression", "expected"), KPROBE)
def test_a_kprobe_gives(expression: str, expected: str) -> None:
    world = regs_world()
    world.environment.kernel_stack = [0xFFFF_FFFF_8100_1000, 0xFFFF_FFFF_8100_2000]
    assert run_script(f"kprobe:vfs_read {{ print({expression}); }}", world) == expected + "\n"


def test_a_kretprobe_gives_the_return_value() -> None:
    world = regs_world()
    world.environment.func_ip = 0xFFFF_FFFF_8100_0000
    text = 'kretprobe:vfs_read { printf("%d %s\\n", (int64)retval, func); }'
    assert run_script(text, world) == "-7 vfs_read\n"


def test_functions_of_a_pattern_share_a_program_unless_the_name_is_asked_for() -> None:
    assert len(run("kprobe:vfs_* { @ = count(); }").spec.programs) == 1
    named = run("kprobe:vfs_* { @[probe] = count(); }")
    assert len(named.spec.programs) > 3
    assert "@[kprobe:vfs_read]: 1" in named.out


def tracepoint_context(name: str, **values: int | bytes) -> bytes:
    format = shared_target().tracepoint(*name.split(":"))
    assert format is not None
    data = bytearray(256)
    for field_name, value in values.items():
        field = format.field(field_name)
        assert field is not None, field_name
        raw = value if isinstance(value, bytes) else (value & (1 << 8 * field.size) - 1).to_bytes(field.size, "little")
        data[field.offset : field.offset + len(raw)] = raw
    return bytes(data)


USER_BYTES = b"/etc/passwd\0".ljust(16, b"\0") + b"".join(n.to_bytes(8, "little") for n in (8, 9, USER, USER + 5, 0))
TRACEPOINTS = [
    ("sched:sched_switch", {"prev_comm": b"one\0", "prev_pid": 5, "prev_state": -1}, "args.prev_comm", "one"),
    ("sched:sched_switch", {"prev_pid": 5}, "args.prev_pid", "5"),
    ("sched:sched_switch", {"prev_pid": 5}, "args->prev_pid + 1", "6"),
    ("sched:sched_switch", {"prev_state": -1}, "args.prev_state", "-1"),
    ("sched:sched_switch", {"next_comm": b"x\0"}, 'args.next_comm == "x"', "true"),
    ("syscalls:sys_enter_openat", {"dfd": -100, "filename": USER}, "str(args.filename)", "/etc/passwd"),
    ("syscalls:sys_enter_openat", {"flags": 0x241}, "args.flags & 0x40", "64"),
    ("syscalls:sys_exit_openat", {"ret": -2}, "args.ret", "-2"),
    ("syscalls:sys_exit_openat", {"ret": -2}, "args.ret < 0", "true"),
    ("raw_syscalls:sys_enter", {"id": 59}, "syscall_name(args.id)", "execve"),
    ("raw_syscalls:sys_enter", {"args": bytes(8) + b"\x07"}, "args.args[1]", "7"),
    ("sock:inet_sock_set_state", {"saddr": bytes((127, 0, 0, 1))}, "ntop(args.saddr)", "127.0.0.1"),
    ("sock:inet_sock_set_state", {"family": 2, "saddr": bytes((10, 0, 0, 9))}, "ntop(args.family, args.saddr)", "10.0.0.9"),
    ("sock:inet_sock_set_state", {"saddr_v6": bytes(15) + b"\x01"}, "ntop(args.saddr_v6)", "::1"),
    ("syscalls:sys_enter_nanosleep", {"rqtp": USER + 16}, "args.rqtp.tv_nsec", "9"),
    ("syscalls:sys_enter_nanosleep", {"rqtp": USER + 16}, "*args.rqtp", "{ .tv_sec = 8, .tv_nsec = 9 }"),
    ("syscalls:sys_enter_execve", {"argv": USER + 32}, "str(args.argv[1])", "passwd"),
    ("skb:kfree_skb", {"reason": 2}, "args.reason", "SKB_DROP_REASON_NOT_SPECIFIED"),
    ("sched:sched_process_exit", {"comm": b"a\0", "pid": 3, "prio": 4}, "args", "{ .comm = a, .pid = 3, .prio = 4 }"),
]


@pytest.mark.parametrize(("name", "values", "expression", "expected"), TRACEPOINTS)
def test_a_tracepoint_gives(name: str, values: dict[str, int | bytes], expression: str, expected: str) -> None:
    world = World(context=tracepoint_context(name, **values), user={USER: USER_BYTES})
    assert run_script(f"tracepoint:{name} {{ print({expression}); }}", world) == expected + "\n"


def test_located_strings_lie_behind_the_record() -> None:
    data = bytearray(tracepoint_context("sched:sched_process_exec", filename=200 | 5 << 16, pid=8))
    data[200:208] = b"/bin/ls\0"
    text = "tracepoint:sched:sched_process_exec { print((str(args.filename), args.pid)); }"
    assert run_script(text, World(context=bytes(data))) == "(/bin/ls, 8)\n"


def test_arguments_as_a_whole_show_located_strings() -> None:
    data = bytearray(tracepoint_context("sched:sched_process_exec", filename=200 | 5 << 16, pid=8, old_pid=7))
    data[200:208] = b"/bin/ls\0"
    world = World(context=bytes(data))
    shown = "{ .filename = /bin/ls, .pid = 8, .old_pid = 7 }\n"
    assert run_script("tracepoint:sched:sched_process_exec { print(args); }", world) == shown
    assert run_script('tracepoint:sched:sched_process_exec { printf("%s|", args); }', world) == shown.replace("\n", "|")


def test_the_length_of_a_stored_stack() -> None:
    text = "kprobe:vfs_read { $s = kstack(3); @m = kstack(1); @k[1, kstack(1)] = 1; print((len($s), len(kstack), $s)); }"
    direct = run_script("kprobe:vfs_read { print((len(kstack(3)), len(kstack), kstack(3))); }", regs_world())
    assert run_script(text, regs_world()).startswith(direct)
    assert not compile_script("kprobe:vfs_read { @ = kstack(3); print(len(kstack)); }").warnings


def test_what_takes_the_kernels_own_pointers_makes_a_raw_tracepoint_typed() -> None:
    spec = compile_script("rawtracepoint:sched_switch { print(socket_cookie((struct sock *)arg1)); }")
    (program,) = spec.programs
    assert (program.type, program.attach_type, program.attach_target) == (26, 23, "sched_switch")
    (program,) = compile_script("rawtracepoint:sched_switch { print(arg1); }").programs
    assert (program.type, program.attach_target) == (17, "")


def test_arguments_are_keys_and_values() -> None:
    data = tracepoint_context("sched:sched_process_exit", comm=b"a\0", pid=3, prio=4)
    text = "tracepoint:sched:sched_process_exit { @[args.pid, args.comm] = args.prio; }"
    assert run_script(text, World(context=data)) == "@[3, a]: 4\n"


def test_a_raw_tracepoint_gives_typed_arguments() -> None:
    context = b"".join(n.to_bytes(8, "little") for n in (KERNEL, 5, 6, 7))
    world = World(context=context, kernel={KERNEL: bytes(4096)})
    assert run_script("rawtracepoint:sched_switch { print(arg1); }", world) == "5\n"


def test_probes_with_a_pattern_see_their_own_arguments() -> None:
    contexts = {
        "tracepoint:syscalls:sys_enter_setuid": tracepoint_context("syscalls:sys_enter_setuid", uid=7),
        "tracepoint:syscalls:sys_enter_setfsuid": tracepoint_context("syscalls:sys_enter_setfsuid", uid=9),
    }
    text = "tracepoint:syscalls:sys_enter_set*uid /probe != \"tracepoint:syscalls:sys_enter_setresuid\"/ { @[probe] = args.uid; }"
    with pytest.raises(Exception, match="does not contain a field named 'uid'"):
        run_script(text, World(contexts=contexts))
    text = "tracepoint:syscalls:sys_enter_setuid, tracepoint:syscalls:sys_enter_setfsuid { print(args.uid); }"
    assert run_script(text, World(contexts=contexts)) == "7\n9\n"


def test_only_the_wanted_process_passes() -> None:
    text = "kprobe:vfs_read { print(1); }"
    assert run_script(text, World(context=REGS, constants={"filter_pid": 1200}), has_pid=True) == "1\n"
    assert run_script(text, World(context=REGS, constants={"filter_pid": 7}), has_pid=True) == ""


def test_a_tracepoint_program_returns_one() -> None:
    outcome = run("tracepoint:sched:sched_switch { @ = 1; }")
    assert outcome.out == "@: 1\n"
