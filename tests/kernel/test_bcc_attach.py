"""Attaching through bcc's face in a guest: kprobes by pattern, by name and by the names of functions, tracepoints, sampling."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from probee.bcc.constant import PerfSWConfig, PerfType
from probee.bcc.core import _get_num_open_probes
from probee.bcc.error import BccError
from probee.bcc.program import BPF

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(600)]

COUNT = """
BPF_HASH(hits, u64, u64);
int count(struct pt_regs *ctx) {
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    u64 where = PT_REGS_IP(ctx);
    if (pid == OWN)
        hits.increment(where);
    return 0;
}
""".replace("OWN", str(os.getpid()))


def names(face: BPF) -> set[bytes]:
    return {face.ksym(key.value) for key, _ in face["hits"].items()}


def test_a_pattern_means_every_function_that_matches(kprobes: None, tmp_path: Path) -> None:
    before = _get_num_open_probes()
    with BPF(text=COUNT) as face:
        face.attach_kprobe(event_re="vfs_(read|write|open)", fn_name="count")
        assert face.num_open_kprobes() == 3
        assert _get_num_open_probes() == before + 3
        (tmp_path / "file").write_text("x")
        (tmp_path / "file").read_text()
        assert names(face) == {b"vfs_read", b"vfs_write", b"vfs_open"}
    assert _get_num_open_probes() == before


def test_one_of_a_pattern_s_functions_can_be_let_go(kprobes: None, tmp_path: Path) -> None:
    with BPF(text=COUNT) as face:
        face.attach_kprobe(event_re="vfs_(read|write)", fn_name="count")
        face.detach_kprobe("vfs_write")
        assert face.num_open_kprobes() == 1
        face["hits"].clear()
        (tmp_path / "file").write_text("x")
        (tmp_path / "file").read_text()
        assert names(face) == {b"vfs_read"}
        face.detach_kprobe("vfs_read")
        assert face.num_open_kprobes() == 0
        with pytest.raises(KeyError):
            face.detach_kprobe("vfs_read")


def test_a_pattern_that_nothing_matches_is_an_error(kprobes: None) -> None:
    with BPF(text=COUNT) as face, pytest.raises(BccError, match="Failed to attach BPF program b'count' to kprobe"):
        face.attach_kprobe(event_re="no_such_function_.*", fn_name="count")


def test_more_probes_than_allowed_are_refused(kprobes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BCC_PROBE_LIMIT", str(_get_num_open_probes() + 2))
    with BPF(text=COUNT) as face, pytest.raises(BccError, match="Number of open probes would exceed global quota"):
        face.attach_kprobe(event_re="vfs_(read|write|open)", fn_name="count")


NAMED = """
BPF_ARRAY(hits, u64, 4);
static void hit(int number) { u64 *found = hits.lookup(&number); if (found) (*found)++; }
int kprobe__vfs_read(struct pt_regs *ctx) { if (bpf_get_current_pid_tgid() >> 32 == OWN) hit(0); return 0; }
int kretprobe__vfs_read(struct pt_regs *ctx) { if (bpf_get_current_pid_tgid() >> 32 == OWN) hit(1); return 0; }
int kprobe__sys_getppid(struct pt_regs *ctx) { if (bpf_get_current_pid_tgid() >> 32 == OWN) hit(2); return 0; }
TRACEPOINT_PROBE(raw_syscalls, sys_enter) {
    if (bpf_get_current_pid_tgid() >> 32 == OWN && args->id == 110) hit(3);
    return 0;
}
""".replace("OWN", str(os.getpid()))


def test_functions_attach_by_their_names(kprobes: None, tracefs: str) -> None:
    with BPF(text=NAMED) as face:
        assert (face.num_open_kprobes(), face.num_open_tracepoints()) == (3, 1)
        face["hits"].zero()  # attaching one after the other has read files
        os.getppid()
        with open("/proc/self/stat", "rb", buffering=0) as file:
            file.read(1)
        found = [leaf.value for leaf in face["hits"].values()]
    assert found[0] == found[1] >= 1
    assert found[2:] == [1, 1]


def test_a_return_probe_on_bpf_does_not_count_its_own_attaching(kprobes: None) -> None:
    text = """
    BPF_ARRAY(hits, u64, 1);
    int f(struct pt_regs *ctx) { int k = 0; if (bpf_get_current_pid_tgid() >> 32 == OWN) hits.increment(k); return 0; }
    """
    with BPF(text=text.replace("OWN", str(os.getpid()))) as face:
        hits = face["hits"]
        face.attach_kretprobe(event=face.get_syscall_fnname("bpf"), fn_name="f")
        assert hits[0].value == 0  # what this reading returns comes before its own return is counted
        assert hits[0].value == 1


def test_a_tracepoint_by_name_is_detached_by_name(tracefs: str) -> None:
    with BPF(text="int f(void *ctx) { return 0; }") as face:
        face.attach_tracepoint(tp="sched:sched_process_exit", fn_name="f")
        assert face.tracepoint_exists("sched", "sched_process_exit")
        face.detach_tracepoint("sched:sched_process_exit")
        with pytest.raises(BccError, match="Tracepoint b'sched:sched_process_exit' is not attached"):
            face.detach_tracepoint("sched:sched_process_exit")


def test_sampling_runs_a_function(kprobes: None) -> None:
    text = "BPF_ARRAY(hits, u64, 1); int f(void *ctx) { int k = 0; hits.increment(k); return 0; }"
    with BPF(text=text) as face:
        face.attach_perf_event(ev_type=PerfType.SOFTWARE, ev_config=PerfSWConfig.CPU_CLOCK, fn_name="f", sample_freq=99)
        while not face["hits"][0].value:
            sum(range(10_000))
        face.detach_perf_event(PerfType.SOFTWARE, PerfSWConfig.CPU_CLOCK)
        with pytest.raises(BccError, match="Perf event type 1 config 0 not attached"):
            face.detach_perf_event(PerfType.SOFTWARE, PerfSWConfig.CPU_CLOCK)


def test_lists_of_functions_leave_out_what_cannot_be_probed(kprobes: None) -> None:
    found = BPF.get_kprobe_functions(b"vfs_.*")
    assert {b"vfs_read", b"vfs_write"} <= found
    assert not [name for name in BPF.get_kprobe_functions(rb".*") if name.startswith(b"perf_") or name.endswith(b".cold")]


KFUNC = """
BPF_ARRAY(hits, u64, 2);
KFUNC_PROBE(vfs_read, struct file *file) {
    int k = 0;
    if (bpf_get_current_pid_tgid() >> 32 == OWN) hits.increment(k);
    return 0;
}
KRETFUNC_PROBE(vfs_read, struct file *file, char *buf, size_t count, loff_t *pos, ssize_t ret) {
    int k = 1;
    if (bpf_get_current_pid_tgid() >> 32 == OWN) hits.increment(k, ret);
    return 0;
}
""".replace("OWN", str(os.getpid()))


def test_trampolines_attach_by_their_names(kprobes: None) -> None:
    assert BPF.support_raw_tracepoint()
    if not BPF.support_kfunc():
        pytest.skip("this kernel has no trampolines")
    with BPF(text=KFUNC) as face:
        face["hits"].zero()
        with open("/proc/self/stat", "rb", buffering=0) as file:
            file.read(7)
        assert [leaf.value for leaf in face["hits"].values()] == [1, 7]
        face.detach_kfunc("vmlinux__vfs_read")
        with pytest.raises(BccError, match="Kernel entry func b'kfunc__vmlinux__vfs_read' is not attached"):
            face.detach_kfunc("vmlinux__vfs_read")
