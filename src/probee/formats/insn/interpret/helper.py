"""Models of the helpers, by name: each is called as helper(machine, r1, r2, r3, r4, r5) and returns r0.

Here are those on maps, rings, callbacks, time and the current process; probe.py has those that read foreign memory or
write text.  Results and error numbers follow kernel/bpf/helpers.c and kernel/trace/bpf_trace.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from probee.formats.insn.interpret.arithmetic import U32
from probee.formats.insn.interpret.map import E2BIG, EINVAL, MapModel
from probee.formats.insn.interpret.memory import InterpretError
from probee.formats.insn.interpret.probe import EFAULT, PROBES
from probee.formats.insn.interpret.ring import PerfEventArray, RingBuf, StackTraceMap

if TYPE_CHECKING:
    from probee.formats.insn.interpret.machine import Helper, Machine

_MAX_LOOPS = 1 << 23  # BPF_MAX_LOOPS
_USER_STACK = 1 << 8  # BPF_F_USER_STACK

# 1. Maps


def _map_lookup_elem(m: Machine, handle: int, key: int, *_: int) -> int:
    model = m.map_at(handle)
    return model.lookup(m.memory.read(key, model.key_size), m.environment.cpu)


def _map_lookup_percpu_elem(m: Machine, handle: int, key: int, cpu: int, *_: int) -> int:
    model = m.map_at(handle)
    if not model.per_cpu:
        raise InterpretError(f"map {model.name} is not per CPU")
    return model.lookup(m.memory.read(key, model.key_size), cpu & U32) if cpu & U32 < model.n_cpus else 0


def _map_update_elem(m: Machine, handle: int, key: int, value: int, flags: int, *_: int) -> int:
    model = m.map_at(handle)
    key_bytes = m.memory.read(key, model.key_size)
    return model.update(key_bytes, m.memory.read(value, model.value_size), flags, m.environment.cpu)


def _map_delete_elem(m: Machine, handle: int, key: int, *_: int) -> int:
    model = m.map_at(handle)
    return model.delete(m.memory.read(key, model.key_size))


# 2. Callbacks


def _loop(m: Machine, count: int, function: int, context: int, flags: int, *_: int) -> int:
    count &= U32
    if flags:
        return -EINVAL
    if count > _MAX_LOOPS:
        return -E2BIG
    call = m.callback(function)
    for index in range(count):
        if call(index, context):
            return index + 1
    return count


def _for_each_map_elem(m: Machine, handle: int, function: int, context: int, flags: int, *_: int) -> int:
    model = m.map_at(handle)
    if flags:
        return -EINVAL
    call = m.callback(function)
    visited = 0
    for key in list(model.keys()):
        value = model.lookup(key, m.environment.cpu)
        if not value:  # deleted by the callback meanwhile
            continue
        visited += 1
        region = m.memory.add(key, "map", f"key of {model.name}")
        stop = call(handle, region.base, value, context)
        m.memory.remove(region)
        if stop:
            break
    return visited


# 3. Records


def _ring(m: Machine, handle: int) -> RingBuf:
    model = m.map_at(handle)
    if not isinstance(model, RingBuf):
        raise InterpretError(f"map {model.name} is no ring buffer")
    return model


def _ringbuf_output(m: Machine, handle: int, data: int, size: int, flags: int, *_: int) -> int:
    return -EINVAL if flags & ~3 else _ring(m, handle).output(m.memory.read(data, size))


def _ringbuf_reserve(m: Machine, handle: int, size: int, flags: int, *_: int) -> int:
    return 0 if flags else _ring(m, handle).reserve(size)


def _release(m: Machine, address: int, *, submit: bool) -> int:
    region = m.memory.kernel.get(address >> 20)
    if region is None or not isinstance(region.owner, RingBuf):
        raise InterpretError(f"{address:#x} is no ring buffer reservation")
    region.owner.release(address, submit=submit)
    return 0


def _ringbuf_submit(m: Machine, address: int, flags: int, *_: int) -> int:
    return _release(m, address, submit=True)


def _ringbuf_discard(m: Machine, address: int, flags: int, *_: int) -> int:
    return _release(m, address, submit=False)


def _ringbuf_query(m: Machine, handle: int, what: int, *_: int) -> int:
    return _ring(m, handle).query(what)


def _perf_event_output(m: Machine, ctx: int, handle: int, flags: int, data: int, size: int) -> int:
    return _perf_event_array(m, handle).output(m.memory.read(data, size), flags, m.environment.cpu)


def _perf_event_array(m: Machine, handle: int) -> PerfEventArray:
    model = m.map_at(handle)
    if not isinstance(model, PerfEventArray):
        raise InterpretError(f"map {model.name} is no perf event array")
    return model


def _skb_output(m: Machine, skb: int, handle: int, flags: int, data: int, size: int) -> int:
    """As perf_event_output, with as much of the packet behind the data as the flags say."""
    model, wanted = _perf_event_array(m, handle), flags >> 32 & 0xF_FFFF
    packet = m.environment.packets.get(skb, b"")
    if wanted > len(packet):
        return -EFAULT
    return model.output(m.memory.read(data, size) + packet[:wanted], flags & ~(0xF_FFFF << 32), m.environment.cpu)


def _frames(m: Machine, flags: int) -> list[int]:
    return m.environment.user_stack if flags & _USER_STACK else m.environment.kernel_stack


def _get_stackid(m: Machine, ctx: int, handle: int, flags: int, *_: int) -> int:
    model: MapModel = m.map_at(handle)
    if not isinstance(model, StackTraceMap):
        raise InterpretError(f"map {model.name} is no stack trace map")
    return model.store(_frames(m, flags), flags)


def _get_stack(m: Machine, ctx: int, buffer: int, size: int, flags: int, *_: int) -> int:
    if size % 8:
        m.memory.write(buffer, bytes(size))
        return -EINVAL
    frames = _frames(m, flags)[flags & 0xFF :][: size // 8]
    data = b"".join(frame.to_bytes(8, "little") for frame in frames)
    m.memory.write(buffer, data + bytes(size - len(data)))
    return len(data)


# 4. Time, place, process


def _get_current_comm(m: Machine, buffer: int, size: int, *_: int) -> int:
    text = m.environment.comm[: min(15, size - 1)]
    m.memory.write(buffer, text + bytes(size - len(text)))
    return 0


def _send_signal(m: Machine, signal: int, *_: int) -> int:
    m.environment.signals.append(signal & U32)
    return 0


def _get_ns_current_pid_tgid(m: Machine, dev: int, ino: int, buffer: int, size: int, *_: int) -> int:
    if size != 8:
        m.memory.write(buffer, bytes(size))
        return -EINVAL
    e = m.environment
    m.memory.write(buffer, e.pid.to_bytes(4, "little") + e.tgid.to_bytes(4, "little"))
    return 0


HELPERS: dict[str, Helper] = {
    "map_lookup_elem": _map_lookup_elem,
    "map_update_elem": _map_update_elem,
    "map_delete_elem": _map_delete_elem,
    "map_lookup_percpu_elem": _map_lookup_percpu_elem,
    "loop": _loop,
    "for_each_map_elem": _for_each_map_elem,
    "ringbuf_output": _ringbuf_output,
    "ringbuf_reserve": _ringbuf_reserve,
    "ringbuf_submit": _ringbuf_submit,
    "ringbuf_discard": _ringbuf_discard,
    "ringbuf_query": _ringbuf_query,
    "perf_event_output": _perf_event_output,
    "skb_output": _skb_output,
    "get_stackid": _get_stackid,
    "get_stack": _get_stack,
    "ktime_get_ns": lambda m, *_: m.environment.now(),
    "ktime_get_coarse_ns": lambda m, *_: m.environment.now(),
    "ktime_get_boot_ns": lambda m, *_: m.environment.now() + m.environment.boot_offset_ns,
    "ktime_get_tai_ns": lambda m, *_: m.environment.now() + m.environment.tai_offset_ns,
    "jiffies64": lambda m, *_: m.environment.now() // 4_000_000,
    "get_smp_processor_id": lambda m, *_: m.environment.cpu,
    "get_numa_node_id": lambda m, *_: 0,
    "get_prandom_u32": lambda m, *_: m.environment.random(),
    "get_current_pid_tgid": lambda m, *_: m.environment.tgid << 32 | m.environment.pid,
    "get_current_uid_gid": lambda m, *_: m.environment.gid << 32 | m.environment.uid,
    "get_current_cgroup_id": lambda m, *_: m.environment.cgroup_id,
    "get_current_comm": _get_current_comm,
    "get_current_task": lambda m, *_: m.environment.task,
    "get_current_task_btf": lambda m, *_: m.environment.task,
    "task_pt_regs": lambda m, *_: m.environment.pt_regs,
    "get_func_ip": lambda m, *_: m.environment.func_ip,
    "get_attach_cookie": lambda m, *_: m.environment.attach_cookie,
    "get_ns_current_pid_tgid": _get_ns_current_pid_tgid,
    "send_signal": _send_signal,
    **PROBES,
}
