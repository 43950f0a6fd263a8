"""fentry, fexit, iterators and watchpoints, from script to output.

What is about this process or its child runs natively; functions of the kernel are traced in guests only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from probee.errors import AttachError, CompileError
from probee.kernel.features.feature import has
from probee.kernel.target import LiveTarget
from probee.model.spec import ObjectSpec
from probee.runtime.session import Session
from script_run import lines

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(240)]

CALLS = 7


def compiled(script: str) -> ObjectSpec:
    from probee.compiler.compile import compile

    return compile(script, LiveTarget())


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", code)


# -- fentry, fexit


@pytest.fixture
def trampolines(kprobes: None) -> None:
    """Kernels that have kprobes let functions be traced; this machine's does not."""


@pytest.mark.usefixtures("trampolines")
def test_a_function_is_counted_once_a_call_with_its_result() -> None:
    code = python(
        "import os\n"
        f"for number in range({CALLS}):\n"
        "    try: os.kill(os.getpid(), 1000 + number)\n"
        "    except OSError: pass"
    )
    function = f"{LiveTarget().syscall_prefix}kill"
    script = (
        f"fentry:{function} /pid == cpid/ {{ @in = count(); }} fexit:{function} /pid == cpid/ {{ @out[retval] = count(); }}"
    )
    found = lines(script, command=code)
    assert found == [f"@in: {CALLS}", f"@out[-22]: {CALLS}"]


READS = python(
    "import os\n"
    "fd = os.open('/proc/self/exe', os.O_RDONLY)\n"
    f"for number in range({CALLS}): os.pread(fd, 5000 + number, 64)"
)


@pytest.mark.usefixtures("trampolines")
def test_arguments_are_typed_by_btf() -> None:
    script = (
        "fentry:vfs_read /args.count >= 5000 && args.count < 5100/ {"
        ' printf("%d %d %d %s\\n", args.count, *args.pos, (uint64)args.file > 0, probetype); }'
        "fexit:vfs_read /args.count >= 5000 && args.count < 5100/ { @[retval == args.count] = count(); }"
    )
    found = lines(script, command=READS)
    assert found == [*(f"{5000 + number} 64 1 fentry" for number in range(CALLS)), f"@[true]: {CALLS}"]


@pytest.mark.usefixtures("trampolines")
def test_an_argument_is_an_address_to_compute_with() -> None:
    """What the verifier does not allow with a pointer that it knows: shifts, masks, an index, a way through a variable."""
    script = (
        "fentry:vfs_read /args.count >= 5000 && args.count < 5100/ { $f = args.file; $g = cpu > 1000 ? (uint64)0 : (uint64)$f;"
        " @low[(uint64)$f % 8] = count(); @high[$g >> 60] = count(); @same[$g == (uint64)args.file] = count(); }"
    )
    assert lines(script, command=READS) == [f"@high[15]: {CALLS}", f"@low[0]: {CALLS}", f"@same[true]: {CALLS}"]


@pytest.mark.usefixtures("trampolines")
def test_the_whole_of_args_is_a_value() -> None:
    script = "fentry:vfs_read /args.count == 5000/ { print(args); @a = args; @k[args] = count(); }"
    shown, stored, key = lines(script, command=READS)
    assert ".count = 5000" in shown
    assert ".file = 0xffff" in shown
    assert (stored, key) == (f"@a: {shown}", f"@k[{shown}]: 1")


@pytest.mark.usefixtures("trampolines")
def test_func_is_the_function_and_a_pattern_has_a_program_for_each() -> None:
    if not has("get_func_ip"):
        pytest.skip("this kernel cannot tell where a program was called from")
    found = lines("fentry:vfs_rea*d,fentry:vfs_open { @[func, probe] = count(); }", command=READS)
    names = {line.partition("]: ")[0] for line in found}
    assert "@[vfs_read, fentry:vmlinux:vfs_read" in names
    assert "@[vfs_open, fentry:vmlinux:vfs_open" in names


@pytest.mark.usefixtures("trampolines")
def test_a_path_is_read_through_a_pointer_that_the_verifier_knows() -> None:
    found = lines("fentry:security_file_open { @[path(args.file.f_path)] = count(); }", command=("/bin/cat", "/etc/hostname"))
    assert any(line.startswith("@[/etc/hostname]: ") for line in found)


@pytest.mark.usefixtures("trampolines")
def test_a_helper_that_is_not_allowed_there_is_named_at_its_place() -> None:
    with pytest.raises(Exception, match=r"stdin:1:25-47: helper bpf_d_path not allowed in probe"):
        lines("fentry:vfs_read { print(path(args.file.f_path)); }", command=READS)


@pytest.mark.usefixtures("trampolines")
def test_a_function_of_a_module_is_traced() -> None:
    if not has("module_btf"):
        pytest.skip("this kernel gives modules no BTF")
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    known = {"overlay": "ovl_statfs", "9p": "v9fs_statfs", "ext4": "ext4_statfs", "xfs": "xfs_fs_statfs"}
    places = ((kind, known[kind], place) for _, place, kind, *_ in mounts if kind in known)
    found = next((each for each in places if LiveTarget().function(each[1], each[0]) is not None), None)
    if found is None:
        pytest.skip("no file system of a module is mounted")
    module, function, place = found
    code = python(f"import os\nfor _ in range({CALLS}): os.statvfs({place!r})")
    script = (
        f"fentry:{module}:{function} /pid == cpid/ {{ @[probe] = count(); }}"
        f"fexit:{function} /pid == cpid/ {{ @r[retval] = count(); }}"
    )
    assert lines(script, command=code) == [f"@[fentry:{module}:{function}]: {CALLS}", f"@r[0]: {CALLS}"]


@pytest.mark.usefixtures("trampolines")
def test_more_arguments_than_registers_are_read_from_the_stack() -> None:
    """Linux commit 473e3150e30a "bpf, x86: allow function arguments up to 12 for TRACING" (in v6.6)."""
    function = LiveTarget().function("do_mmap")
    if function is None or len(function.type.parameters) < 8:
        pytest.skip("this kernel's do_mmap has fewer arguments")
    code = python("import mmap\nfor _ in range(3): mmap.mmap(-1, 40960000)")
    script = "fentry:do_mmap /args.len == 40960000/ { @[args.len, args.pgoff, *args.populate, (uint64)args.uf > 0] = count(); }"
    try:
        assert lines(script, command=code) == ["@[40960000, 0, 0, true]: 3"]
    except AttachError:
        if has("kprobe_session"):  # which is younger
            raise
        pytest.skip("this kernel's trampolines take six arguments")


@pytest.mark.usefixtures("trampolines")
def test_a_struct_that_is_passed_by_value_has_its_members() -> None:
    """Linux commit 720e6a435194 "bpf: Allow struct argument in trampoline based programs" (in v6.1)."""
    code = python(f"import os\nos.setresuid(4321, 4321, 4321)\nfor _ in range({CALLS}): os.getuid()")
    script = (
        "kprobe:__do_sys_getuid /pid == cpid/ { @asked = 1; }"
        "fexit:from_kuid_munged /pid == cpid && @asked && args.kuid.val == 4321/"
        " { @[args.kuid.val, retval] = count(); @asked = 0; } end { clear(@asked); }"
    )
    try:
        (found,) = lines(script, command=code)
    except AttachError:
        if has("uprobe_multi"):  # which is younger
            raise
        pytest.skip("this kernel's trampolines take no structs")
    assert found == f"@[4321, 4321]: {CALLS}"


@pytest.mark.usefixtures("trampolines")
def test_what_the_kernel_leaves_out_is_counted() -> None:
    """A function that the program itself calls: the kernel does not run a program inside of itself."""
    if not has("prog_recursion_misses"):
        pytest.skip("this kernel does not count that")
    script = "fentry:bpf_get_current_pid_tgid { @ = pid; } interval:ms:30 { @i = pid; } interval:ms:300 { exit(); }"
    with Session(compiled(script)) as session:
        events = [event for batch in session.batches() for event in batch]
    assert session.loss.missed >= 3
    assert any(event.kind == "problem" and "hits were missed" in event.text for event in events)


@pytest.mark.usefixtures("trampolines")
def test_a_bpf_program_is_traced_by_name() -> None:
    with Session(compiled("interval:ms:20 { @ = count(); }")) as other:
        assert other.running
        found = lines("fentry:bpf:interval_ms_20_1 { @[probe] = count(); } i:ms:400 { exit(); }")
        with pytest.raises(CompileError, match="The args builtin cannot be used for 'fentry/fexit:bpf' probes"):
            compiled("fentry:bpf:interval_ms_20_1 { print(args); }")
    assert len(found) == 1
    assert found[0].startswith("@[fentry:bpf:")
    assert found[0].partition(":interval_ms_20_1]: ")[2].isdigit()


@pytest.mark.usefixtures("trampolines")
def test_a_function_that_cannot_be_traced_is_left_out_where_that_is_allowed() -> None:
    """__rcu_read_lock is described by BTF, and marked notrace."""
    if LiveTarget().function("__rcu_read_lock") is None:
        pytest.skip("this kernel has no such function")
    script = "fentry:__rcu_read_lock,fentry:vfs_read { @ = count(); exit(); }"
    with pytest.raises(AttachError, match="Unable to attach probe: fentry:vmlinux:__rcu_read_lock"):
        lines(script, command=READS)
    with Session(compiled(f"config = {{ missing_probes = warn }} {script}"), command=READS) as session:
        events = [event for batch in session.batches() for event in batch]
    said = [event.text for event in events if event.kind == "problem"]
    assert any("Unable to attach probe: fentry:vmlinux:__rcu_read_lock. Skipping." in text for text in said)


# -- iterators


def restricted(script: str) -> list[str]:
    """Run a script with an iterator for this process alone."""
    try:
        return lines(script, pid=os.getpid())
    except AttachError as error:
        assert "cannot restrict it to a process" in str(error)
        pytest.skip("this kernel's iterators cannot be restricted to a process")


@pytest.fixture
def thread() -> Iterator[int]:
    """A second thread of this process."""
    ready, done = threading.Event(), threading.Event()
    numbers = []

    def wait() -> None:
        numbers.append(threading.get_native_id())
        ready.set()
        done.wait()

    second = threading.Thread(target=wait)
    second.start()
    ready.wait()
    yield numbers[0]
    done.set()
    second.join()


def test_a_walk_over_tasks_meets_each_thread_once_and_ends(thread: int) -> None:
    """What prints runs beside the thread that walks, which is ours, too."""
    found = restricted('iter:task { printf("%d %d %s\\n", ctx.task.pid, ctx->task->tgid, ctx.task.comm); @ = count(); }')
    seen = {line.split()[0] for line in found[:-1]}
    assert {str(os.getpid()), str(thread)} <= seen
    assert found[-1] == f"@: {len(found) - 1}"
    assert len(seen) == len(found) - 1
    assert {line.split()[1] for line in found[:-1]} == {str(os.getpid())}


def test_a_walk_over_files_finds_our_open_ones(tmp_path: Path) -> None:
    with (tmp_path / "here").open("wb") as file:
        found = restricted('iter:task_file { printf("%d %s\\n", ctx.fd, path(ctx.file.f_path)); }')
        assert f"{file.fileno()} {tmp_path}/here" in found
    fds = [line.split()[0] for line in found]
    assert len(fds) == len(set(fds))


def test_a_walk_over_memory_has_the_addresses_of_proc_maps() -> None:
    found = restricted('iter:task_vma { printf("%lx-%lx\\n", ctx.vma.vm_start, ctx.vma.vm_end); }')
    words = Path("/proc/self/maps").read_text().split()
    assert len(set(found) & set(words)) >= len(found) * 0.8


def test_a_walk_does_not_stop_at_exit_and_what_it_says_comes_first(thread: int) -> None:
    """As bpftrace has it: exit() ends the session, and the walk is one thing."""
    found = restricted('iter:task { printf("%d\\n", ctx.task.pid); exit(); } end { printf("end\\n"); }')
    assert {str(os.getpid()), str(thread)} <= set(found[:-1])
    assert found[-1] == "end"


def test_other_probes_go_on_after_a_walk() -> None:
    found = restricted('iter:task { @t = count(); } interval:ms:50 { @i = count(); } interval:ms:300 { exit(); }')
    assert found[0].startswith("@i: ")
    assert found[1].startswith("@t: ")


def test_several_iterators_walk_over_what_there_is_of_programs_maps_and_cgroups() -> None:
    target = LiveTarget()
    names = [name for name in ("bpf_prog", "bpf_map", "cgroup") if target.type_named("struct", f"bpf_iter__{name}") is not None]
    says = {"bpf_prog": "str(ctx.prog.aux.name)", "bpf_map": "str(ctx.map.name)", "cgroup": "ctx.cgroup.level"}
    found = lines("".join(f'iter:{name} {{ printf("{name} %s\\n", {says[name]}); }}' for name in names))
    assert "bpf_map ring" in found
    assert any(line.startswith("bpf_prog iter_") for line in found)
    assert "cgroup" not in names or "cgroup 0" in found


def test_an_iterator_that_is_not_there_is_refused() -> None:
    with pytest.raises(CompileError, match="iter no_such not available for your kernel version"):
        compiled("iter:no_such { }")


def test_an_iterator_of_one_map_says_why_it_cannot_be_attached() -> None:
    with pytest.raises(AttachError, match="walks over the contents of one map"):
        lines("iter:bpf_map_elem { @ = count(); }")


@pytest.fixture
def bpf_files() -> Iterator[Path]:
    """A directory in a BPF file system, mounted if need be."""
    place, mounted = Path("/sys/fs/bpf"), False
    if not os.path.ismount(place):
        mounted = subprocess.run(["mount", "-t", "bpf", "bpf", str(place)], check=False).returncode == 0
        if not mounted:
            pytest.skip("a BPF file system cannot be mounted here")
    yield place
    for left in place.glob("probee_test*"):
        left.unlink()
    if mounted:
        subprocess.run(["umount", str(place)], check=True)


def test_a_pinned_iterator_writes_to_whoever_reads_its_file(bpf_files: Path) -> None:
    says = 'printf("%d %5x|%-3d|%s %s 100%%\\n", ctx.task.pid, (uint32)-1, 7, ctx.task.comm, "é");'
    script = f"iter:task:probee_test_walk {{ {says} }}"
    assert lines(script) == [f"Program pinned to {bpf_files}/probee_test_walk"]
    comm = Path("/proc/self/comm").read_text().strip()
    text = (bpf_files / "probee_test_walk").read_text()
    assert f"{os.getpid()} ffffffff|7  |{comm} é 100%" in text.splitlines()
    with pytest.raises(AttachError, match="exists: remove it first"):
        lines(script)


@pytest.mark.parametrize(("said", "why"), [
    ("print(1);", "print is not possible in a pinned iterator"),
    ('printf("%o", 1);', "which has no %o for"),
    ('printf("%r", buf("ab", 2));', "which has no %r for"),
])  # fmt: skip
def test_what_a_pinned_iterator_cannot_say_is_refused(said: str, why: str) -> None:
    with pytest.raises(CompileError, match=why):
        compiled(f"iter:task:probee_test_never {{ {said} }}")


# -- watchpoints

ADDRESS = 0x1000_0000

WRITER = r"""
#include <pthread.h>
#include <sys/mman.h>
static void *again(void *p) { *(volatile long *)p = 1; return 0; }
__attribute__((noinline)) static void code(void) { asm volatile(""); }
int main(int argc, char **argv) {
    volatile long *p = mmap((void *)0x10000000, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (p != (void *)0x10000000) return 1;
    long sum = 0;
    code();
    for (int i = 0; i < 5; i++) { p[0] = i; p[1] = i; sum += p[0]; }
    if (argc > 1) { pthread_t t; pthread_create(&t, 0, again, (void *)p); pthread_join(t, 0); }
    ((unsigned char *)p)[64] = 0xc3; /* ret */
    for (int i = 0; i < 3; i++) ((void (*)(void))((char *)p + 64))();
    return sum != 10;
}
"""


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> str:
    compiler = shutil.which("gcc") or pytest.skip("no gcc here")
    if os.uname().machine != "x86_64":
        pytest.skip("the program is for x86-64")
    folder = tmp_path_factory.mktemp("watchpoint")
    (folder / "writer.c").write_text(WRITER)
    subprocess.run([compiler, "-O1", "-pthread", "-o", str(folder / "writer"), str(folder / "writer.c")], check=True)
    return str(folder / "writer")


def watched(script: str, *command: str) -> list[str]:
    try:
        return lines(script, command=command)
    except AttachError as error:
        if "debug registers" not in str(error):
            raise
        pytest.skip("this machine has no debug registers")


@pytest.mark.parametrize(("place", "hits"), [("8:w", 5), ("8:rw", 10), ("1:w", 5)])
def test_accesses_to_memory_of_a_process_are_counted(writer: str, place: str, hits: int) -> None:
    script = f"watchpoint:{ADDRESS:#x}:{place} {{ @[pid == cpid, probetype] = count(); }}"
    assert watched(script, writer) == [f"@[true, watchpoint]: {hits}"]


def test_a_thread_of_the_process_is_watched_too(writer: str) -> None:
    assert watched(f"watchpoint:{ADDRESS:#x}:8:w {{ @[tid == pid] = count(); }}", writer, "thread") == [
        "@[false]: 1", "@[true]: 5",
    ]  # fmt: skip


def test_code_that_runs_is_counted_whatever_length_is_given(writer: str) -> None:
    script = f"watchpoint:{ADDRESS + 64:#x}:1:x {{ @[reg(\"ip\") == {ADDRESS + 64}] = count(); }}"
    assert watched(script, writer) == ["@[true]: 3"]


def test_an_odd_address_is_refused_with_what_is_possible(writer: str) -> None:
    with pytest.raises(AttachError, match=r"aligned|debug registers"):
        lines(f"watchpoint:{ADDRESS + 1:#x}:8:w {{ @ = count(); }}", command=(writer,))


@pytest.mark.usefixtures("kprobes")
def test_an_address_of_the_kernel_is_watched_without_a_process() -> None:
    from probee.kernel.symbols.kallsyms import Kallsyms

    address = Kallsyms().address("jiffies")
    assert address
    found = watched(f"watchpoint:{address:#x}:4:w {{ @ = count(); }} interval:ms:500 {{ exit(); }}")
    assert len(found) == 1
    assert int(found[0].removeprefix("@: ")) >= 10
