"""Functions: what prints, and what makes values that print in their own way; run in the interpreter."""

from __future__ import annotations

import os

import pytest

from script_harness import World, run, run_script

KERNEL = 0xFFFF_A000_0000_0000
BYTES = bytes((1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0xFE))

PRINTED = [
    ("ntop(0x0100007f)", "127.0.0.1"),
    ("ntop((uint32)0)", "0.0.0.0"),
    ("ntop(2, 0x0100007f)", "127.0.0.1"),
    ('ntop(pton("10.1.2.3"))', "10.1.2.3"),
    ('ntop(pton("2001:db8::1"))', "2001:db8::1"),
    (f"ntop(10, (uint8 *){KERNEL})", "102:304:506:708:90a:b0c:d0e:ffe"),
    ('pton("127.0.0.1")', "[127,0,0,1]"),
    ('(uint32)pton("127.0.0.1")', "16777343"),
    (f"macaddr({KERNEL})", "01:02:03:04:05:06"),
    (f"macaddr(*(uint8[6] *){KERNEL + 10})", "0B:0C:0D:0E:0F:FE"),
    ("bswap((uint16)0x1234)", "13330"),
    ("bswap((uint32)0x12345678)", "2018915346"),
    ("bswap((uint64)1)", "72057594037927936"),
    ("bswap((uint8)5)", "5"),
    ("bswap(bswap($x))", "77"),
    ('kaddr("vfs_read")', str(0xFFFF_FFFF_8100_0000)),
    ('strftime("%Y", 0) != ""', None),
    ("username", None),
    ("sizeof(uint64)", "8"),
    ("sizeof($x)", "1"),
    ('is_str("a")', "true"),
    ("is_str(1)", "false"),
    ("is_ptr(curtask)", "true"),
    ("is_integer($x)", "true"),
    ("is_unsigned_integer((uint8)1)", "true"),
    ("is_array((int8[2])(int16)1)", "true"),
    ("is_literal(5)", "true"),
    ("is_literal($x)", "false"),
    ("config().max_strlen", "1024"),
    ("config().stack_mode", "bpftrace"),
    ("config().print_maps_on_exit", "true"),
    ("kptr($x)", "0x4d"),
    ('getopt("missing", 5)', "5"),
    ('getopt("given", 5)', "17"),
    ('getopt("text", "x")', "some"),
    ('getopt("flag")', "true"),
    ('getopt("off", true)', "false"),
    ('getopt("absent")', "false"),
    ("cgroupid(\"/\") > 0", None),
    ('memcmp("abc", "abd", 3)', "-1"),
    ('memcmp("abd", "abc", 3)', "1"),
    ('memcmp("abc", "abd", 2)', "0"),
    ("memcmp((1, 2, 300), (1, 2, 300), 4)", "0"),
    ("memcmp((int64)-1, (int64)1, 8)", "-2"),
    ("memcmp($x, $x, 0)", "0"),
    ('kfunc_exist("bpf_task_from_pid")', "false"),
    ('kfunc_allowed("bpf_task_from_pid")', "false"),
    ("comm()", "probee"),
    ("comm(1)", "[unknown]"),
    ("sizeof(comm(1))", "64"),
]


@pytest.mark.parametrize(("expression", "expected"), [row for row in PRINTED if row[1] is not None])
def test_functions_give(expression: str, expected: str) -> None:
    world = World(kernel={KERNEL: BYTES})
    named = ("--given=0x11", "--text=some", "--flag", "--off=no")
    wanted = tuple(word for word in named if f'"{word[2:].partition("=")[0]}"' in expression)
    text = f"begin {{ $x = 77; print({expression}); }}"
    assert run_script(text, world, named=wanted) == expected + "\n"


def test_times_are_formatted_in_user_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probee.runtime.resolve.Resolver.clock_offset", lambda self, clock: 1_000_000_000_000_000_000)
    monkeypatch.setenv("TZ", "UTC")
    import time

    time.tzset()
    text = 'begin { print(strftime("%Y-%m-%d %H:%M:%S.%f", 1500000)); $t = strftime("%H", 0); printf("%s\\n", $t); @[$t] = 1; }'
    assert run_script(text) == "2001-09-09 01:46:40.001500\n01\n@[01]: 1\n"


def test_time_prints_now() -> None:
    assert run_script('begin { time("%%|"); }') == "%|"
    assert len(run_script("begin { time(); }")) == len("00:00:00\n")


def test_names_of_users_and_cgroups_are_looked_up() -> None:
    world = World()
    world.environment.uid = 0
    assert run_script("begin { print(username); @[username] = uid; }", world) == "root\n@[root]: 0\n"


MESSAGES = [
    ('errorf("bad %d", 5);', "stdin:1:9-28: ERROR: bad 5"),
    ('warnf("hm %s", comm);', "stdin:1:9-29: WARNING: hm probee"),
    ('if (1) { errorf("x"); }', "stdin:1:18-29: ERROR: x"),
]


@pytest.mark.parametrize(("statement", "expected"), MESSAGES)
def test_messages_name_their_place(statement: str, expected: str) -> None:
    done = run(f"begin {{ {statement} }}")
    assert done.err.splitlines()[0] == expected
    assert done.out == ""


def test_assert_ends_the_script() -> None:
    done = run('begin { assert(1 == 1, "fine"); $x = 0; assert($x, "not so"); print(1); }')
    assert (done.out, done.status) == ("", 1)
    assert "ERROR: assert failed: not so" in done.err


def test_cat_shows_a_file(tmp_path: object) -> None:
    path = os.path.join(str(tmp_path), "file5")
    with open(path, "w") as file:
        file.write("first\nsecond\n")
    assert run_script(f'begin {{ cat("{path[:-1]}%d", 5); }}') == "first\nsecond\n"
    limited = {"environment": {"BPFTRACE_MAX_CAT_BYTES": "3"}}
    assert run_script(f'begin {{ cat("{path}"); }}', **limited) == "fir"
    assert "failed to open file '/none' (No such file or directory)" in run('begin { cat("/none"); }').err


def test_system_runs_a_command_when_that_is_allowed() -> None:
    assert run_script('begin { system("echo %s %d", "a", 5); }', unsafe=True) == "a 5\n"


def test_printf_takes_many_arguments() -> None:
    form = " ".join(["%d"] * 30)
    numbers = ", ".join(str(n) for n in range(30))
    assert run_script(f'begin {{ printf("{form}", {numbers}); }}') == " ".join(str(n) for n in range(30))


def test_the_arguments_of_printf_are_evaluated_once_and_in_order() -> None:
    assert run_script('begin { $x = 1; printf("%d %d %d\\n", $x++, $x++, $x); }') == "1 2 3\n"
    assert run_script('begin { printf("%d %d\\n", @x++, @x++); }') == "0 1\n@x: 2\n"


def test_leaving_in_an_argument_prints_nothing() -> None:
    assert run_script('begin { printf("%d\\n", { if (1) { return; } 5 }); }') == ""


MACROS = [
    ("macro add(a, b) { a + b } begin { print(add(1, 2)); }", "3\n"),
    ("macro bump($v) { $v += 1; } begin { $x = 1; bump($x); print($x); }", "2\n"),
    ("macro put(@m, k) { @m[k] = 1; } begin { put(@a, 5); }", "@a[5]: 1\n"),
    ('macro say(s) { printf("%s\\n", s); } begin { say("hi"); }', "hi\n"),
    ("macro twice(e) { e; e; } begin { twice({ @x++; }); }", "@x: 2\n"),
    ("macro pick(T, v) { (T)v } begin { print(pick(typeof(uint8), 300)); }", "44\n"),
    ('macro fmt(f) { printf(f, 5) } begin { fmt("%d!\\n"); }', "5!\n"),
    ("macro early(c) { if (c) { exit(); } } begin { early(1); print(1); }", ""),
    ("macro cpu() { 99 } begin { print(cpu); }", "99\n"),
]


@pytest.mark.parametrize(("text", "expected"), MACROS)
def test_macros_run(text: str, expected: str) -> None:
    assert run_script(text) == expected


def test_options_that_nobody_asks_for_are_refused() -> None:
    from probee.errors import UsageError

    with pytest.raises(UsageError, match="unexpected program command line options: --bb\nHINT: expected program options: --aa"):
        run('begin { print(getopt("aa", 10)); }', named=("--bb",))
    with pytest.raises(UsageError, match=r"program command line option --aa invalid integer \(value: False\)"):
        run('begin { print(getopt("aa", 10)); }', named=("--aa=False",))
    with pytest.raises(UsageError, match="expected program options:\n--aa: First\n--bb"):
        run('begin { print((getopt("aa", 10, "First"), getopt("bb"))); }', named=("--help",))


def test_signals_are_sent_when_that_is_allowed() -> None:
    world = World(context=bytes(168))
    run('kprobe:vfs_read { signal("KILL"); signal("SIGUSR1"); signal(15); $s = 2; signal($s); }', world, unsafe=True)
    assert world.environment.signals == [9, 10, 15, 2]


def test_processes_have_the_numbers_of_our_own_namespace() -> None:
    text = 'begin { printf("%d %d %d %d\\n", pid, tid(curr_ns), pid(init), tid(init)); }'
    assert run_script(text) == "1200 1234 1200 1234\n"
    outcome = run(text, pid_namespace=True)
    assert outcome.out == "1200 1234 1200 1234\n"
    assert {constant.kind for constant in outcome.spec.constants} >= {"self_pidns_dev", "self_pidns_ino"}


def test_debugf_writes_to_the_trace_pipe() -> None:
    world = World()
    run('begin { debugf("at %d %s %x", 5, comm, 255); }', world)
    assert world.environment.trace == ["at 5 probee ff"]


FUNCTIONS = [
    ("fn add($a: int64, $b: int64): int64 { return $a + $b; } begin { $x = 5; print(add($x, add($x, 1))); }", "11\n"),
    ('fn f($s: string[16]): string[16] { if ($s == "a") { return "x"; } return $s; } begin { print((f("a"), f(comm))); }',
     "(x, probee)\n"),
    ("fn f($n: int64): void { if ($n > 1) { exit(); } print($n); } begin { for ($i : 0..9) { f($i); } }", "0\n1\n"),
    ("fn f($n: int64): int64 { for ($i : 0..$n) { if ($i == 3) { return $i; } } return -1; } begin { print((f(9), f(2))); }",
     "(3, -1)\n"),
    ("fn f($a: uint8): uint8 { return $a; } fn g(): uint8 { return f(7); } begin { print(g()); @ = g(); }", "7\n@: 7\n"),
    ("fn count_up(): void { @n++; } begin { count_up(); count_up(); } interval:s:1 { count_up(); }", "@n: 3\n"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), FUNCTIONS)
def test_functions_of_the_script_are_called(text: str, expected: str) -> None:
    assert run_script(text) == expected


def test_failing_helpers_are_named() -> None:
    done = run("let @m = hash(1); begin { @m[1] = 1; @m[2] = 2; }")
    assert "Additional Info - helper: map_update_elem, retcode: -7" in done.err
    quiet = run("begin { @[1] = 1; print(@[2]); }")
    assert quiet.err == ""
    told = run("begin { @[1] = 1; print(@[2]); }", warning_level=2)
    assert told.err.startswith("stdin:1:25-29: WARNING: Can't lookup map element because it does not exist.\n")


READS = [  # what is read, and the helper
    ("print(*(uint64 *)8);", "probe_read_kernel"),
    ("$x = *(struct pair *)8;", "probe_read_kernel"),
    ("print(((struct pair *)8).b);", "probe_read_kernel"),
    ("print(str(8));", "probe_read_kernel_str"),
    ("print(str(uptr((uint8 *)8)));", "probe_read_user_str"),
    ("print(*uptr((uint8 *)8));", "probe_read_user"),
    ("for ($i : 0..1) { print(*(uint64 *)8); }", "probe_read_kernel"),
    ("$t = (1, *(int32 *)8);", "probe_read_kernel"),
]


@pytest.mark.parametrize(("text", "helper"), READS)
def test_failing_reads_are_named_on_demand(text: str, helper: str) -> None:
    text = "struct pair { int a; int b; long c[40]; } begin { " + text + " }"
    assert run(text).err == ""
    told = run(text, warning_level=2).err
    assert told.count("Additional Info - helper: ") == 1
    assert f"Additional Info - helper: {helper}, retcode: {-14 if 'user' in helper else -34}\n" in told
    assert run(text).out == run(text, warning_level=2).out


def test_time_series_keep_the_newest_intervals() -> None:
    text = (
        "config = { unstable_tseries = enable; print_maps_on_exit = false } "
        "begin { @ts = (uint64)1s; for ($i : 0..6) { @s = tseries($i, 100ms, 4); @ts += 100ms; } }"
    )
    outcome = run(text, environment={"BPFTRACE_DUMMY_TS_MAP": "@ts"})
    points = outcome.maps["@s"].rows[0][1].points
    assert [value for _, value in points] == [2, 3, 4, 5]
    halves = text.replace("100ms, 4)", '100ms, 4, "sum")').replace("+= 100ms", "+= 50ms")
    merged = run(halves, environment={"BPFTRACE_DUMMY_TS_MAP": "@ts"})
    assert [value for _, value in merged.maps["@s"].rows[0][1].points] == [1, 5, 9]


def test_texts_of_numbers_that_have_none() -> None:
    text = 'begin { $x = 9999; print((strerror($x), signal_name($x), syscall_name($x))); @[strerror($x)] = signal_name($x); }'
    assert run_script(text) == "(Unknown error, N/A, Unknown syscall)\n@[Unknown error]: N/A\n"


def test_texts_of_numbers_are_bpftraces() -> None:
    text = "begin { $x = 5; print(strerror($x)); print(strerror(11)); $y = 462; print(syscall_name($y)); }"
    assert run_script(text) == "I/O error\nTry again (operation would block)\nmseal\n"
