"""C programs of the rarer kinds through bcc's face: iterators, LSM, changed results, local storage, pinned and nested maps.

Each does something that is seen: what it denies is denied, what it keeps is there for the next.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from struct import calcsize, unpack_from

import pytest

from probee.bcc.libbcc import lib
from probee.bcc.program import BPF
from probee.errors import ProbeeError

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(400)]

OWN = str(os.getpid())


def text(program: str) -> str:
    return program.replace("OWN", OWN)


@contextlib.contextmanager
def descriptor(number: int) -> Iterator[int]:
    """A descriptor of the kernel's making, closed in the end."""
    assert number >= 0, os.strerror(-number)
    try:
        yield number
    finally:
        os.close(number)


@pytest.fixture
def trampolines() -> None:
    """Skip where programs for functions of the kernel are refused."""
    try:
        with BPF(text="KFUNC_PROBE(vfs_read, struct file *file) { return 0; }"):
            pass
    except ProbeeError as error:
        pytest.skip(f"programs for functions of the kernel are refused: {error}")


ITERATOR = """
BPF_ITER(task)
{
    struct seq_file *seq = ctx->meta->seq;
    struct task_struct *task = ctx->task;
    if (task == (void *)0)
        return 0;
    if (task->tgid == OWN) {
        struct { u32 pid; char comm[16]; } row = {task->pid};
        bpf_probe_read_kernel_str(row.comm, sizeof(row.comm), task->comm);
        bpf_seq_write(seq, &row, sizeof(row));
    }
    return 0;
}
"""


def test_an_iterator_writes_a_row_for_each_of_our_threads() -> None:
    ready, done = threading.Event(), threading.Event()

    def wait() -> None:
        ready.set()
        done.wait()

    thread = threading.Thread(target=wait)
    thread.start()
    ready.wait()
    try:
        with BPF(text=text(ITERATOR)) as face:
            function = face.load_func("bpf_iter__task", BPF.TRACING)
            with descriptor(lib.bcc_iter_attach(function.fd, None, 0)) as link, descriptor(lib.bcc_iter_create(link)) as walk:
                expected = {int(name) for name in os.listdir("/proc/self/task")}  # another test's may be among them
                rows = os.read(walk, 4096)
    finally:
        done.set()
        thread.join()
    size = calcsize("I16s")
    found = dict(unpack_from("I16s", rows, at) for at in range(0, len(rows), size))
    assert set(found) == expected >= {os.getpid(), thread.native_id}
    assert found[os.getpid()].rstrip(b"\0") == Path("/proc/self/comm").read_bytes().strip()


LSM = """
BPF_ARRAY(asked, u64, 1);
LSM_PROBE(inode_mkdir, struct inode *dir, struct dentry *dentry, umode_t mode, int ret)
{
    if (bpf_get_current_pid_tgid() >> 32 != OWN)
        return ret;
    asked.increment(0);
    return (mode & 0777) == 0712 ? -EPERM : ret;
}
"""


def test_an_lsm_hook_denies_what_it_is_told_to_deny(trampolines: None, tmp_path: Path) -> None:
    if not BPF.support_lsm():
        pytest.skip("this kernel has no BPF LSM")
    with BPF(text=text(LSM)) as face:
        if "bpf" not in active_modules():
            pytest.skip("bpf is not among the active security modules: attached, but nothing asks it")
        (tmp_path / "allowed").mkdir(0o700)
        with pytest.raises(PermissionError):
            (tmp_path / "denied").mkdir(0o712)
        assert face["asked"][0].value >= 2  # of a file system in layers, each is asked
    (tmp_path / "denied").mkdir(0o712)


def active_modules() -> list[str]:
    try:
        return Path("/sys/kernel/security/lsm").read_text().split(",")
    except FileNotFoundError:
        return []


RESULT = """
KMOD_RET(security_inode_rmdir, struct inode *dir, struct dentry *dentry, int ret)
{
    return bpf_get_current_pid_tgid() >> 32 == OWN ? -ENOANO : 0;
}
"""


def test_a_function_is_given_a_result_instead_of_running(trampolines: None, tmp_path: Path) -> None:
    if not BPF.support_fmod_ret():
        pytest.skip("this kernel has no programs that change results")
    (tmp_path / "kept").mkdir()
    with BPF(text=text(RESULT)) as face:
        face.attach_fmod_ret("kmod_ret__security_inode_rmdir")
        with pytest.raises(OSError) as caught:
            (tmp_path / "kept").rmdir()
    assert caught.value.errno == errno.ENOANO
    (tmp_path / "kept").rmdir()


STORAGE = """
BPF_TASK_STORAGE(seen, u64);
BPF_ARRAY(most, u64, 1);
KFUNC_PROBE(vfs_read, struct file *file)
{
    if (bpf_get_current_pid_tgid() >> 32 != OWN)
        return 0;
    u64 *count = seen.task_storage_get(bpf_get_current_task_btf(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
    if (count) {
        *count += 1;
        most.update(&(int){0}, count);
    }
    return 0;
}
"""


def test_a_task_s_storage_keeps_a_count_for_each_thread(trampolines: None, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        face = BPF(text=text(STORAGE))
    except ProbeeError:
        assert "this kernel has no maps of type task_storage" in capsys.readouterr().err
        return
    with face:
        for expected in (3, 3):  # another thread begins anew
            thread = threading.Thread(target=read_often, args=(3,))
            thread.start()
            thread.join()
            assert face["most"][0].value == expected


def read_often(count: int) -> None:
    with open("/proc/self/stat", "rb", buffering=0) as file:
        for _ in range(count):
            file.read(1)


PINNED = 'BPF_TABLE_PINNED("hash", u32, u64, kept, 16, "PATH");\nint f(struct xdp_md *ctx) { return XDP_PASS; }'


@pytest.fixture
def bpf_file_system(tmp_path: Path) -> Iterator[Path]:
    """A directory in a BPF file system: the system's, or one that is mounted for the test."""
    libc = ctypes.CDLL(None, use_errno=True)
    where = tmp_path / "bpf"
    where.mkdir()
    if libc.mount(b"bpf", os.fsencode(where), b"bpf", 0, None):
        pytest.skip(f"no BPF file system can be mounted: {os.strerror(ctypes.get_errno())}")
    yield where
    libc.umount2(os.fsencode(where), 2)


def test_a_pinned_table_outlives_the_program_that_made_it(bpf_file_system: Path) -> None:
    program = PINNED.replace("PATH", str(bpf_file_system / "kept"))
    with BPF(text=program) as face:
        face["kept"][ctypes.c_uint(7)] = ctypes.c_ulonglong(70)
    with BPF(text=program) as face:
        assert {key.value: leaf.value for key, leaf in face["kept"].items()} == {7: 70}


NESTED = """
BPF_ARRAY(first, u64, 2);
BPF_ARRAY(second, u64, 2);
BPF_ARRAY_OF_MAPS(outer, "first", 2);
BPF_HASH(wanted, u32, u32, 1);
int count(struct xdp_md *ctx)
{
    u32 none = 0, one = 1, *which = wanted.lookup(&none);
    void *inner;
    u64 *value;
    if (!which)
        return XDP_ABORTED;
    inner = outer.lookup((int *)which);
    if (!inner)
        return XDP_ABORTED;
    value = bpf_map_lookup_elem(inner, &one);
    if (!value)
        return XDP_ABORTED;
    *value += 5;
    return XDP_PASS;
}
"""


def test_a_map_of_maps_leads_to_the_one_that_is_asked_for() -> None:
    with BPF(text=NESTED) as face:
        for index, name in enumerate(("first", "second")):
            face["outer"][ctypes.c_int(index)] = ctypes.c_int(face[name].get_fd())
        face["wanted"][ctypes.c_uint(0)] = ctypes.c_uint(1)
        run_once(face, "count", BPF.XDP)
        assert [[leaf.value for leaf in face[name].values()] for name in ("first", "second")] == [[0, 0], [0, 5]]


def run_once(face: BPF, name: str, type: int) -> int:
    from probee.kernel.syscalls.program import program_test_run

    return program_test_run(face.load_func(name, type).fd, data=bytes(64)).value


TRIE = """
struct prefix { u32 length; u8 address[4]; };
BPF_LPM_TRIE(routes, struct prefix, u32, 16);
BPF_QUEUE(order, u32, 4);
BPF_STACK(reverse, u32, 4);
BPF_PERCPU_ARRAY(each, u32, 1);
int route(struct xdp_md *ctx)
{
    struct prefix key = {32, {10, 1, 2, 3}};
    u32 *hop = routes.lookup(&key), next = 0, last = 0, value;
    if (!hop)
        return 0;
    each.increment(0, *hop);
    for (value = 1; value <= 3; value++) {
        order.push(&value, 0);
        reverse.push(&value, 0);
    }
    if (order.pop(&next) || reverse.pop(&last) || reverse.peek(&value))
        return 0;
    return *hop * 1000 + next * 100 + last * 10 + value;
}
"""


def test_tries_queues_and_stacks_answer_as_their_kind_does() -> None:
    with BPF(text=TRIE) as face:
        routes = face["routes"]
        for length, address, hop in ((8, (10, 0, 0, 0), 1), (16, (10, 1, 0, 0), 2), (24, (10, 9, 9, 0), 3)):
            routes[routes.Key(length, address)] = routes.Leaf(hop)
        assert run_once(face, "route", BPF.XDP) == 2132
        assert face["each"].sum(0).value == 2
        assert [leaf.value for leaf in face["order"].values()] == [2, 3]
        assert [leaf.value for leaf in face["reverse"].values()] == [2, 1]


CGROUP = """
BPF_HASH(sizes, u32, u64);
int egress(struct __sk_buff *skb)
{
    u32 port = 0;
    struct udphdr udp;
    if (bpf_skb_load_bytes(skb, 20, &udp, sizeof(udp)))
        return 1;
    port = ntohs(udp.dest);
    if (port != 5050 && port != 5051)
        return 1;
    sizes.increment(port, skb->len);
    return port != 5051;
}
"""


@pytest.fixture
def cgroup() -> Iterator[int]:
    """A cgroup of our own, with this process in it for the test's time."""
    roots = [root for root in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")) if (root / "cgroup.procs").exists()]
    if not roots or not (roots[0] / "cgroup.controllers").exists():
        pytest.skip("there is no cgroup2 file system")
    own = roots[0] / f"probee-test-{OWN}"
    before = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
    own.mkdir()
    (own / "cgroup.procs").write_text(OWN)
    try:
        with descriptor(os.open(own, os.O_RDONLY)) as fd:
            yield fd
    finally:
        (roots[0] / before.removeprefix("0::/") / "cgroup.procs").write_text(OWN)
        own.rmdir()


def test_what_a_cgroup_sends_is_counted_and_held_back(cgroup: int) -> None:
    with BPF(text=CGROUP) as face, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        function = face.load_func("egress", BPF.CGROUP_SKB)
        face.attach_func(function, cgroup, 1)  # BPF_CGROUP_INET_EGRESS
        sender.sendto(b"12345", ("127.0.0.1", 5050))
        with pytest.raises(PermissionError):
            sender.sendto(b"1234567", ("127.0.0.1", 5051))
        face.detach_func(function, cgroup, 1)
        sender.sendto(b"12345", ("127.0.0.1", 5051))
        assert {key.value: leaf.value for key, leaf in face["sizes"].items()} == {5050: 33, 5051: 35}
