"""The features by name: how each is probed, and since when Linux has it (for messages only).

Each entry is (kind, argument, since, commit).  Kinds: "helper" (argument: a number, or (number, mode)),
"instruction", "map", "link", "info", "btf", "file" (a path that must exist), "run"; attempt.py has one function per kind.
"""

from __future__ import annotations

FEATURES: dict[str, tuple[str, object, str, str]] = {
    # 1. helpers, asked in a kprobe program
    "attach_cookie": ("helper", 174, "5.15", "7adfc6c9b315"),
    "bpf_loop": ("helper", 181, "5.17", "e6f2dd0f8067"),
    "find_vma": ("helper", 180, "5.17", "7c7e3d31e785"),
    "for_each_map_elem": ("helper", 164, "5.13", "69c087ba6225"),
    "get_current_task_btf": ("helper", 158, "5.11", "3ca1032ab7ab"),
    "get_func_ip": ("helper", 173, "5.15", "9ffd9f3ff719"),
    "get_ns_current_pid_tgid": ("helper", 120, "5.7", "b4490c5c4e02"),
    "get_task_stack": ("helper", 141, "5.9", "fa28dcb82a38"),
    "jiffies64": ("helper", 118, "5.6", "5576b991e9c1"),
    "ktime_get_boot_ns": ("helper", 125, "5.8", "71d19214776e"),
    "ktime_get_tai_ns": ("helper", 208, "6.1", "c8996c98f703"),
    "map_lookup_percpu_elem": ("helper", 195, "5.19", "07343110b293"),
    "per_cpu_ptr": ("helper", 153, "5.10", "eaa6bcb71ef6"),
    "probe_read_kernel": ("helper", 113, "5.5", "6ae08ae3dea2"),
    "ringbuf_reserve": ("helper", 131, "5.8", "457f44363a88"),
    "send_signal": ("helper", 109, "5.3", "8b401f9ed244"),
    "snprintf": ("helper", 165, "5.13", "7b15523a989b"),
    "strncmp": ("helper", 182, "5.17", "c5fb19937455"),
    "timer": ("helper", 169, "5.15", "b00628b1c7d5"),
    # In a sleepable program on a uprobe.
    "copy_from_user": ("helper", (148, "sleepable"), "6.0", "64ad7556c75f"),
    # In a program on a typed raw tracepoint.
    "skb_output": ("helper", (111, "typed"), "5.5", "a7658e1a4164"),
    "override_return": ("helper", 58, "4.16", "9802d86585db"),
    # 2. instructions
    "atomic_fetch": ("instruction", "atomic_fetch", "5.12", "5ca419f2864a"),
    "bounded_loop": ("instruction", "bounded_loop", "5.3", "2589726d12a1"),
    "insn_v3": ("instruction", "jmp32", "5.1", "092ed0968bb6"),
    "insn_v4": ("instruction", "movsx", "6.6", "8100928c8814"),
    # 3. maps
    "array_batch": ("map", "array_batch", "5.6", "c60f2d286180"),
    "hash_batch": ("map", "hash_batch", "5.6", "057996380a42"),
    "percpu_array_batch": ("map", "percpu_array_batch", "5.13", "f008d732ab18"),
    "ringbuf": ("map", "ringbuf", "5.8", "457f44363a88"),
    # The helper came with the accounting; memory itself cannot be asked.
    "memcg_accounting": ("helper", (160, "socket"), "5.11", "97306be45fbe"),
    # 4. ways of attaching
    "cgroup_link": ("link", "cgroup_link", "5.7", "af6eea57437a"),
    "kprobe_multi": ("link", "kprobe_multi", "5.18", "0dcac2725406"),
    "kprobe_session": ("link", "kprobe_session", "6.10", "535a3692ba72"),
    # Refuses a kprobe on a name that several functions have; stable kernels have it, too.
    "kprobe_unique_name": ("link", "kprobe_unique_name", "6.7", "b022f0c7e404"),
    "perf_link": ("link", "perf_link", "5.15", "b89fbfbb854c"),
    "sockmap_link": ("link", "sockmap_link", "6.10", "699c23f02c65"),
    "tcx_link": ("link", "tcx_link", "6.6", "e420bed02507"),
    "uprobe_multi": ("link", "uprobe_multi", "6.6", "89ae89f53d20"),
    # 5. what the kernel tells
    "bpf_stats": ("info", "bpf_stats", "5.8", "d46edd671a14"),
    "link_missed_count": ("info", "link_missed_count", "6.7", "e2b2cd592adb"),
    "prog_recursion_misses": ("info", "prog_recursion_misses", "5.12", "9ed9e9ba2337"),
    "raw_tp_test_run": ("run", "raw_tp", "5.10", "1b4d60ec162f"),
    # 6. type information
    "btf": ("file", "/sys/kernel/btf/vmlinux", "5.4", "341dfcf8d78e"),
    "btf_enum64": ("btf", "enum64", "6.0", "6089fb325cf7"),
    "btf_float": ("btf", "float", "5.13", "b1828f0b0482"),
    "btf_func": ("btf", "func", "5.0", "2667a2626f4d"),
    "btf_line_info": ("btf", "line_info", "5.0", "c454a46b5efd"),
    "module_btf": ("btf", "module", "5.11", "5329722057d4"),
    # 7. files
    "kprobe": ("file", "/sys/bus/event_source/devices/kprobe/type", "4.17", "e12f03d7031a"),
    "uprobe": ("file", "/sys/bus/event_source/devices/uprobe/type", "4.17", "33ea4b24277b"),
    "tracepoint": ("file", "tracefs", "4.1", "8434dc9340cd"),
}
