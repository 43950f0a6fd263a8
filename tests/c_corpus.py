"""Programs of BCC's C that every supported kernel must take, one idiom each: name → text.  None is attached."""

from __future__ import annotations

PROGRAMS: dict[str, str] = {
    "counts in a hash": """
BPF_HASH(counts, u32);
int f(struct pt_regs *ctx) {
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    counts.increment(pid);
    counts.atomic_increment(pid, 2);
    return 0;
}""",
    "entry and return share a hash": """
struct key_t { u32 pid; char comm[TASK_COMM_LEN]; };
BPF_HASH(start, u32, u64);
BPF_HISTOGRAM(latency);
BPF_HISTOGRAM(by_key, struct key_t);
int entry(struct pt_regs *ctx) {
    u32 pid = bpf_get_current_pid_tgid();
    u64 now = bpf_ktime_get_ns();
    start.update(&pid, &now);
    return 0;
}
int leave(struct pt_regs *ctx) {
    u32 pid = bpf_get_current_pid_tgid();
    u64 *then = start.lookup(&pid);
    if (then == 0) return 0;
    u64 spent = bpf_ktime_get_ns() - *then;
    start.delete(&pid);
    latency.increment(bpf_log2l(spent / 1000));
    struct key_t key = { .pid = pid };
    bpf_get_current_comm(&key.comm, sizeof(key.comm));
    by_key.increment(key);
    return 0;
}""",
    "an event with fields of the kernel": """
#include <linux/fs.h>
struct event_t { u64 ts; u32 pid; u32 length; char name[32]; };
BPF_PERF_OUTPUT(events);
int f(struct pt_regs *ctx, struct file *file, char __user *buffer, size_t count) {
    struct event_t event = {};
    struct qstr name = file->f_path.dentry->d_name;
    if (name.len == 0 || count < 10) return 0;
    event.ts = bpf_ktime_get_ns();
    event.pid = bpf_get_current_pid_tgid() >> 32;
    event.length = name.len;
    bpf_probe_read_kernel(&event.name, sizeof(event.name), (void *)name.name);
    events.perf_submit(ctx, &event, sizeof(event));
    return 0;
}""",
    "pointers out of a map": """
BPF_HASH(sockets, u32, struct sock *);
int entry(struct pt_regs *ctx, struct sock *sk) {
    u32 pid = bpf_get_current_pid_tgid();
    sockets.update(&pid, &sk);
    return 0;
}
int leave(struct pt_regs *ctx) {
    u32 pid = bpf_get_current_pid_tgid();
    struct sock **found = sockets.lookup(&pid);
    if (!found) return 0;
    struct sock *sk = *found;
    return sk->__sk_common.skc_dport + sk->sk_family;
}""",
    "static functions": """
static u64 walk(struct task_struct *task, int depth) {
    struct task_struct *parent = task->real_parent;
    return depth > 0 ? parent->pid : task->pid;
}
static int both(struct task_struct *task, u64 *sum) {
    *sum += walk(task, 0);
    *sum += walk(task, 1);
    return *sum > 10;
}
int f(struct pt_regs *ctx) {
    u64 sum = 0;
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    if (both(task, &sum)) return sum;
    return 0;
}""",
    "goto and switch": """
BPF_ARRAY(seen, u64, 16);
int f(struct pt_regs *ctx, int kind) {
    int slot = 0;
    switch (kind) {
    case 1: slot = 3; break;
    case 2: slot = 4;
    case 3: slot += 1; break;
    case 7: case 8: case 9: slot = 9; goto count;
    default: goto out;
    }
count:
    seen.increment(slot);
out:
    return 0;
}""",
    "loops": """
BPF_HASH(words, u64);
int f(struct pt_regs *ctx, char *text) {
    char buffer[32] = {};
    u64 hash = 5381;
    bpf_probe_read_kernel(buffer, sizeof(buffer), text);
    #pragma unroll
    for (int i = 0; i < 32; i++) {
        if (buffer[i] == 0) break;
        hash = hash * 33 + buffer[i];
    }
    words.increment(hash);
    return 0;
}""",
    "records too large for the stack": """
struct event_t { u64 ts; char data[400]; char more[200]; };
BPF_PERF_OUTPUT(events);
BPF_PERCPU_ARRAY(scratch, struct event_t, 1);
int f(struct pt_regs *ctx, char *text) {
    int zero = 0;
    struct event_t *event = scratch.lookup(&zero);
    if (!event) return 0;
    event->ts = bpf_ktime_get_ns();
    bpf_probe_read_kernel(event->data, sizeof(event->data), text);
    bpf_probe_read_kernel_str(&event->more, sizeof(event->more), text + 8);
    events.perf_submit(ctx, event, sizeof(*event));
    return 0;
}
int g(struct pt_regs *ctx, char *text) {
    struct event_t event = {};
    bpf_probe_read_kernel(&event.data, sizeof(event.data), text);
    events.perf_submit(ctx, &event, sizeof(event));
    return 0;
}""",
    "a length that varies": """
BPF_PERF_OUTPUT(events);
struct event_t { u32 length; u8 data[256]; };
BPF_PERCPU_ARRAY(scratch, struct event_t, 1);
int f(struct pt_regs *ctx, char *text, u32 length) {
    u32 zero = 0;
    struct event_t *event = scratch.lookup(&zero);
    if (!event) return 0;
    u32 size = length > 255 ? 255 : length;
    event->length = size;
    bpf_probe_read_kernel(event->data, size & 255, text);
    events.perf_submit(ctx, event, 4 + (size & 255));
    return 0;
}""",
    "a reserved record": """
struct event_t { u64 ts; u32 pid; };
BPF_RINGBUF_OUTPUT(ring, 8);
int f(struct pt_regs *ctx) {
    struct event_t *event = ring.ringbuf_reserve(sizeof(struct event_t));
    if (!event) return 1;
    event->ts = bpf_ktime_get_ns();
    event->pid = bpf_get_current_pid_tgid();
    if (event->pid == 1) { ring.ringbuf_discard(event, 0); return 0; }
    ring.ringbuf_submit(event, 0);
    struct event_t other = {};
    ring.ringbuf_output(&other, sizeof(other), 0);
    return 0;
}""",
    "stack traces": """
struct key_t { int user; int kernel; };
BPF_STACK_TRACE(stacks, 1024);
BPF_HASH(counts, struct key_t);
int f(struct pt_regs *ctx) {
    struct key_t key = {};
    key.user = stacks.get_stackid(ctx, BPF_F_USER_STACK);
    key.kernel = stacks.get_stackid(ctx, 0);
    counts.increment(key);
    return 0;
}""",
    "tail calls": """
BPF_PROG_ARRAY(jumps, 4);
int f(struct pt_regs *ctx) {
    jumps.call(ctx, 2);
    return 1;
}""",
    "system calls": """
BPF_HASH(names, u32, u64);
int syscall__openat(struct pt_regs *ctx, int directory, const char __user *name, int flags, int mode) {
    u32 key = flags & 3;
    u64 value = (u64)name + mode;
    names.update(&key, &value);
    return 0;
}""",
    "wide integers and addresses": """
struct flow_t { unsigned __int128 source; unsigned __int128 target; u16 port; };
BPF_HASH(flows, struct flow_t);
int f(struct pt_regs *ctx, struct sock *sk) {
    struct flow_t flow = {};
    if (sk->__sk_common.skc_family != AF_INET6) return 0;
    bpf_probe_read_kernel(&flow.source, sizeof(flow.source), sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32);
    bpf_probe_read_kernel(&flow.target, sizeof(flow.target), sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32);
    flow.port = ntohs(sk->__sk_common.skc_dport);
    if (flow.source == 0 || flow.source == flow.target) return 0;
    flows.increment(flow);
    return 0;
}""",
    "packets at XDP": """
#include <linux/if_ether.h>
#include <linux/ip.h>
BPF_PERCPU_ARRAY(protocols, long, 256);
static inline int ipv4(void *data, u64 offset, void *end) {
    struct iphdr *header = data + offset;
    if ((void *)&header[1] > end) return 0;
    return header->protocol;
}
int f(struct xdp_md *ctx) {
    void *end = (void *)(long)ctx->data_end;
    void *data = (void *)(long)ctx->data;
    struct ethhdr *eth = data;
    u64 offset = sizeof(*eth);
    u32 index = 0;
    if (data + offset > end) return XDP_PASS;
    if (eth->h_proto == htons(ETH_P_IP)) index = ipv4(data, offset, end);
    long *value = protocols.lookup(&index);
    if (value) *value += 1;
    return index == IPPROTO_ICMP ? XDP_DROP : XDP_PASS;
}""",
    "packets by a cursor": """
#include <bcc/proto.h>
BPF_HASH(ports, u16);
int f(struct __sk_buff *skb) {
    u8 *cursor = 0;
    struct ethernet_t *ethernet = cursor_advance(cursor, sizeof(*ethernet));
    if (ethernet->type != 0x0800) return 0;
    struct ip_t *ip = cursor_advance(cursor, sizeof(*ip));
    if (ip->nextp != 17 || ip->hlen < 5) return 0;
    struct udp_t *udp = cursor_advance(cursor, sizeof(*udp));
    ports.increment(udp->dport);
    return load_byte(skb, 14);
}""",
    "samples": """
BPF_HASH(counts, u64);
BPF_STACK_TRACE(stacks, 128);
int f(struct bpf_perf_event_data *ctx) {
    u64 ip = PT_REGS_IP(&ctx->regs);
    counts.increment(ip, ctx->sample_period);
    return stacks.get_stackid(&ctx->regs, 0) < 0;
}""",
    "raw tracepoints": """
BPF_HASH(switches, u32);
RAW_TRACEPOINT_PROBE(sched_switch) {
    struct task_struct *previous = (struct task_struct *)ctx->args[1];
    struct task_struct *next = (struct task_struct *)ctx->args[2];
    u32 pid = previous->pid, other = next->pid;
    switches.increment(pid);
    switches.increment(other);
    return 0;
}""",
    "a state that is not known beforehand": """
BPF_HASH(table, u32, u64);
int f(struct pt_regs *ctx) {
    u32 key = 1;
    u64 zero = 0, *value = table.lookup(&key);
    if (!value) {
        table.update(&key, &zero);
        value = table.lookup(&key);
        if (!value) return 0;
    }
    __sync_fetch_and_add(value, 5);
    u64 *again = table.lookup_or_try_init(&key, &zero);
    if (again) (*again)++;
    u64 *third = table.lookup_or_init(&key, &zero);
    *third = 7;
    return 0;
}""",
    "a pointer that is null first": """
BPF_HASH(counts, u64, long, 256);
int f(struct pt_regs *ctx) {
    long *count = 0, one = 1;
    u64 key = 3;
    count = counts.lookup(&key);
    if (count) *count += 1;
    else counts.update(&key, &one);
    return 0;
}""",
    "globals and constants": """
static u64 calls;
const u32 primes[4] = { 2, 3, 5, 7 };
static const char word[] = "probee";
int f(struct pt_regs *ctx, u32 which) {
    static u32 seen;
    seen++;
    if (which > 3) return word[2];
    calls += primes[which & 3];
    return calls + seen;
}
int g(struct pt_regs *ctx) { return primes[1] + word[0] + calls; }""",
    "what was printed": """
int f(struct pt_regs *ctx, struct file *file) {
    char text[] = "read";
    bpf_trace_printk("%s of %d\\n", text, file->f_flags);
    return 0;
}""",
    "a program's own struct instead of the kernel's": """
struct mount { u64 before; struct file *file; };
int f(struct pt_regs *ctx, struct mount *mount) {
    return mount->file->f_flags;
}""",
    "a cursor in a packet, moved by functions": """
#include <linux/if_ether.h>
#include <linux/ip.h>
struct cursor { void *at; void *end; };
BPF_PERCPU_ARRAY(seen, u64, 256);
static inline int take_ethernet(struct cursor *c, struct ethhdr **found) {
    struct ethhdr *header = c->at;
    if ((void *)(header + 1) > c->end) return -1;
    c->at = header + 1;
    *found = header;
    return header->h_proto;
}
static inline int take_ip(struct cursor *c, struct iphdr **found) {
    struct iphdr *header = c->at;
    if ((void *)(header + 1) > c->end) return -1;
    c->at = (void *)header + sizeof(*header);
    *found = header;
    return header->protocol;
}
int f(struct xdp_md *ctx) {
    struct cursor c = { .at = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end };
    struct ethhdr *ethernet;
    struct iphdr *ip;
    if (take_ethernet(&c, &ethernet) != htons(ETH_P_IP)) return XDP_PASS;
    int protocol = take_ip(&c, &ip);
    if (protocol < 0) return XDP_PASS;
    seen.increment(protocol & 255);
    ethernet->h_source[0] = ip->ttl;
    ip->ttl = 1;
    return XDP_TX;
}""",
    "structs of twelve bytes in an array on the stack": """
struct row { u32 a; u16 b[2]; u32 c; };
struct __attribute__((packed)) tight { u8 tag; u32 number; };
int f(struct pt_regs *ctx, u32 i) {
    struct row rows[4] = {}, one = { 1, { 2, 3 }, 4 };
    struct tight tights[4] = {};
    rows[i & 3] = one;
    one = rows[(i + 1) & 3];
    tights[i & 3].number = one.c;
    return one.b[i & 1] + tights[(i >> 2) & 3].number;
}""",
    "remainders as indexes": """
int f(struct pt_regs *ctx, u64 n, u32 m) {
    u32 t[4] = { 1, 2, 3 };
    u64 i = m % 3;
    t[n % 3 & 3] += 5;
    if (i < 4) t[i]++;
    t[(u8)n / 100 & 3] = 7;
    t[(3 >> (n & 1)) & 3]++;
    return t[n & 3];
}""",
    "signed indexes in a range": """
BPF_ARRAY(rows, u64[4], 1);
int f(struct pt_regs *ctx, int i, char c, short s, int n) {
    u32 t[4] = { 1, 2, 3 };
    int zero = 0;
    u64 *row = (u64 *)rows.lookup(&zero);
    if (!row || i < 0 || i >= 4) return 0;
    t[i] += 5;
    row[i]++;
    if (c >= 0 && c < 4) t[c]++;
    if (s < 0 || s > 3) return t[1];
    row[s] += t[s];
    if (n > 3) n = 3;
    if (n < 0) n = 0;
    return t[n];
}""",
    "loops that move pointers": """
struct value_t { u32 n; char text[64]; };
BPF_PERCPU_ARRAY(values, struct value_t, 1);
int f(struct pt_regs *ctx, char *from) {
    char local[64] = {}, *end = local + sizeof(local);
    int zero = 0;
    struct value_t *value = values.lookup(&zero);
    if (!value) return 0;
    bpf_probe_read_kernel(local, sizeof(local), from);
    for (char *p = local; p < end; p++)
        if (*p == 'x') value->n++;
    for (char *p = value->text; p != value->text + 64; p += 4) *p = local[3];
    char *q = end - 1;
    while (q >= local && *q != '/') q--;
    return q - local;
}""",
    "literals copied in greater length": """
struct event_t { u64 what; char name[32]; };
BPF_PERCPU_ARRAY(events, struct event_t, 1);
static inline void note(const char *name, u64 what) {
    int zero = 0;
    struct event_t *event = events.lookup(&zero);
    if (!event) return;
    __builtin_memcpy(event->name, name, 32);
    event->what = what;
}
int f(struct pt_regs *ctx) { note("open", 1); return 0; }
int g(struct pt_regs *ctx) { note("", 2); note("close", 3); return 0; }""",
    "a path put together from its end": """
struct path_t { char text[256]; char beyond[64]; };
BPF_PERCPU_ARRAY(paths, struct path_t, 1);
int f(struct pt_regs *ctx, struct dentry *dentry) {
    int zero = 0, at = 255;
    struct path_t *path = paths.lookup(&zero);
    if (!path) return 0;
    for (int depth = 0; depth < 8 && dentry; depth++) {
        char name[64] = {};
        int length = bpf_probe_read_kernel_str(name, sizeof(name), dentry->d_name.name);
        if (length <= 1) break;
        if (at - (length - 1) - 1 < 0) break;
        at -= (length - 1);
        bpf_probe_read_kernel(&path->text[at], length - 1, name);
        if (at > 0) path->text[--at] = '/';
        dentry = dentry->d_parent;
    }
    return at;
}""",
    "a pointer to a variable, or to a map's value": """
struct value_t { u32 n, m; u64 sum; char comm[16]; };
BPF_HASH(values, u32, struct value_t);
int f(struct pt_regs *ctx) {
    u32 key = 7;
    struct value_t fresh = { .n = 10 }, *value = values.lookup(&key);
    fresh.m = 1;
    if (value == 0) {
        value = &fresh;
        value->m = 0;
        fresh.m++;
    }
    value->n++;
    if (value == &fresh) values.update(&key, value);
    value->sum += 5;
    __sync_fetch_and_add(&value->sum, 10);
    if (value->n > 1000) bpf_get_current_comm(value->comm, sizeof(value->comm));
    return fresh.m * 100 + value->n;
}
int g(struct pt_regs *ctx) {
    u32 key = 1;
    struct value_t fresh = {}, *value = &fresh;
    for (int i = 0; i < 4; i++) {
        value->n += i;
        struct value_t *other = values.lookup(&key);
        if (other) value = other;
        key += value->n;
    }
    values.update(&key, value);
    return value ? value->n : 0;
}""",
}
