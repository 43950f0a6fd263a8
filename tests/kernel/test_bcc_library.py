"""What programs of bcc reach for below its documented face: C functions of libbcc, own tables on descriptors, signals."""

from __future__ import annotations

import ctypes as ct
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bcc_object import Made
from probee.bcc import libbcc, table
from probee.bcc.libbcc import lib
from probee.bcc.program import BPF
from probee.model.spec import MapType

pytestmark = pytest.mark.kernel

ENOENT, E2BIG = 2, 7


@pytest.fixture
def face() -> Iterator[BPF]:
    made = Made()
    made.numbers("counts")
    made.numbers("slots", MapType.ARRAY, entries=4)
    made.table("values", MapType.QUEUE, key=0, leaf=made.u64, sizes=(0, 8))
    made.table("events", MapType.PERF_EVENT_ARRAY, key=0, leaf=0, sizes=(4, 4), entries=0)
    made.table("ring", MapType.RINGBUF, key=0, leaf=0, sizes=(0, 0), entries=4096)
    made.function("drop", "r0 = 1\nexit")
    face = made.bpf()
    yield face
    face.cleanup()


def test_elements_are_read_and_written_by_descriptor(face: BPF) -> None:
    fd, key, value = face["counts"].map_fd, ct.c_uint(3), ct.c_ulonglong(7)
    assert lib.bpf_update_elem(fd, ct.byref(key), ct.byref(value), 0) == 0
    found = ct.c_ulonglong()
    assert lib.bpf_lookup_elem(fd, ct.byref(key), ct.byref(found)) == 0
    assert found.value == 7
    following = ct.c_uint()
    assert lib.bpf_get_first_key(fd, ct.byref(following), ct.sizeof(following)) == 0
    assert following.value == 3
    assert lib.bpf_get_next_key(fd, ct.byref(key), ct.byref(following)) < 0
    assert lib.bpf_delete_elem(fd, ct.byref(key)) == 0
    assert lib.bpf_delete_elem(fd, ct.byref(key)) < 0
    assert ct.get_errno() == ENOENT


def test_all_elements_are_moved_at_once(face: BPF) -> None:
    fd, count = face["counts"].map_fd, ct.c_uint32(2)
    keys, values = (ct.c_uint * 2)(1, 2), (ct.c_ulonglong * 2)(10, 20)
    if lib.bpf_update_batch(fd, keys, values, ct.byref(count)) < 0:
        pytest.skip("this kernel has no batches")
    count, position = ct.c_uint32(16), ct.c_uint64()
    keys, values = (ct.c_uint * 16)(), (ct.c_ulonglong * 16)()
    lib.bpf_lookup_batch(fd, None, ct.byref(position), keys, values, ct.byref(count))
    assert dict(zip(keys[: count.value], values[: count.value], strict=True)) == {1: 10, 2: 20}


def test_a_program_runs_on_a_packet(face: BPF) -> None:
    fd = face.load_func("drop", BPF.XDP).fd
    packet, size_out, result, duration = ct.create_string_buffer(64), ct.c_uint32(), ct.c_uint32(), ct.c_uint32()
    room = ct.create_string_buffer(1500)
    answer = lib.bpf_prog_test_run(
        fd, 1, ct.byref(packet), 64, ct.byref(room), ct.byref(size_out), ct.byref(result), ct.byref(duration)
    )
    assert (answer, size_out.value, result.value) == (0, 64, 1)
    options = libbcc.bpf_test_run_opts(data_in=ct.cast(packet, ct.c_void_p), data_size_in=64, repeat=1)
    options.sz = ct.sizeof(options)
    assert lib.bpf_prog_test_run_opts(fd, ct.byref(options)) == 0
    assert options.retval == 1


def test_types_of_arguments_and_results_can_be_set_as_a_library_s() -> None:
    lib.bpf_obj_get.argtypes = [ct.c_char_p]
    lib.bpf_obj_get.restype = ct.c_int
    assert lib.bpf_obj_get(b"/sys/fs/bpf/nobody/has/this") < 0
    assert ct.get_errno() == ENOENT


def test_why_the_kernel_made_no_map_is_told_by_errno() -> None:
    assert lib.bcc_create_map(MapType.HASH, b"huge", 4, 4, 1 << 31, 0) == -E2BIG
    assert ct.get_errno() == E2BIG


def test_a_function_that_is_not_there_is_told_by_its_name() -> None:
    with pytest.raises(AttributeError, match="no function bpf_fly of libbcc"):
        lib.bpf_fly(1)


class Own(table.HashTable):
    """A table as programs write them that have a descriptor from elsewhere, a pinned map's."""

    def __init__(self, fd: int) -> None:
        self.map_fd = fd
        self.Key = ct.c_uint
        self.Leaf = ct.c_ulonglong


def test_a_table_of_the_program_s_own_needs_a_descriptor_and_classes_only() -> None:
    fd = lib.bcc_create_map(table.BPF_MAP_TYPE_HASH, b"own", 4, 8, 5, 0)  # type: ignore[attr-defined]  # made at import
    try:
        own = Own(fd)
        own[ct.c_uint(1)] = ct.c_ulonglong(10)
        assert [(key.value, leaf.value) for key, leaf in own.items()] == [(1, 10)]
        assert (len(own), own.max_entries, own.ttype) == (1, 5, 1)
        own.clear()
        assert len(own) == 0
    finally:
        os.close(fd)


def test_a_pinned_map_is_opened_by_its_path(face: BPF, tmp_path: Path) -> None:
    path = f"/sys/fs/bpf/probee-test-{os.getpid()}".encode()
    if lib.bpf_obj_pin(face["counts"].map_fd, ct.c_char_p(path)) < 0:
        pytest.skip("no BPF file system is mounted")
    try:
        fd = lib.bpf_obj_get(ct.c_char_p(path))
        face["counts"][ct.c_uint(2)] = ct.c_ulonglong(20)
        assert Own(fd)[ct.c_uint(2)].value == 20
        os.close(fd)
    finally:
        os.unlink(path)


@pytest.mark.parametrize("key", [5, "five", [5]])
def test_keys_that_are_python_s_are_refused(face: BPF, key: Any) -> None:
    with pytest.raises(TypeError, match="a table's key is an object of ctypes"):
        face["counts"][key]


def test_leaves_that_are_python_s_are_refused(face: BPF) -> None:
    with pytest.raises(TypeError, match=r"as table\.Leaf\(\) makes them, not int"):
        face["slots"][0] = 5
    with pytest.raises(TypeError, match="a table's leaf"):
        face["values"].push(5)


def test_a_shorter_key_ends_in_zeros(face: BPF) -> None:
    face["counts"][ct.c_ubyte(9)] = ct.c_ushort(11)
    assert face["counts"][ct.c_uint(9)].value == 11


def test_a_raw_socket_is_the_program_s_to_close(face: BPF) -> None:
    made = Made()
    made.function("pass", "r0 = -1\nexit", type=1)
    other = made.bpf()
    function: Any = other.load_func("pass", BPF.SOCKET_FILTER)
    other.attach_raw_socket(function, "lo")
    other.cleanup()
    os.close(function.sock)


@pytest.mark.parametrize("poll", ["perf_buffer_poll", "ring_buffer_poll"])
def test_a_signal_ends_a_poll(face: BPF, poll: str) -> None:
    face["events"].open_perf_buffer(print)
    face["ring"].open_ring_buffer(print)
    told: list[int] = []
    old = signal.signal(signal.SIGALRM, lambda number, frame: told.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        start = time.monotonic()
        getattr(face, poll)(20_000)
        assert time.monotonic() - start < 10
        assert told == [signal.SIGALRM]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


GUARDED = """
struct guarded { struct bpf_spin_lock lock; u64 count; };
BPF_HASH(guards, u32, struct guarded, 4);
BPF_ARRAY(slots, u64, 4);
int take(struct xdp_md *ctx) {
    u32 key = 0;
    struct guarded *found = guards.lookup(&key);
    if (found) {
        bpf_spin_lock(&found->lock);
        found->count += 5;
        bpf_spin_unlock(&found->lock);
    }
    return XDP_DROP;
}
"""


def test_values_may_have_a_lock() -> None:
    """The kernel finds a struct bpf_spin_lock in a map's values by the map's types."""
    with BPF(text=GUARDED) as face:
        guards, fd = face["guards"], face.load_func("take", BPF.XDP).fd
        guards[ct.c_uint(0)] = guards.Leaf()
        assert lib.bpf_prog_test_run(fd, 3, ct.create_string_buffer(64), 64, None, None, None, None) == 0
        assert guards[ct.c_uint(0)].count == 15


SENDS = """
BPF_RINGBUF_OUTPUT(ring, 1);
int send(struct xdp_md *ctx) { u64 value = 7; ring.ringbuf_output(&value, sizeof(value), 0); return XDP_DROP; }
"""


def test_what_a_child_has_read_of_a_ring_does_not_come_again() -> None:
    found: list[int] = []
    with BPF(text=SENDS) as face:
        face["ring"].open_ring_buffer(lambda context, data, size: found.append(size))
        fd = face.load_func("send", BPF.XDP).fd
        lib.bpf_prog_test_run(fd, 3, ct.create_string_buffer(64), 64, None, None, None, None)
        child = os.fork()
        if child == 0:
            face.ring_buffer_consume()
            os._exit(len(found))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
        lib.bpf_prog_test_run(fd, 2, ct.create_string_buffer(64), 64, None, None, None, None)
        face.ring_buffer_consume()
        assert found == [8, 8]
