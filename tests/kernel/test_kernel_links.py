"""Attaching in every way.  Programs count only what this process does, and say so in their first instructions."""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from live_object import COUNT_ALL, COUNT_OWN, COUNTER, NOTHING, OWN_PID, program
from probee.errors import AttachError, BtfError
from probee.kernel.features.feature import has
from probee.kernel.links import event, kprobe
from probee.kernel.links.attach import attach
from probee.kernel.links.iter import read_iter
from probee.kernel.links.link import Link
from probee.kernel.maps.array import ArrayMap
from probee.kernel.maps.create import create
from probee.kernel.programs.btf_id import BtfFinder
from probee.kernel.programs.load import load
from probee.kernel.programs.program import Program
from probee.kernel.syscalls.bpf import EINVAL
from probee.kernel.syscalls.btf import module_btf
from probee.kernel.syscalls.cpu import online_cpus
from probee.kernel.syscalls.fd import Descriptor
from probee.kernel.syscalls.info import BtfInfo
from probee.kernel.target import LiveTarget
from probee.model.spec import AttachType, LinkSpec, ProgramType

pytestmark = pytest.mark.kernel

Parameters = dict[str, "int | str | list[str] | list[int]"]
MULTI = AttachType.TRACE_KPROBE_MULTI


@pytest.fixture
def counter() -> Iterator[ArrayMap]:
    with create(COUNTER) as made:
        assert isinstance(made, ArrayMap)
        yield made


def counted(counter: ArrayMap) -> int:
    return int(struct.unpack("=Q", counter.at(0))[0])


def loaded(counter: ArrayMap, type: int, text: str = COUNT_OWN, attach_type: int = 0) -> Program:
    spec = program(text, type, attach_type=attach_type)
    return load(spec, NOTHING, {"counter": counter}, OWN_PID)


def link_spec(kind: str, **parameters: int | str | list[str] | list[int]) -> LinkSpec:
    return LinkSpec(kind, "probee_test", f"{kind}:test", dict(parameters))


@pytest.fixture
def without_perf_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let BPF links on perf events fail as they do before Linux 5.15."""
    monkeypatch.setattr(event, "perf_link", lambda *_: -EINVAL)
    monkeypatch.setattr(event, "_without_links", [])


# -- clocks and counters


@pytest.mark.parametrize("links", [True, False])
def test_an_interval_runs_once_a_period(
    counter: ArrayMap, *, links: bool, request: pytest.FixtureRequest
) -> None:
    if not links:
        request.getfixturevalue("without_perf_links")
    with loaded(counter, ProgramType.PERF_EVENT, COUNT_ALL) as timer:
        with attach(link_spec("interval", period_ns=20_000_000), timer) as link:
            time.sleep(0.3)
            runs = counted(counter)
        assert 5 <= runs <= 30
        assert (link.targets, link.descriptors) == (1, [])
        time.sleep(0.1)
        assert counted(counter) <= runs + 1  # closing is detaching


def test_a_profile_runs_on_every_online_cpu(counter: ArrayMap) -> None:
    with (
        loaded(counter, ProgramType.PERF_EVENT, COUNT_ALL) as timer,
        attach(link_spec("profile", frequency_hz=99), timer) as link,
    ):
        time.sleep(0.2)
        assert link.targets == len(online_cpus())
        assert len(link.descriptors) == len(online_cpus()) * (2 if has("perf_link") else 1)
    assert counted(counter) >= link.targets * 4


def test_a_frequency_above_the_sysctls_bound_is_no_error(counter: ArrayMap) -> None:
    with (
        loaded(counter, ProgramType.PERF_EVENT, COUNT_OWN) as timer,
        attach(link_spec("interval", frequency_hz=1_000_000), timer) as link,
    ):
        assert link.targets == 1


def test_a_period_of_nothing_is_refused(counter: ArrayMap) -> None:
    with (
        loaded(counter, ProgramType.PERF_EVENT) as timer,
        pytest.raises(AttachError, match="Unable to attach probe: interval:test: the period"),
    ):
        attach(link_spec("interval", period_ns=0), timer)


def test_software_events_are_counted(counter: ArrayMap) -> None:
    context_switches = 3
    with (
        loaded(counter, ProgramType.PERF_EVENT) as switches,
        attach(link_spec("software", event=context_switches, period=1), switches),
    ):
        for _ in range(20):
            time.sleep(0.001)
    assert counted(counter) >= 10


def test_a_hardware_event_counts_or_says_that_the_machine_has_none(counter: ArrayMap) -> None:
    with loaded(counter, ProgramType.PERF_EVENT) as cycles:
        try:
            link = attach(link_spec("hardware", event=0, period=1_000_000), cycles)
        except AttachError as error:
            assert "no such hardware counter" in str(error)
        else:
            link.close()


def test_a_program_of_another_type_is_refused_with_a_reason(counter: ArrayMap) -> None:
    with (
        loaded(counter, ProgramType.RAW_TRACEPOINT) as wrong,
        pytest.raises(AttachError, match="Invalid argument"),
    ):
        attach(link_spec("interval", period_ns=1_000_000_000), wrong)


# -- tracepoints


def test_a_raw_tracepoint_sees_our_system_calls(counter: ArrayMap) -> None:
    with (
        loaded(counter, ProgramType.RAW_TRACEPOINT) as calls,
        attach(link_spec("rawtracepoint", name="sys_enter"), calls) as link,
    ):
        before = counted(counter)
        for _ in range(10):
            os.getppid()
        assert counted(counter) >= before + 10
        assert link.missed() is None  # raw tracepoints count no misses


def test_an_unknown_raw_tracepoint_is_refused(counter: ArrayMap) -> None:
    with (
        loaded(counter, ProgramType.RAW_TRACEPOINT) as calls,
        pytest.raises(AttachError, match="no such raw tracepoint"),
    ):
        attach(link_spec("rawtracepoint", name="no_such_tracepoint"), calls)


@pytest.mark.parametrize("links", [True, False])
def test_a_tracepoint_runs_once_a_hit(
    counter: ArrayMap, tracefs: str, *, links: bool, request: pytest.FixtureRequest
) -> None:
    if not links:
        request.getfixturevalue("without_perf_links")
    with loaded(counter, ProgramType.TRACEPOINT) as calls:
        with attach(link_spec("tracepoint", category="syscalls", name="sys_enter_getppid"), calls):
            for _ in range(7):
                os.getppid()
        os.getppid()
    assert counted(counter) == 7


def test_an_unknown_tracepoint_names_its_neighbours(counter: ArrayMap, tracefs: str) -> None:
    with loaded(counter, ProgramType.TRACEPOINT) as calls, pytest.raises(AttachError) as caught:
        attach(link_spec("tracepoint", category="syscalls", name="sys_enter_getpidd"), calls)
    assert "there is no such tracepoint" in str(caught.value)
    assert "tracepoint:syscalls:sys_enter_getpid" in caught.value.candidates


def test_an_unknown_category_is_named(counter: ArrayMap, tracefs: str) -> None:
    with loaded(counter, ProgramType.TRACEPOINT) as calls, pytest.raises(AttachError, match="no category syscalld"):
        attach(link_spec("tracepoint", category="syscalld", name="sys_enter_getpid"), calls)


def test_without_tracefs_the_message_says_how_to_mount_it(counter: ArrayMap, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probee.kernel.syscalls.tracefs.ROOTS", ("/nonexistent",))
    with loaded(counter, ProgramType.TRACEPOINT) as calls, pytest.raises(AttachError, match="mount -t tracefs"):
        attach(link_spec("tracepoint", category="syscalls", name="sys_enter_getpid"), calls)


def test_a_program_that_reads_beyond_the_record_is_refused(counter: ArrayMap, tracefs: str) -> None:
    with (
        loaded(counter, ProgramType.TRACEPOINT, "r0 = *(u64 *)(r1 + 2000)\nr0 = 0\nexit") as reads,
        pytest.raises(AttachError, match="beyond the tracepoint's record"),
    ):
        attach(link_spec("tracepoint", category="syscalls", name="sys_enter_getpid"), reads)


# -- functions of this process


@pytest.fixture
def getppid_place() -> tuple[str, int]:
    """Return the file, and the offset in it, of the C library's getppid."""
    if not has("uprobe"):
        pytest.skip("this kernel has no uprobes")
    address = ctypes.cast(ctypes.CDLL(None).getppid, ctypes.c_void_p).value
    assert address is not None
    with open("/proc/self/maps", encoding="utf-8") as maps:
        for line in maps:
            bounds, _, offset, _, _, *path = line.split()
            start, end = (int(bound, 16) for bound in bounds.split("-"))
            if start <= address < end:
                return path[0], address - start + int(offset, 16)
    raise AssertionError("getppid is not mapped")


@pytest.mark.parametrize("kind", ["uprobe", "uretprobe"])
def test_a_function_of_this_process_is_counted(counter: ArrayMap, getppid_place: tuple[str, int], kind: str) -> None:
    path, offset = getppid_place
    spec = link_spec(kind, path=path, offset=offset, pid=os.getpid())
    with loaded(counter, ProgramType.KPROBE) as calls:
        with attach(spec, calls):
            for _ in range(5):
                os.getppid()
        os.getppid()
    assert counted(counter) == 5


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"path": "/no/such/file", "offset": 0}, "there is no file /no/such/file"),
        ({"path": "/proc/self/maps", "offset": 0}, "is no file that code runs from"),
        ({"path": "/usr", "offset": 0}, "Unable to attach probe: uprobe:test: "),
    ],
)
def test_a_place_that_cannot_be_probed_is_refused_with_a_reason(
    counter: ArrayMap, parameters: Parameters, words: str, getppid_place: tuple[str, int]
) -> None:
    spec = LinkSpec("uprobe", "probee_test", "uprobe:test", {**parameters, "pid": os.getpid()})
    with loaded(counter, ProgramType.KPROBE) as calls, pytest.raises(AttachError, match=words):
        attach(spec, calls)


def test_a_process_that_is_gone_is_named(counter: ArrayMap, getppid_place: tuple[str, int]) -> None:
    path, offset = getppid_place
    with loaded(counter, ProgramType.KPROBE) as calls, pytest.raises(AttachError, match="no such process"):
        attach(link_spec("uprobe", path=path, offset=offset, pid=(1 << 22) - 1), calls)


@pytest.mark.parametrize("attach_type", [AttachType.NONE, AttachType.TRACE_UPROBE_MULTI])
@pytest.mark.parametrize("kind", ["uprobe", "uretprobe"])
def test_several_places_of_a_file_are_counted(
    counter: ArrayMap, getppid_place: tuple[str, int], kind: str, attach_type: int
) -> None:
    """The second place is no instruction that the kernel could probe: it is left out, and named."""
    path, offset = getppid_place
    beyond = os.path.getsize(path) + (1 << 20)
    spec = link_spec(kind, path=path, offsets=[offset, beyond, offset], pid=os.getpid())
    with loaded(counter, ProgramType.KPROBE, attach_type=attach_type) as calls:
        with attach(spec, calls) as link:
            for _ in range(5):
                os.getppid()
            assert (link.targets, [name for name, _ in link.skipped]) == (1, [f"{beyond:#x}"])
        os.getppid()
    assert counted(counter) == 5


# -- memory


@pytest.fixture
def word() -> ctypes.c_uint64:
    """Eight bytes of ours, aligned."""
    return ctypes.c_uint64(0)


def test_writes_to_a_word_are_counted(counter: ArrayMap, word: ctypes.c_uint64) -> None:
    spec = link_spec("watchpoint", address=ctypes.addressof(word), length=8, mode="w", pid=os.getpid())
    with loaded(counter, ProgramType.PERF_EVENT) as writes:
        try:
            link = attach(spec, writes)
        except AttachError as error:
            assert "debug registers" in str(error)
            pytest.skip("this machine has no debug registers")
        with link:
            word.value = 1
            word.value = 2
            seen = counted(counter)
            assert word.value == 2  # reading is not writing
            assert link.targets == len(os.listdir("/proc/self/task"))
        word.value = 3
    assert (seen, counted(counter)) == (2, 2)


def test_a_thread_that_starts_later_is_watched_too(counter: ArrayMap, word: ctypes.c_uint64) -> None:
    spec = link_spec("watchpoint", address=ctypes.addressof(word), length=8, mode="w", pid=os.getpid())
    with loaded(counter, ProgramType.PERF_EVENT) as writes:
        try:
            link = attach(spec, writes)
        except AttachError:
            pytest.skip("this machine has no debug registers")
        with link:
            thread = threading.Thread(target=setattr, args=(word, "value", 7))
            thread.start()
            thread.join()
    assert counted(counter) == 1


def test_an_odd_address_cannot_be_watched(counter: ArrayMap, word: ctypes.c_uint64) -> None:
    spec = link_spec("watchpoint", address=ctypes.addressof(word) + 1, length=8, mode="w", pid=os.getpid())
    with loaded(counter, ProgramType.PERF_EVENT) as writes, pytest.raises(AttachError, match=r"aligned|debug registers"):
        attach(spec, writes)


# -- iterators

# Counts the times it is called with a task of ours: once for each of our threads, however many other tasks there are.
COUNT_OWN_TASKS = """
    r6 = *(u64 *)(r1 + 8)
    if r6 == 0 goto out
    r1 = map_value[counter]+0 ll
    r2 = 1
    lock *(u64 *)(r1 + 0) += r2
out:
    r0 = 0
    exit
"""


@pytest.fixture
def tasks(counter: ArrayMap, finder: BtfFinder) -> Iterator[Program]:
    spec = program(
        COUNT_OWN_TASKS, ProgramType.TRACING, attach_type=AttachType.TRACE_ITER, attach_target="bpf_iter_task", sleepable=False
    )
    with load(spec, NOTHING, {"counter": counter}, OWN_PID, find_btf=finder) as walker:
        yield walker


def test_an_iterator_walks_when_it_is_read(counter: ArrayMap, tasks: Program) -> None:
    try:
        link = attach(link_spec("iter", pid=os.getpid()), tasks)
    except AttachError as error:
        assert "cannot restrict it to a process" in str(error)
        pytest.skip("this kernel's iterators cannot be restricted to a process")
    with link:
        assert counted(counter) == 0
        assert read_iter(link) == b""  # the program writes nothing
        assert counted(counter) == len(os.listdir("/proc/self/task"))
        read_iter(link)
        assert counted(counter) == 2 * len(os.listdir("/proc/self/task"))


def test_a_pinned_iterator_is_a_file(counter: ArrayMap, tasks: Program, tmp_path: Path) -> None:
    with pytest.raises(AttachError, match="is not in a BPF file system"):
        attach(link_spec("iter", pin=str(tmp_path / "walk")), tasks)
    assert not list(tmp_path.iterdir())


# -- kernel functions: one event each


def open_a_file() -> None:
    with open("/proc/self/stat", "rb") as file:
        file.read()


FUNCTIONS = [("vfs_open", ""), ("vfs_read", ""), ("vfs_readv", ""), ("do_nothing", "nothing")]


def functions() -> Iterable[tuple[str, str]]:
    return FUNCTIONS


@pytest.mark.usefixtures("kprobes")
@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("kind", ["kprobe", "kretprobe"])
def test_a_function_is_counted(
    counter: ArrayMap, kind: str, *, links: bool, request: pytest.FixtureRequest
) -> None:
    if not links:
        request.getfixturevalue("without_perf_links")
    with loaded(counter, ProgramType.KPROBE) as calls:
        with attach(link_spec(kind, function="vfs_open"), calls) as link:
            open_a_file()
            open_a_file()
            assert link.missed() == (0 if links and has("link_missed_count") else None)
        open_a_file()
    assert counted(counter) == 2


@pytest.mark.usefixtures("kprobes")
def test_a_function_that_does_not_exist_names_its_neighbours(counter: ArrayMap) -> None:
    with loaded(counter, ProgramType.KPROBE) as calls, pytest.raises(AttachError) as caught:
        attach(link_spec("kprobe", function="vfs_opem"), calls, functions=functions)
    assert "vfs_opem is not traceable: it does not exist, is inlined, or is marked notrace" in str(caught.value)
    assert caught.value.candidates == ("kprobe:vfs_open",)


@pytest.mark.usefixtures("kprobes")
def test_a_function_on_the_blacklist_is_said_to_be(counter: ArrayMap) -> None:
    with loaded(counter, ProgramType.KPROBE) as calls, pytest.raises(AttachError, match="kprobe blacklist"):
        attach(link_spec("kprobe", function="do_int3"), calls)


@pytest.mark.usefixtures("kprobes")
def test_an_offset_within_an_instruction_is_refused(counter: ArrayMap) -> None:
    with loaded(counter, ProgramType.KPROBE) as calls, pytest.raises(AttachError, match="middle of an instruction"):
        attach(link_spec("kprobe", function="vfs_open", offset=1), calls)


@pytest.mark.usefixtures("kprobes")
def test_a_list_attaches_what_exists_and_tells_the_rest(counter: ArrayMap) -> None:
    with (
        loaded(counter, ProgramType.KPROBE) as calls,
        attach(link_spec("kprobe", functions=["vfs_open", "no_such", "vfs_read", "vfs_open"]), calls) as link,
    ):
        open_a_file()
        assert link.targets == 2
        assert [name for name, _ in link.skipped] == ["no_such"]
    assert counted(counter) >= 2


@pytest.mark.usefixtures("kprobes")
def test_a_list_of_nothing_that_exists_is_an_error(counter: ArrayMap) -> None:
    with loaded(counter, ProgramType.KPROBE) as calls, pytest.raises(AttachError, match="none of its 2 functions"):
        attach(link_spec("kprobe", functions=["no_such", "nor_such"]), calls)


def test_without_kprobes_the_message_says_so(counter: ArrayMap, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kprobe, "pmu_type", lambda _: None)
    with loaded(counter, ProgramType.KPROBE) as calls, pytest.raises(AttachError, match="this kernel has no kprobes"):
        attach(link_spec("kprobe", function="vfs_open"), calls)


# -- kernel functions: many at once


def multi(counter: ArrayMap) -> Program:
    if not has("kprobe_multi"):
        pytest.skip("this kernel has no kprobe-multi links (CONFIG_FPROBE)")
    return loaded(counter, ProgramType.KPROBE, attach_type=MULTI)


@pytest.mark.parametrize("kind", ["kprobe", "kretprobe"])
def test_one_link_attaches_a_pattern(counter: ArrayMap, kind: str) -> None:
    with multi(counter) as calls:
        spec = link_spec(kind, pattern="vfs_*", module="vmlinux")
        with attach(spec, calls, functions=functions) as link:
            open_a_file()
            assert (link.targets, len(link.descriptors)) == (3, 1)
            assert link.missed() == (0 if has("link_missed_count") else None)
        hits = counted(counter)
        open_a_file()
    assert counted(counter) == hits >= 2


@pytest.mark.parametrize("places", [{"function": "vfs_open"}, {"functions": ["vfs_open", "vfs_read"]}])
def test_a_session_runs_at_entry_and_return(counter: ArrayMap, places: Parameters) -> None:
    if not has("kprobe_session"):
        pytest.skip("this kernel has no kprobe sessions")
    with loaded(counter, ProgramType.KPROBE, attach_type=AttachType.TRACE_KPROBE_SESSION) as calls:
        with attach(link_spec("kprobe", **places), calls, functions=functions) as link:
            open_a_file()
            assert (link.targets, len(link.bpf_links)) == (len(places.get("functions", ["one"])), 1)  # type: ignore[arg-type]
        hits = counted(counter)
        open_a_file()
    assert counted(counter) == hits
    assert hits >= 2 * link.targets
    assert hits % 2 == 0


def test_one_link_leaves_out_what_is_not_traceable(counter: ArrayMap) -> None:
    with (
        multi(counter) as calls,
        attach(link_spec("kprobe", functions=["vfs_open", "no_such"]), calls, functions=functions) as link,
    ):
        assert (link.targets, len(link.bpf_links)) == (1, 1)
        assert [name for name, _ in link.skipped] == ["no_such"]


def test_what_cannot_be_attached_is_found_by_halves(counter: ArrayMap) -> None:
    with (
        multi(counter) as calls,
        attach(link_spec("kprobe", functions=["vfs_open", "no_such", "vfs_read", "vfs_write"]), calls) as link,
    ):
        assert link.targets == 3
        assert [name for name, _ in link.skipped] == ["no_such"]


def test_a_program_for_many_functions_falls_back_to_single_probes(
    counter: ArrayMap, kprobes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from probee.kernel.features import feature

    monkeypatch.setattr(feature, "_answers", {"kprobe_multi": False})
    with loaded(counter, ProgramType.KPROBE, attach_type=MULTI) as calls:
        assert calls.attach_type == AttachType.NONE
        with attach(link_spec("kprobe", pattern="vfs_*"), calls, functions=functions) as link:
            open_a_file()
        assert link.targets == 3
    assert counted(counter) >= 2


def test_a_pattern_that_matches_nothing_is_an_error(counter: ArrayMap) -> None:
    with loaded(counter, ProgramType.KPROBE) as calls, pytest.raises(AttachError, match="no traceable function matches"):
        attach(link_spec("kprobe", pattern="nothing_*"), calls, functions=functions)


def test_a_link_of_unknown_kind_is_refused(counter: ArrayMap) -> None:
    with loaded(counter, ProgramType.KPROBE) as calls, pytest.raises(AttachError, match="probes of kind begin"):
        attach(link_spec("begin"), calls)


def test_links_close_twice_without_harm(counter: ArrayMap) -> None:
    with loaded(counter, ProgramType.PERF_EVENT) as timer:
        link: Link = attach(link_spec("interval", period_ns=1_000_000_000), timer)
        link.close()
        link.close()
        assert "closed" in repr(link)


# -- typed targets


@pytest.fixture
def finder() -> Iterator[BtfFinder]:
    if not has("btf"):
        pytest.skip("this kernel has no BTF")
    with BtfFinder(LiveTarget()) as made:
        yield made


def test_a_typed_raw_tracepoint_sees_our_system_calls(counter: ArrayMap, finder: BtfFinder) -> None:
    spec = program(COUNT_OWN, ProgramType.TRACING, attach_type=AttachType.TRACE_RAW_TP, attach_target="sys_enter")
    with load(spec, NOTHING, {"counter": counter}, OWN_PID, find_btf=finder) as calls:
        with attach(link_spec("rawtracepoint", name="sys_enter"), calls):
            for _ in range(10):
                os.getppid()
        hits = counted(counter)
        os.getppid()
    assert counted(counter) == hits >= 10


@pytest.mark.parametrize(("kind", "attach_type"), [("fentry", AttachType.TRACE_FENTRY), ("fexit", AttachType.TRACE_FEXIT)])
def test_a_typed_function_is_counted(
    counter: ArrayMap, finder: BtfFinder, kprobes: None, kind: str, attach_type: int
) -> None:
    spec = program(COUNT_OWN, ProgramType.TRACING, attach_type=attach_type, attach_target="vmlinux:vfs_open")
    with load(spec, NOTHING, {"counter": counter}, OWN_PID, find_btf=finder) as calls:
        with attach(link_spec(kind), calls):
            open_a_file()
            open_a_file()
        open_a_file()
    assert counted(counter) == 2


def test_a_target_that_no_btf_has_is_named(counter: ArrayMap, finder: BtfFinder) -> None:
    spec = program(COUNT_OWN, ProgramType.TRACING, attach_type=AttachType.TRACE_RAW_TP, attach_target="no_such_tp")
    with pytest.raises(BtfError, match="no BTF of this kernel has the raw tracepoint no_such_tp"):
        load(spec, NOTHING, {"counter": counter}, OWN_PID, find_btf=finder)


def test_a_module_without_btf_is_named() -> None:
    with pytest.raises(BtfError, match="no BTF of a module no_such_module"):
        module_btf("no_such_module")


def test_a_modules_btf_is_found_by_name() -> None:
    if not has("module_btf"):
        pytest.skip("this kernel gives modules no BTF")
    names = [name for name in os.listdir("/sys/kernel/btf") if name != "vmlinux"]
    if not names:
        pytest.skip("no module with BTF is loaded")
    with Descriptor(module_btf(names[0]), "a module's BTF") as btf:
        assert BtfInfo(btf.fd).name == names[0]


def test_more_links_than_the_soft_limit_of_open_files_allows(counter: ArrayMap) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    links: list[Link] = []
    try:
        with loaded(counter, ProgramType.PERF_EVENT) as timer:
            for _ in range(600):
                links.append(attach(link_spec("interval", period_ns=1_000_000_000), timer))
    finally:
        for link in links:
            link.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(links) == 600
