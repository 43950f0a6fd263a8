"""What operations do to memory, as far as passes may rely on it (no pass itself).

A pointer's *root* is what its constant offsets are counted from.  Different slots never overlap; a slot whose address has not
got away (stored, converted, joined, passed to a function) is reached through itself only; memory of different spaces does
not overlap.  What a helper is not known for, it does: it writes to all memory that it can reach.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.unit import Function, Value

# Helpers whose result is all they do
TELLING = frozenset((
    "get_current_pid_tgid", "get_current_uid_gid", "get_current_task", "get_current_task_btf", "get_smp_processor_id",
    "get_numa_node_id", "get_current_cgroup_id", "get_current_ancestor_cgroup_id", "ktime_get_ns", "ktime_get_boot_ns",
    "ktime_get_tai_ns", "ktime_get_coarse_ns", "jiffies64", "get_prandom_u32", "get_func_ip", "get_attach_cookie",
    "get_func_arg_cnt", "map_lookup_elem", "map_lookup_percpu_elem", "per_cpu_ptr", "this_cpu_ptr", "task_pt_regs",
))  # fmt: skip

# … and whose result stays the same while a program runs
CONSTANT = frozenset((
    "get_current_pid_tgid", "get_current_uid_gid", "get_current_task", "get_current_task_btf", "get_smp_processor_id",
    "get_numa_node_id", "get_current_cgroup_id", "get_func_ip", "get_attach_cookie", "get_func_arg_cnt",
))  # fmt: skip

# Helpers that write through one argument only: its index
WRITES = {
    "probe_read": 0, "probe_read_kernel": 0, "probe_read_user": 0, "probe_read_str": 0, "probe_read_kernel_str": 0,
    "probe_read_user_str": 0, "get_current_comm": 0, "get_stack": 1, "get_func_arg": 2, "get_func_ret": 1, "snprintf": 0,
    "d_path": 1, "strtol": 3, "strtoul": 3,
}  # fmt: skip

# Helpers that only read memory of ours
READS = frozenset((
    "ringbuf_output", "ringbuf_reserve", "ringbuf_submit", "ringbuf_discard", "perf_event_output", "trace_printk",
    "get_stackid", "strncmp", "skb_output",
))  # fmt: skip

CHANGES_MAPS = frozenset(("map_update_elem", "map_delete_elem", "map_push_elem"))

FAR = ("kernel", "user")  # spaces that only probe reads reach

# Loads of kernel and user memory are not repeated, nor kept, across these: time passes, or something happens there
_TIME = frozenset(("ktime_get_ns", "ktime_get_boot_ns", "ktime_get_tai_ns", "ktime_get_coarse_ns", "jiffies64"))
_STORES = frozenset((op.STORE, op.ATOMIC))
_ADDRESS_KEPT = frozenset((op.PHI, op.CALL, op.KFUNC, op.ADDRESS, op.RETURN))

Root = Value | str


def lets_time_pass(value: Value) -> bool:
    """Return whether memory of the kernel or a process should be read again after a value."""
    name = value.attr
    if value.op != op.HELPER:
        return value.op in (op.CALL, op.KFUNC)
    return name in _TIME or not (name in TELLING or name in WRITES or name in READS or name in CHANGES_MAPS)


def locate(pointer: Value) -> tuple[Root, int | None]:
    """Return a pointer's root and its distance from there in bytes, None when that is not constant."""
    distance: int | None = 0
    while True:
        if pointer.op == op.OFFSET:
            by = pointer.args[1]
            if by.op != op.CONST:
                distance = None
            elif distance is not None:
                distance += by.attr - (1 << 64) if by.attr >> 63 else by.attr
        elif pointer.op == op.MAP_VALUE:
            name, offset = pointer.attr
            return name, None if distance is None else distance + offset
        elif pointer.op != op.NON_NULL:
            return pointer, distance
        pointer = pointer.args[0]


def space_of(root: Root) -> str:
    return "map" if isinstance(root, str) else root.type.space


def escaped_slots(function: Function) -> set[Value]:
    """Return the allocas and records whose address gets to where this module cannot follow it."""
    escaped: set[Value] = set()
    for block in function.blocks:
        for value in block.values:
            operation = value.op
            if operation in _STORES:
                kept = value.args[1:]
            elif operation == op.HELPER:
                kept = value.args if _calls_back(value) or "dynptr" in value.attr else []
            elif operation in _ADDRESS_KEPT:
                kept = value.args
            else:
                continue
            for arg in kept:
                if arg.type.space in ("stack", "ringbuf"):
                    root = locate(arg)[0]
                    assert isinstance(root, Value)
                    escaped.add(root)
    return escaped


def _calls_back(value: Value) -> bool:
    return any(arg.op == op.CALLBACK for arg in value.args)


def may_overlap(left: Root, right: Root, escaped: set[Value]) -> bool:
    """Return whether memory counted from two roots may be the same."""
    if left is right or left == right:
        return True
    if isinstance(left, str) and isinstance(right, str):
        return False
    own, other = space_of(left), space_of(right)
    if own != other:
        return _reaches(own, right, escaped) or _reaches(other, left, escaped)
    slots = [root for root in (left, right) if isinstance(root, Value) and root.op == op.ALLOCA]
    return not (len(slots) == 2 or any(slot not in escaped for slot in slots))


def _reaches(space: str, root: Root, escaped: set[Value]) -> bool:
    """Return whether a pointer to a space may be one to what is counted from a root of another space."""
    if space not in FAR and space != "own":
        return False
    if space_of(root) == "map" or isinstance(root, str):
        return space == "own"
    return root in escaped or (space_of(root) in ("stack", "ringbuf") and root.op not in (op.ALLOCA, op.HELPER))
