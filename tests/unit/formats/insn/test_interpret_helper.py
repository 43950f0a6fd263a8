from __future__ import annotations

import struct

import pytest

from probee.formats.insn.assemble import assemble
from probee.formats.insn.interpret import (
    ArrayMap,
    Environment,
    HashMap,
    InterpretError,
    Machine,
    Memory,
    PerfEventArray,
    StackTraceMap,
)
from probee.formats.insn.interpret.helper import HELPERS
from probee.model.helper import helper_id

EFAULT, ERANGE = -14, -34


def signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def machine(text: str, **options: object) -> Machine:
    return Machine(assemble(text), **options)  # type: ignore[arg-type]


def test_every_modelled_helper_exists_in_the_kernel() -> None:
    assert [name for name in HELPERS if helper_id(name) is None] == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ktime_get_ns", 1_000_000_000),
        ("ktime_get_boot_ns", 6_000_000_000),
        ("get_smp_processor_id", 3),
        ("get_current_pid_tgid", 1200 << 32 | 1234),
        ("get_current_uid_gid", 1001 << 32 | 1000),
        ("get_current_cgroup_id", 42),
        ("get_current_task", 0xFFFF_8880_DEAD_0000),
    ],
)
def test_environment_answers_helpers(name: str, expected: int) -> None:
    environment = Environment()
    environment.cpu = 3
    environment.task = 0xFFFF_8880_DEAD_0000
    result = machine(f"call {name}\nexit", environment=environment).run()
    assert result.r0 == expected
    assert result.helper_calls == {name: 1}


def test_time_passes_when_told_to() -> None:
    environment = Environment()
    environment.tick_ns = 10
    assert machine("call ktime_get_ns\nr6 = r0\ncall ktime_get_ns\nr0 -= r6\nexit", environment=environment).run().r0 == 10


def test_random_numbers_repeat_from_machine_to_machine() -> None:
    text = "call get_prandom_u32\nr6 = r0\ncall get_prandom_u32\nr6 <<= 32\nr0 |= r6\nexit"
    first, second = machine(text).run().r0, machine(text).run().r0
    assert first == second
    assert first >> 32 != first & 0xFFFFFFFF


def test_comm_is_cut_and_padded() -> None:
    text = "r1 = r10\nr1 += -8\nr2 = 8\ncall get_current_comm\nr0 = *(u64 *)(r10 - 8)\nexit"
    environment = Environment()
    assert machine(text, environment=environment).run().r0.to_bytes(8, "little") == b"probee\0\0"
    environment.comm = b"a-long-name-of-a-process"
    assert machine(text, environment=environment).run().r0.to_bytes(8, "little") == b"a-long-\0"


READ = """
    r3 = const[source] ll
    r1 = r10
    r1 += -16
    r2 = 8
    call {helper}
    r6 = r0
    r7 = *(u64 *)(r10 - 16)
    r1 = *(u64 *)(r10 - 8)
    r0 = r6
    exit
"""


def read(helper: str, memory: Memory, source: int) -> tuple[int, bytes]:
    """Run one read of 8 bytes; return its result and what it left behind."""
    text = READ.format(helper=helper)
    value = machine(text.replace("r0 = r6", "r0 = r7"), constants={"source": source}, memory=memory).run().r0
    return signed(machine(text, constants={"source": source}, memory=memory).run().r0), value.to_bytes(8, "little")


def test_probe_read_copies_or_zeroes() -> None:
    memory = Memory()
    kernel = memory.add(b"0123456789", "kernel").base
    user = memory.add(b"abcdefghij", "user").base
    assert read("probe_read_kernel", memory, kernel + 2) == (0, b"23456789")
    assert read("probe_read_kernel", memory, kernel + 3) == (EFAULT, bytes(8))
    assert read("probe_read_kernel", memory, 0) == (ERANGE, bytes(8))
    assert read("probe_read_kernel", memory, user) == (ERANGE, bytes(8))
    assert read("probe_read_user", memory, user) == (0, b"abcdefgh")
    assert read("probe_read_user", memory, kernel) == (EFAULT, bytes(8))
    assert read("probe_read", memory, kernel) == (0, b"01234567")
    assert read("probe_read", memory, user) == (0, b"abcdefgh")


def test_string_read_stops_at_nul_or_size() -> None:
    memory = Memory()
    kernel = memory.add(b"short\0rest of memory", "kernel").base
    user = memory.add(b"unfinished", "user").base
    assert read("probe_read_kernel_str", memory, kernel) == (6, b"short\0\xa5\xa5")
    assert read("probe_read_kernel_str", memory, kernel + 6) == (8, b"rest of\0")
    assert read("probe_read_kernel_str", memory, kernel + 16) == (EFAULT, bytes(8))
    assert read("probe_read_user_str", memory, user) == (8, b"unfinis\0")
    assert read("probe_read_str", memory, user) == (8, b"unfinis\0")


def test_read_beyond_the_destination_is_an_error_of_the_program() -> None:
    memory = Memory()
    source = memory.add(bytes(64), "kernel").base
    text = "r3 = const[source] ll\nr1 = r10\nr1 += -8\nr2 = 16\ncall probe_read_kernel\nexit"
    with pytest.raises(InterpretError, match=r"call probe_read_kernel: write of 16 bytes"):
        machine(text, constants={"source": source}, memory=memory).run()


def test_unset_helper_argument_is_an_error() -> None:
    with pytest.raises(InterpretError, match="unset"):
        machine("r1 = map[m] ll\ncall map_lookup_elem\nexit", maps={"m": ArrayMap(4, 8, 1)}).run()


def test_wrong_map_is_an_error() -> None:
    with pytest.raises(InterpretError, match="is no map"):
        machine("r1 = 5\nr2 = r10\ncall map_lookup_elem\nexit").run()
    with pytest.raises(InterpretError, match="is no ring buffer"):
        text = "r1 = map[m] ll\nr2 = 8\nr3 = 0\ncall ringbuf_reserve\nexit"
        machine(text, maps={"m": ArrayMap(4, 8, 1)}).run()


def test_helper_can_be_given_and_a_missing_one_is_named() -> None:
    program = "r1 = 20\ncall tcp_sock\nexit"
    with pytest.raises(InterpretError, match="tcp_sock is not modelled"):
        machine(program).run()
    assert machine(program, helpers={"tcp_sock": lambda m, r1, *_: r1 + 1}).run().r0 == 21
    kfunc = "r1 = 20\ncall kfunc[bpf_double]\nexit"
    result = machine(kfunc, helpers={"bpf_double": lambda m, r1, *_: 2 * r1}).run()
    assert (result.r0, result.helper_calls) == (40, {"bpf_double": 1})


LOOP = """
    *(u64 *)(r10 - 8) = 0
    r1 = {count}
    r2 = func[add] ll
    r3 = r10
    r3 += -8
    r4 = 0
    call loop
    r6 = *(u64 *)(r10 - 8)
    r6 <<= 32
    r0 |= r6
    exit
"""
ADD = "r3 = *(u64 *)(r2 + 0)\nr3 += r1\n*(u64 *)(r2 + 0) = r3\nr0 = 0\nif r1 < 6 goto +1\nr0 = 1\nexit"


@pytest.mark.parametrize(("count", "iterations", "total"), [(0, 0, 0), (4, 4, 6), (100, 7, 21)])
def test_loop_calls_back_until_told_to_stop(count: int, iterations: int, total: int) -> None:
    result = machine(LOOP.format(count=count), functions={"add": assemble(ADD)}).run()
    assert (result.r0 & 0xFFFFFFFF, result.r0 >> 32) == (iterations, total)


def test_loop_refuses_too_many_iterations() -> None:
    text = LOOP.format(count=(1 << 23) + 1).replace("r0 |= r6", "")
    assert signed(machine(text, functions={"add": assemble(ADD)}).run().r0) == -7


def test_for_each_visits_every_element() -> None:
    main = LOOP.replace("r1 = {count}", "r1 = map[m] ll").replace("call loop", "call for_each_map_elem")
    callback = """
        r5 = *(u32 *)(r2 + 0)
        r6 = *(u64 *)(r3 + 0)
        r5 *= r6
        r6 = *(u64 *)(r4 + 0)
        r6 += r5
        *(u64 *)(r4 + 0) = r6
        r0 = 0
        exit"""
    model = HashMap(4, 8, 10)
    it = machine(main, maps={"m": model}, functions={"add": assemble(callback)})
    for key, value in ((2, 3), (5, 7)):
        model.update(struct.pack("<I", key), struct.pack("<Q", value))
    assert it.run().r0 == 41 << 32 | 2


def test_callback_must_be_a_function() -> None:
    with pytest.raises(InterpretError, match="no function"):
        machine("r1 = 1\nr2 = r10\nr3 = 0\nr4 = 0\ncall loop\nexit").run()


def test_perf_event_output_and_stack_identity_reach_their_maps() -> None:
    events, stacks = PerfEventArray(), StackTraceMap(127, 1024)
    text = """
        r6 = r1
        *(u64 *)(r10 - 8) = 5
        r2 = map[events] ll
        r3 = 0xffffffff ll
        r4 = r10
        r4 += -8
        r5 = 8
        call perf_event_output
        r1 = r6
        r2 = map[stacks] ll
        r3 = 256
        call get_stackid
        exit"""
    environment = Environment()
    result = machine(text, maps={"events": events, "stacks": stacks}, environment=environment).run()
    assert events.records == [(0, struct.pack("<Q", 5))]
    assert stacks.stacks[result.r0] == tuple(environment.user_stack)


def test_get_stack_copies_frames_and_zeroes_the_rest() -> None:
    text = "r2 = r10\nr2 += -32\nr3 = 32\nr4 = 1\ncall get_stack\nr6 = *(u64 *)(r10 - 32)\nr7 = *(u64 *)(r10 - 24)\nr0 |= r7\n"
    environment = Environment()
    environment.kernel_stack = [1, 2]
    assert machine(text + "exit", environment=environment).run().r0 == 8
    assert machine(text + "r0 = r6\nexit", environment=environment).run().r0 == 2


@pytest.mark.parametrize(
    ("second", "size", "expected"), [(b"abc\0", 8, 0), (b"abd\0", 8, -1), (b"ab\0", 8, 1), (b"abx\0", 2, 0)]
)
def test_strncmp_compares_to_the_nul_or_size(second: bytes, size: int, expected: int) -> None:
    memory = Memory()
    constants = {"a": memory.add(b"abc\0\xff\xff\xff\xff", "kernel").base, "b": memory.add(second, "kernel").base}
    text = f"r1 = const[a] ll\nr2 = {size}\nr3 = const[b] ll\ncall strncmp\nexit"
    assert signed(machine(text, memory=memory, constants=constants).run().r0) == expected


def test_trace_printk_formats_its_arguments() -> None:
    memory = Memory()
    template = b"%d %5u|%llx%%\0"
    text = "r1 = const[f] ll\nr2 = 14\nr3 = -1\nr4 = 7\nr5 = -1\ncall trace_printk\nexit"
    it = machine(text, memory=memory, constants={"f": memory.add(template, "kernel").base})
    it.run()
    assert it.environment.trace == ["-1     7|" + "f" * 16 + "%"]


def test_snprintf_reports_the_whole_length() -> None:
    memory = Memory()
    name = memory.add(b"name\0", "kernel").base
    constants = {"f": memory.add(b"%s=%lu\0", "kernel").base, "name": name}
    text = """
        r1 = const[name] ll
        *(u64 *)(r10 - 16) = r1
        *(u64 *)(r10 - 8) = 12345
        r1 = r10
        r1 += -24
        r2 = 8
        r3 = const[f] ll
        r4 = r10
        r4 += -16
        r5 = 16
        call snprintf
        r6 = *(u64 *)(r10 - 24)
        {end}
        exit"""
    assert machine(text.format(end=""), memory=memory, constants=constants).run().r0 == len("name=12345") + 1
    result = machine(text.format(end="r0 = r6"), memory=memory, constants=constants).run().r0
    assert result.to_bytes(8, "little") == b"name=12\0"
