"""Programs in C through bcc's face on probes of the kernel, each seeing what this process does and nothing else."""

from __future__ import annotations

import os
from typing import Any

import pytest

from probee.bcc.program import BPF

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not os.path.exists("/sys/kernel/tracing/kprobe_events"), reason="no kprobes, or no tracefs, here"),
]

OURS = "(bpf_get_current_pid_tgid() >> 32) == OUR_PID"
FLAGS = [f"-DOUR_PID={os.getpid()}"]
TIMES = 5


def test_a_kprobe_sends_its_arguments_through_a_perf_buffer() -> None:
    text = """
    struct data_t { u32 asked; char comm[TASK_COMM_LEN]; };
    BPF_PERF_OUTPUT(events);
    int syscall__getpgid(struct pt_regs *ctx, int asked) {
        struct data_t data = {};
        if (!(%s)) return 0;
        data.asked = asked;
        bpf_get_current_comm(&data.comm, sizeof(data.comm));
        events.perf_submit(ctx, &data, sizeof(data));
        return 0;
    }
    """
    seen: list[Any] = []
    with BPF(text=text % OURS, cflags=FLAGS) as face:
        face.attach_kprobe(event=face.get_syscall_fnname("getpgid"), fn_name="syscall__getpgid")
        face["events"].open_perf_buffer(lambda cpu, data, size: seen.append(face["events"].event(data)))
        for _ in range(TIMES):
            os.getpgid(os.getpid())
        face.perf_buffer_poll(timeout=5000)
    with open("/proc/self/comm", "rb") as file:
        assert [(event.asked, event.comm) for event in seen] == [(os.getpid(), file.read().rstrip(b"\n"))] * TIMES


def test_entry_and_return_make_a_histogram_of_results() -> None:
    text = """
    BPF_HASH(entered, u32);
    BPF_HISTOGRAM(results);
    int entry(struct pt_regs *ctx) {
        u32 tid = bpf_get_current_pid_tgid();
        u64 now = bpf_ktime_get_ns();
        if (%s) entered.update(&tid, &now);
        return 0;
    }
    int leave(struct pt_regs *ctx) {
        u32 tid = bpf_get_current_pid_tgid();
        u64 *then = entered.lookup(&tid);
        if (!then || bpf_ktime_get_ns() < *then) return 0;
        entered.delete(&tid);
        results.increment(bpf_log2l(PT_REGS_RC(ctx)));
        return 0;
    }
    """
    with BPF(text=text % OURS, cflags=FLAGS) as face:
        name = face.get_syscall_fnname("read")
        face.attach_kprobe(event=name, fn_name="entry")
        face.attach_kretprobe(event=name, fn_name="leave")
        with open("/dev/zero", "rb", buffering=0) as file:
            for _ in range(TIMES):
                file.read(1000)
        found = {key.value: value.value for key, value in face["results"].items() if value.value}
        left = len(face["entered"])
    assert found[10] >= TIMES  # 512 … 1023
    assert left == 0


def test_a_kernel_stack_leads_from_the_system_call_to_the_probe() -> None:
    text = """
    BPF_STACK_TRACE(stacks, 64);
    BPF_HASH(ids, int);
    int kprobe__vfs_read(struct pt_regs *ctx) {
        if (!(%s)) return 0;
        int id = stacks.get_stackid(ctx, 0);
        if (id >= 0) ids.increment(id);
        return 0;
    }
    """
    with BPF(text=text % OURS, cflags=FLAGS) as face:
        with open("/dev/zero", "rb", buffering=0) as file:
            file.read(10)
        names = [[face.ksym(address) for address in face["stacks"].walk(key.value)] for key in face["ids"]]
    assert any(stack[0].startswith(b"vfs_read") and any(b"sys_read" in name for name in stack) for stack in names)


def test_a_tracepoint_s_fields_arrive_through_a_ring_buffer() -> None:
    text = """
    struct data_t { u64 which; };
    BPF_RINGBUF_OUTPUT(ring, 8);
    TRACEPOINT_PROBE(raw_syscalls, sys_enter) {
        struct data_t data = { .which = args->args[0] };
        if (!(%s) || args->id != 121) return 0;
        ring.ringbuf_output(&data, sizeof(data), 0);
        return 0;
    }
    """
    seen: list[int] = []
    with BPF(text=text % OURS, cflags=FLAGS) as face:
        face["ring"].open_ring_buffer(lambda context, data, size: seen.append(face["ring"].event(data).which))
        os.getpgid(0)
        os.getpgid(os.getpid())
        face.ring_buffer_poll(timeout=5000)
    assert seen == [0, os.getpid()]
