"""Programs in C through bcc's face, natively: loaded, run by test run, read through tables and buffers; nothing is attached."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from probee.bcc.core import _get_num_open_probes
from probee.bcc.error import BccError
from probee.bcc.program import BPF

pytestmark = pytest.mark.kernel

ROOT = Path(__file__).resolve().parents[2]

COUNT = """
struct data_t { u32 number; u64 when; char name[8]; };
BPF_HASH(counts, u32, u64);
BPF_PERF_OUTPUT(events);
BPF_RINGBUF_OUTPUT(ring, 8);
BPF_PROG_ARRAY(more, 4);

int to_perf(struct xdp_md *ctx) {
    struct data_t data = {};
    u32 key = 1;
    counts.increment(key);
    data.number = 7;
    data.when = bpf_ktime_get_ns();
    __builtin_memcpy(data.name, "probee", 7);
    events.perf_submit(ctx, &data, sizeof(data));
    return XDP_PASS;
}

int to_ring(struct xdp_md *ctx) {
    struct data_t data = {};
    data.number = 8;
    ring.ringbuf_output(&data, sizeof(data), 0);
    return XDP_PASS;
}

int jump(struct xdp_md *ctx) {
    more.call(ctx, 2);
    return XDP_DROP;
}
"""


@pytest.fixture
def face() -> Iterator[BPF]:
    with BPF(text=COUNT) as opened:
        yield opened


def run(face: BPF, name: str, times: int = 1) -> int:
    function = face.load_func(name, BPF.XDP)
    assert function.program is not None
    return int(function.program.test_run(data=bytes(64), repeat=times).value)


def test_events_arrive_as_the_struct_that_the_program_sent(face: BPF) -> None:
    found: list[Any] = []
    face["events"].open_perf_buffer(lambda cpu, data, size: found.append(face["events"].event(data)))
    assert run(face, "to_perf", 5) == BPF.XDP_PASS
    face.perf_buffer_poll(1000)
    assert [(event.number, event.name) for event in found] == [(7, b"probee")] * 5
    assert sorted(event.when for event in found) == [event.when for event in found]
    assert [leaf.value for leaf in face["counts"].values()] == [5]


def test_a_table_has_one_buffer_whoever_looks_at_it(face: BPF) -> None:
    found: list[Any] = []
    face.get_table("events").open_perf_buffer(lambda cpu, data, size: found.append(face[b"events"].event(data)))
    run(face, "to_perf", 2)
    face.perf_buffer_poll(1000)
    run(face, "to_perf", 2)
    face.perf_buffer_poll(1000)
    assert [(event.number, event.name) for event in found] == [(7, b"probee")] * 4
    assert face["events"] is face[b"events"]


def test_a_buffer_that_is_opened_again_takes_the_place_of_the_first(face: BPF) -> None:
    first: list[int] = []
    second: list[int] = []
    face["ring"].open_ring_buffer(lambda ctx, data, size: first.append(size))
    face["ring"].open_ring_buffer(lambda ctx, data, size: second.append(size))
    run(face, "to_ring", 3)
    face.ring_buffer_poll(1000)
    assert (first, second) == ([], [24] * 3)


def test_a_ring_buffer_hands_its_callback_the_context(face: BPF) -> None:
    found: list[Any] = []

    def callback(context: Any, data: int, size: int) -> None:
        found.append((context, face["ring"].event(data).number, size))

    face["ring"].open_ring_buffer(callback, ctx="mine")
    run(face, "to_ring", 3)
    face.ring_buffer_poll(1000)
    assert found == [("mine", 8, 24)] * 3


def test_a_negative_result_ends_the_poll_and_loses_nothing(face: BPF) -> None:
    found: list[int] = []

    def callback(context: Any, data: int, size: int) -> int:
        found.append(data)
        return -1 if len(found) == 2 else 0

    face["ring"].open_ring_buffer(callback)
    run(face, "to_ring", 5)
    face.ring_buffer_poll(1000)
    assert len(found) == 2
    face.ring_buffer_consume()
    assert len(set(found)) == 5


def test_polling_ends_when_its_time_is_up(face: BPF) -> None:
    face["events"].open_perf_buffer(lambda *_: None)
    face.perf_buffer_poll(10)
    with pytest.raises(BccError, match="No ring buffers to poll"):
        face.ring_buffer_poll(10)


def test_a_number_of_pages_that_is_no_power_of_two_is_refused(face: BPF) -> None:
    with pytest.raises(BccError, match="Perf buffer page_cnt must be a power of two"):
        face["events"].open_perf_buffer(lambda *_: None, page_cnt=3)


@pytest.fixture
def one_cpu() -> Iterator[None]:
    """Keep to one CPU: the kernel tells of what was lost on one with the next event there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


def test_losses_are_told(face: BPF, one_cpu: None) -> None:
    lost: list[int] = []
    arrived: list[int] = []
    face["events"].open_perf_buffer(lambda cpu, data, size: arrived.append(cpu), page_cnt=1, lost_cb=lost.append)
    run(face, "to_perf", 1000)
    face.perf_buffer_poll(1000)
    run(face, "to_perf", 1)
    face.perf_buffer_poll(1000)
    assert sum(lost) + len(arrived) == 1001
    assert sum(lost)


def test_programs_jump_into_others(face: BPF) -> None:
    assert run(face, "jump") == BPF.XDP_DROP
    face["more"][2] = face.load_func("to_ring", BPF.XDP)
    assert run(face, "jump") == BPF.XDP_PASS
    del face["more"][2]
    assert run(face, "jump") == BPF.XDP_DROP


def test_a_function_is_loaded_once(face: BPF) -> None:
    assert face.load_func(b"jump", BPF.XDP) is face.load_func("jump", BPF.XDP)
    with pytest.raises(BccError, match="Unknown program b'none'"):
        face.load_func("none", BPF.XDP)


def test_one_text_is_loaded_as_several_types() -> None:
    with BPF(text="int f(void *ctx) { return 0; }") as first, BPF(text="int f(void *ctx) { return 0; }") as second:
        first.load_func("f", BPF.SOCKET_FILTER)
        second.load_func("f", BPF.SCHED_CLS)
        assert first.dump_func("f") == second.dump_func("f")


def test_what_is_wrong_with_the_text_is_shown_and_raised(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exception, match=r"Failed to compile BPF module <text>"):
        BPF(text="int f(void *ctx) { return undefined_name; }")
    shown = capsys.readouterr().err
    assert "/virtual/main.c:1:27" in shown
    assert "~~~" in shown


REFUSED = """
BPF_HASH(t, int, int);
int f(struct xdp_md *ctx) {
    int key = 0, *value = t.lookup(&key);
    return *value;
}
"""


def test_what_the_verifier_refuses_is_told_in_the_user_s_c(capfd: pytest.CaptureFixture[str]) -> None:
    with BPF(text=REFUSED) as face, pytest.raises(Exception, match=r"Failed to load BPF program b'f': Permission denied"):
        face.load_func("f", BPF.XDP)
    shown = capfd.readouterr().err
    assert "return *value;" in shown
    assert "/virtual/main.c:5" in shown


def test_a_function_that_cannot_be_probed_is_told_in_bcc_s_words_and_ours() -> None:
    with BPF(text="int f(void *ctx) { return 0; }") as face:
        with pytest.raises(BccError) as caught:
            face.attach_kprobe(event="no_such_function", fn_name="f")
        words = str(caught.value).splitlines()
        assert words[0] == (
            "Failed to attach BPF program b'f' to kprobe b'no_such_function', it's not traceable "
            '(either non-existing, inlined, or marked as "notrace")'
        )
        assert len(words) > 1
        assert (face.num_open_kprobes(), _get_num_open_probes()) == (0, 0)


def test_files_are_found_beside_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "part.c").write_text("int f(void *ctx) { return 0; }")
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "program.py")])
    with BPF(src_file="part.c") as face:
        assert list(face.module_of().programs) == ["f"]
    with pytest.raises(BccError, match=r"Could not find file b'none\.c'"):
        BPF(src_file="none.c")


def test_flags_define_macros() -> None:
    with BPF(text="int f(struct xdp_md *ctx) { return ANSWER; }", cflags=["-DANSWER=2", "-w", "-Wall"]) as face:
        assert run(face, "f") == 2


def test_a_uprobe_runs_for_our_own_process_and_goes_with_the_face() -> None:
    text = "BPF_ARRAY(hits, u64, 1); int f(void *ctx) { int k = 0; u64 *v = hits.lookup(&k); if (v) (*v)++; return 0; }"
    before = _get_num_open_probes()
    with BPF(text=text) as face:
        face.attach_uprobe(name="c", sym="getppid", fn_name="f", pid=os.getpid())
        os.getppid()
        assert face["hits"][0].value == 1
        assert (face.num_open_uprobes(), _get_num_open_probes()) == (1, before + 1)
        face.detach_uprobe(name="c", sym="getppid", pid=os.getpid())
        os.getppid()
        assert face["hits"][0].value == 1
        assert face.num_open_uprobes() == 0
    with pytest.raises(BccError, match="could not determine address of symbol none in c"):
        BPF._check_path_symbol("c", "none", None, -1)


def test_names_of_addresses() -> None:
    address = BPF.ksymname("do_nanosleep")
    assert BPF.ksym(address + 1, show_offset=True, show_module=True) == b"do_nanosleep+0x1 [kernel]"
    assert BPF.ksymname("no_such_symbol") == -1
    assert BPF.ksym(1) == b"[unknown]"


def test_members_of_the_kernel_s_structs() -> None:
    assert BPF.kernel_struct_has_field(b"task_struct", b"pid") == 1
    assert BPF.kernel_struct_has_field("task_struct", "no_such") == 0
    assert BPF.kernel_struct_has_field("no_such", "pid") == -1
    assert BPF.kernel_enum_has_val("bpf_map_type", "BPF_MAP_TYPE_HASH") == 1


CACHED = """
import sys
from probee.bcc import BPF
with BPF(text="BPF_HASH(t, u32, u64); int f(struct xdp_md *ctx) { u32 k = 1; t.increment(k); return 2; }") as face:
    face.load_func("f", BPF.XDP).program.test_run(data=bytes(64))
    print([leaf.value for leaf in face["t"].values()])
print(*sorted(name for name in sys.modules if name.startswith("probee.compiler") or name in ("pcpp", "pycparser")))
"""


def test_a_second_start_imports_no_compiler(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "XDG_CACHE_HOME": str(tmp_path)}
    (tmp_path / "probee").mkdir(mode=0o700)
    outputs = [
        subprocess.run([sys.executable, "-c", CACHED], env=env, capture_output=True, text=True, check=True).stdout.splitlines()
        for _ in range(2)
    ]
    assert [lines[0] for lines in outputs] == ["[1]", "[1]"]
    assert "probee.compiler.lang.c.program" in outputs[0][1]
    assert outputs[1][1] == "probee.compiler probee.compiler.cache"
