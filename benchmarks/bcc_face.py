"""bcc's Python face against bcc's own: start, callbacks per second, a million entries.  The same file runs under both.

    probee bcc benchmarks/bcc_face.py              ours (twice: the first start compiles)
    chroot PEERS python3 .../bcc_face.py           bcc's (shared/tools/peers.sh makes PEERS)

Nothing is attached: records are made by BPF_PROG_TEST_RUN.  Times are this process's CPU seconds, save the start's.
"""

import ctypes as ct
import json
import os
import resource
import sys
import time

BEGUN = time.perf_counter()
from bcc import BPF  # noqa: E402  what is measured begins here

TEXT = b"""
struct data_t { u64 ts; u32 pid; u32 cpu; char comm[16]; };
BPF_PERF_OUTPUT(events);
BPF_RINGBUF_OUTPUT(ring, 4096);
BPF_HASH(many, u32, u64, 1048576);
int to_perf(struct xdp_md *ctx) {
    struct data_t data = {};
    data.ts = bpf_ktime_get_ns();
    data.pid = 7;
    events.perf_submit(ctx, &data, sizeof(data));
    return XDP_PASS;
}
int to_ring(struct xdp_md *ctx) {
    struct data_t data = {};
    data.ts = bpf_ktime_get_ns();
    data.pid = 7;
    ring.ringbuf_output(&data, sizeof(data), 0);
    return XDP_PASS;
}
"""
SMALL = os.environ.get("PROBEE_BENCH_SMALL") == "1"
RUNS, AT_ONCE = (1, 1000) if SMALL else (10, 20_000)
ENTRIES = 1 << (10 if SMALL else 20)

syscall = ct.CDLL(None, use_errno=True).syscall


def run(fd, times):
    """BPF_PROG_TEST_RUN on 64 bytes."""
    data = ct.create_string_buffer(64)
    attribute = (ct.c_uint32 * 20)()
    attribute[0], attribute[2], attribute[8] = fd, 64, times
    ct.memmove(ct.byref(attribute, 16), ct.byref(ct.c_uint64(ct.addressof(data))), 8)
    if syscall(321, 10, ct.byref(attribute), 80) < 0:
        raise OSError(ct.get_errno(), "BPF_PROG_TEST_RUN")


def callbacks(b, name, table, poll):
    """Return events per CPU second, and how many came of those that were made."""
    function = b.load_func(name, BPF.XDP)
    count = [0]

    def callback(first, data, size):
        count[0] += table.event(data).pid == 7

    if name == b"to_perf":
        table.open_perf_buffer(callback, page_cnt=1024)
    else:
        table.open_ring_buffer(callback)
    seconds = 0.0
    for _ in range(RUNS):
        run(function.fd, AT_ONCE)
        before = time.process_time()
        poll(0)
        seconds += time.process_time() - before
    return count[0] / seconds, count[0]


def main():
    b = BPF(text=TEXT)
    b.load_func(b"to_perf", BPF.XDP)
    found = {"bcc": getattr(sys.modules["bcc"], "__implementation__", "bcc"), "start_s": time.perf_counter() - BEGUN}
    found["start_cpu_s"] = time.process_time()
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found["perf_per_s"], found["perf_events"] = callbacks(b, b"to_perf", b[b"events"], b.perf_buffer_poll)
    found["ring_per_s"], found["ring_events"] = callbacks(b, b"to_ring", b[b"ring"], b.ring_buffer_poll)
    many = b[b"many"]
    many.items_update_batch((many.Key * ENTRIES)(*range(ENTRIES)), (many.Leaf * ENTRIES)(*range(ENTRIES)))
    before = time.process_time()
    entries = many.items()
    found["items_s"] = time.process_time() - before
    assert len(entries) == ENTRIES
    print(json.dumps({key: round(value, 3) if isinstance(value, float) else value for key, value in found.items()}))


main()
