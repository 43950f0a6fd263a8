"""System calls without a kernel's help: attributes as bytes, retries, ownership of descriptors, lists of CPUs."""

from __future__ import annotations

import ctypes
import errno
import gc
import importlib.util
import mmap
import os
import struct
import sys
import types
from collections.abc import Iterator

import pytest

from probee.errors import KernelError, PermissionMissing
from probee.kernel.syscalls import bpf, btf, capability, cpu, fd, libc, perf, program, ring
from probee.kernel.syscalls import link as sys_link
from probee.kernel.syscalls import map as sys_map
from probee.kernel.syscalls.bpf import Command
from probee.kernel.syscalls.fd import Descriptor


class Recorder:
    """Stands in for the system call: keeps each attribute and gives prepared answers."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, bytes]] = []
        self.answers: list[int] = []

    def __call__(self, number: int, command: int, address: int, size: int) -> int:
        assert number == libc.SYS_BPF
        self.calls.append((command, ctypes.string_at(address, size)))
        return self.answers.pop(0) if self.answers else 3

    def field(self, form: str, offset: int) -> object:
        return struct.unpack_from(form, self.calls[-1][1], offset)[0]


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(bpf, "syscall", recorder)
    return recorder


# -- attributes: offsets of union bpf_attr in include/uapi/linux/bpf.h


def test_map_create_fills_the_attribute(kernel: Recorder) -> None:
    assert sys_map.map_create(5, 8, 16, 100, flags=1, name="a map", inner_map_fd=9, btf=(7, 11, 12)) == 3
    command, attribute = kernel.calls[0]
    assert (command, len(attribute)) == (Command.MAP_CREATE, 64)
    assert struct.unpack_from("=6I", attribute) == (5, 8, 16, 100, 1, 9)
    assert attribute[28:44] == b"a_map".ljust(16, b"\0")
    assert struct.unpack_from("=3I", attribute, 48) == (7, 11, 12)


def test_program_load_fills_the_attribute(kernel: Recorder) -> None:
    options = program.LoadAttribute(
        name="x", attach_type=42, flags=16, btf_fd=8, func_info=bytes(16), line_info=bytes(48), attach_btf_id=77,
        attach_btf_obj_fd=78, fd_array=(0, 5),
    )  # fmt: skip
    log = bytearray(100)
    program.program_load(2, bytes(24), options, log=log)
    command, attribute = kernel.calls[0]
    assert (command, len(attribute)) == (Command.PROG_LOAD, 128)
    expected = {0: 2, 4: 3, 24: 1, 28: 100, 40: 0, 44: 16, 64: 0, 68: 42, 72: 8, 76: 8, 88: 2, 92: 16, 104: 3, 108: 77, 112: 78}
    assert {offset: kernel.field("=I", offset) for offset in expected} == expected
    assert kernel.field("=Q", 32) == libc.address_of(log)
    assert attribute[48:64] == b"x".ljust(16, b"\0")


def test_program_load_without_btf_sends_no_records(kernel: Recorder) -> None:
    program.program_load(2, bytes(8), program.LoadAttribute(func_info=bytes(8), line_info=bytes(16)))
    assert len(kernel.calls[0][1]) == 120
    assert [kernel.field("=I", offset) for offset in (24, 76, 88, 92, 104)] == [0] * 5


def test_a_perf_link_without_cookie_stays_short(kernel: Recorder) -> None:
    sys_link.perf_link(4, 5)
    assert kernel.calls[-1] == (Command.LINK_CREATE, struct.pack("=IIII", 4, 5, 41, 0))
    sys_link.perf_link(4, 5, cookie=6)
    assert kernel.calls[-1][1] == struct.pack("=IIIIQ", 4, 5, 41, 0, 6)


def test_a_multi_link_points_to_every_name(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def look(_number: int, command: int, address: int, _size: int) -> int:
        fields = struct.unpack("=IIIIIIQQQ", ctypes.string_at(address, 48))
        pointers = struct.unpack("=2Q", ctypes.string_at(fields[6], 16))
        cookies = struct.unpack("=2Q", ctypes.string_at(fields[8], 16))
        seen.extend([command, fields[:6], fields[7], [ctypes.string_at(pointer) for pointer in pointers], cookies])
        return 3

    monkeypatch.setattr(bpf, "syscall", look)
    sys_link.kprobe_multi_link(4, ["first", "second"], cookies=[1, 2], on_return=True)
    assert seen == [Command.LINK_CREATE, (4, 0, 42, 0, 1, 2), 0, [b"first", b"second"], (1, 2)]


def test_a_raw_tracepoint_cookie_makes_the_attribute_longer(kernel: Recorder) -> None:
    sys_link.raw_tracepoint_open(4, "sys_enter")
    assert (len(kernel.calls[-1][1]), kernel.field("=I", 8)) == (12, 4)
    sys_link.raw_tracepoint_open(4, "", cookie=9)
    assert (len(kernel.calls[-1][1]), kernel.field("=Q", 0), kernel.field("=Q", 16)) == (24, 0, 9)


def test_a_perf_event_attribute_has_version_five(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def look(_number: int, address: int, pid: int, cpu_number: int, group: int, flags: int) -> int:
        seen.extend([ctypes.string_at(address, 112), pid, cpu_number, group, flags])
        return 3

    monkeypatch.setattr(perf, "syscall", look)
    perf.perf_event_open(8, 1, cpu=2, period=99, config1=0x1234, config2=16, frequency=True, disabled=True)
    attribute, *rest = seen
    assert isinstance(attribute, bytes)
    assert rest == [-1, 2, -1, 8]
    assert struct.unpack_from("=IIQQQQQ", attribute) == (8, 112, 1, 99, 0, 0, 1 | 1 << 10)
    assert struct.unpack_from("=QQ", attribute, 56) == (0x1234, 16)


@pytest.mark.parametrize(
    ("name", "taken"), [("short", b"short"), ("kprobe:vfs_*", b"kprobe_vfs__"), ("é" * 20, b"_" * 15), ("a.b_C9", b"a.b_C9")]
)
def test_names_of_objects_become_what_the_kernel_takes(name: str, taken: bytes) -> None:
    assert sys_map.object_name(name) == taken


# -- results and retries


def test_missing_keys_are_values_and_not_errors(kernel: Recorder) -> None:
    kernel.answers = [-errno.ENOENT] * 3
    assert sys_map.map_lookup(3, b"key.", 8) is None
    assert not sys_map.map_delete(3, b"key.")
    assert sys_map.map_next_key(3, None, 4) is None


def test_other_failures_are_kernel_errors_with_errno(kernel: Recorder) -> None:
    kernel.answers = [-errno.EINVAL]
    with pytest.raises(KernelError, match="look up a map's entry: Invalid argument") as caught:
        sys_map.map_lookup(3, b"key.", 8)
    assert caught.value.errno == errno.EINVAL


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.EMFILE, "ulimit -n"), (errno.ENOSYS, "CONFIG_BPF"), (errno.ENOMEM, "fewer or smaller"), (524, "not supported")],
)
def test_failures_say_what_to_do_where_that_is_known(number: int, words: str) -> None:
    assert words in str(bpf.failure(number, "create map x"))


def test_a_load_that_is_interrupted_is_made_again(kernel: Recorder) -> None:
    kernel.answers = [-errno.EAGAIN, -errno.EAGAIN, 9]
    assert program.program_load(2, bytes(8), program.LoadAttribute()) == 9
    kernel.answers = [-errno.EAGAIN] * 20
    assert program.program_load(2, bytes(8), program.LoadAttribute()) == -errno.EAGAIN


def test_a_system_call_that_a_signal_interrupts_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    results = iter([-1, -1, 5])
    monkeypatch.setattr(libc, "_syscall", lambda *_: next(results))
    monkeypatch.setattr(libc, "_get_errno", lambda: errno.EINTR)
    assert libc.syscall(1, 2) == 5


def test_memlock_is_raised_once_when_a_map_is_not_permitted(
    kernel: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(capability, "_memlock_tried", [])
    monkeypatch.setattr(resource, "getrlimit", lambda _: (65536, 65536))
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: limits.append(wanted))
    kernel.answers = [-errno.EPERM, 6]
    assert sys_map.map_create(1, 4, 4, 1) == 6
    assert limits == [(resource.RLIM_INFINITY, resource.RLIM_INFINITY)]
    kernel.answers = [-errno.EPERM, 6]
    with pytest.raises(PermissionMissing):
        sys_map.map_create(1, 4, 4, 1)


def test_memlock_that_is_unlimited_already_is_no_reason_to_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    monkeypatch.setattr(capability, "_memlock_tried", [])
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert not capability.raise_memlock()


def test_memlock_that_may_not_be_lifted_is_raised_to_its_hard_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    def refuse_infinity(_: int, wanted: tuple[int, int]) -> None:
        if wanted[0] == resource.RLIM_INFINITY:
            raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(capability, "_memlock_tried", [])
    monkeypatch.setattr(resource, "getrlimit", lambda _: (65536, 1 << 20))
    monkeypatch.setattr(resource, "setrlimit", refuse_infinity)
    assert capability.raise_memlock()


def test_the_soft_limit_of_open_files_is_lifted_when_it_is_reached(
    kernel: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    limits = [(1024, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: limits.append(wanted))
    kernel.answers = [-errno.EMFILE, 6]
    assert sys_map.map_create(1, 4, 4, 1) == 6
    assert limits == [(1024, 4096), (4096, 4096)]
    kernel.answers = [-errno.EMFILE]
    with pytest.raises(KernelError, match="ulimit -n"):
        sys_map.map_create(1, 4, 4, 1)


def test_btf_that_is_refused_is_sent_again_for_the_log(kernel: Recorder) -> None:
    kernel.answers = [-errno.EINVAL, -errno.EINVAL]
    with pytest.raises(KernelError, match="load the program's BTF"):
        btf.btf_load(b"nonsense")
    assert [struct.unpack_from("=II", attribute, 20) for _, attribute in kernel.calls] == [(0, 0), (1 << 16, 1)]


# -- addresses


def test_an_address_is_where_the_bytes_are() -> None:
    buffer = bytearray(b"hello")
    assert ctypes.string_at(libc.address_of(buffer), 5) == b"hello"
    assert libc.address_of(bytearray()) == 0


def test_without_the_fast_way_ctypes_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "_ctypes", types.ModuleType("_ctypes"))
    spec = importlib.util.spec_from_file_location("libc_by_ctypes", libc.__file__)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert "ctypes" in vars(module)
    number = {"x86_64": 39, "s390x": 20, "ppc64le": 20}.get(os.uname().machine, 172)  # getpid
    assert module.syscall(number, 0) == libc.syscall(number, 0) == os.getpid()
    assert module.syscall(99_999, 0) == libc.syscall(99_999, 0) == -errno.ENOSYS
    buffer = bytearray(b"hello")
    assert ctypes.string_at(module.address_of(buffer), 5) == b"hello"


# -- descriptors


@pytest.fixture
def watched() -> Iterator[None]:
    fd.watch()
    yield
    fd.watch(on=False)


def opened() -> int:
    return os.open("/dev/null", os.O_RDONLY)


def test_a_descriptor_is_closed_once() -> None:
    number = opened()
    descriptor = Descriptor(number, "null")
    assert descriptor.fd == descriptor.fileno() == number
    descriptor.close()
    descriptor.close()
    assert descriptor.closed
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
    with pytest.raises(ValueError, match="null is closed"):
        _ = descriptor.fd


def test_a_dropped_descriptor_closes_itself_and_complains() -> None:
    number = opened()
    with pytest.warns(ResourceWarning, match="null: never closed"):
        Descriptor(number, "null")
        gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_leaks_are_listed_with_the_stack_that_made_them(watched: None) -> None:
    descriptor = Descriptor(opened(), "the leaking one")
    (leak,) = fd.leaks()
    assert "the leaking one is still open" in leak
    assert "test_leaks_are_listed_with_the_stack_that_made_them" in leak
    descriptor.close()
    assert fd.leaks() == []


# -- CPUs and files


@pytest.mark.parametrize(
    ("text", "numbers"), [("0\n", [0]), ("0-3\n", [0, 1, 2, 3]), ("0-1,4,6-7\n", [0, 1, 4, 6, 7]), ("\n", [])]
)
def test_lists_of_cpus_are_read(text: str, numbers: list[int]) -> None:
    assert cpu.parse_cpu_list(text) == numbers


def test_this_machine_has_at_least_one_cpu_and_runs_on_it() -> None:
    assert cpu.possible_cpus() >= len(cpu.online_cpus()) >= 1


def test_a_pmu_that_does_not_exist_has_no_type() -> None:
    assert perf.pmu_type("no_such_pmu") is None
    assert perf.pmu_bit("no_such_pmu", "retprobe") == 0


# -- ring memory, on a file with the layout of a ring


def test_ring_memory_is_a_consumer_page_a_producer_page_and_data(tmp_path: object) -> None:
    page, size = mmap.PAGESIZE, mmap.PAGESIZE
    path = os.path.join(str(tmp_path), "ring")
    with open(path, "wb+") as file:
        file.write(struct.pack("=Q", 5).ljust(page, b"\0") + struct.pack("=Q", 16).ljust(page, b"\0"))
        file.write(b"data".ljust(size, b"\0") + b"DATA".ljust(size, b"\0"))
        file.flush()
        with ring.RingMemory(file.fileno(), size) as memory:
            assert (memory.consumer_position, memory.producer_position) == (5, 16)
            memory.consumer_position = 1 << 40
            assert (bytes(memory.data[:4]), bytes(memory.data[size : size + 4])) == (b"data", b"DATA")
            assert memory.mask == size - 1
        file.seek(0)
        assert struct.unpack("=Q", file.read(8)) == (1 << 40,)


def test_a_slice_of_the_ring_outlives_its_closing(tmp_path: object) -> None:
    path = os.path.join(str(tmp_path), "ring")
    with open(path, "wb+") as file:
        file.truncate(4 * mmap.PAGESIZE)
        memory = ring.RingMemory(file.fileno(), mmap.PAGESIZE)
        part = memory.data[:8]
        memory.close()
        assert bytes(part) == bytes(8)


def test_a_ring_that_cannot_be_mapped_says_so() -> None:
    with pytest.raises(KernelError, match="map the ring buffer into memory"):
        ring.RingMemory(-7, mmap.PAGESIZE)
