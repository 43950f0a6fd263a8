"""Perf: struct perf_event_attr as a ctypes class, and events that are opened and counted, but not read.

Mirrors struct perf_event_attr of include/uapi/linux/perf_event.h up to version 6 (120 bytes).
"""

from __future__ import annotations

import ctypes as ct

from probee.errors import KernelError
from probee.kernel.syscalls.cpu import online_cpus
from probee.kernel.syscalls.fd import Descriptor
from probee.kernel.syscalls.perf import IOC_ENABLE, open_event, perf_ioctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FLAGS = (
    "disabled", "inherit", "pinned", "exclusive", "exclude_user", "exclude_kernel", "exclude_hv", "exclude_idle", "mmap",
    "comm", "freq", "inherit_stat", "enable_on_exec", "task", "watermark", ("precise_ip", 2), "mmap_data", "sample_id_all",
    "exclude_host", "exclude_guest", "exclude_callchain_kernel", "exclude_callchain_user", "mmap2", "comm_exec", "use_clockid",
    "context_switch", "write_backward", "namespaces", "ksymbol", "bpf_event", "aux_output", "cgroup", "text_poke",
    ("__reserved_1", 30),
)  # fmt: skip
_opened: list[Descriptor] = []  # events count until the process ends


def _union(name: str, kind: Any, *members: str) -> Any:
    return type(name, (ct.Union,), {"_fields_": [(member, kind) for member in members]})


def _flag(flag: str | tuple[str, int]) -> tuple[str, Any, int]:
    name, bits = flag if isinstance(flag, tuple) else (flag, 1)
    return name, ct.c_uint, bits


class _Attribute(ct.Structure):
    """struct perf_event_attr."""

    _anonymous_ = ("_period", "_wakeup", "_bp_addr", "_bp_len")
    _fields_ = (
        ("type", ct.c_uint), ("size", ct.c_uint), ("config", ct.c_ulong),
        ("_period", _union("period", ct.c_ulong, "sample_period", "sample_freq")),
        ("sample_type", ct.c_ulong), ("read_format", ct.c_ulong),
        *[_flag(flag) for flag in _FLAGS],
        ("_wakeup", _union("wakeup", ct.c_uint, "wakeup_events", "wakeup_watermark")),
        ("bp_type", ct.c_uint),
        ("_bp_addr", _union("bp_addr", ct.c_ulong, "bp_addr", "kprobe_func", "uprobe_path", "config1")),
        ("_bp_len", _union("bp_len", ct.c_ulong, "bp_len", "kprobe_addr", "probe_offset", "config2")),
        ("branch_sample_type", ct.c_ulong), ("sample_regs_user", ct.c_ulong), ("sample_stack_user", ct.c_uint),
        ("clockid", ct.c_int), ("sample_regs_intr", ct.c_ulong), ("aux_watermark", ct.c_uint),
        ("sample_max_stack", ct.c_uint16), ("__reserved_2", ct.c_uint16), ("aux_sample_size", ct.c_uint),
        ("__reserved_3", ct.c_uint),
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.size = 120

    def __setattr__(self, key: str, value: Any) -> None:
        if not hasattr(type(self), key):
            print(
                f"Warning: Setting field {key} on perf_event_attr that isn't part of the ctype - "
                f"{key} won't make it to perf_event_open"
            )
        super().__setattr__(key, value)


class Perf:
    """Events that count on every CPU without anybody reading them, which lets programs on them run."""

    perf_event_attr = _Attribute

    PERF_TYPE_HARDWARE, PERF_TYPE_SOFTWARE, PERF_TYPE_TRACEPOINT, PERF_TYPE_HW_CACHE = range(4)
    PERF_SAMPLE_RAW = 1024
    PERF_FLAG_FD_CLOEXEC = 8
    PERF_EVENT_IOC_ENABLE = IOC_ENABLE

    @staticmethod
    def perf_event_open(tpoint_id: int, pid: int = -1, ptype: int = PERF_TYPE_TRACEPOINT, freq: int = 0) -> None:
        """Open an event of a type by its number, sampling `freq` times a second or at every occurrence."""
        attribute = _Attribute()
        attribute.config, attribute.type, attribute.sample_type = tpoint_id, ptype, Perf.PERF_SAMPLE_RAW
        attribute.freq, attribute.sample_period = int(freq > 0), freq if freq > 0 else 1
        attribute.wakeup_events = 9999999
        Perf.perf_custom_event_open(attribute, pid)

    @staticmethod
    def perf_custom_event_open(attr: Any, pid: int = -1) -> None:
        """Open the event that a perf_event_attr describes; OSError when the kernel refuses it."""
        for cpu in online_cpus():
            result = open_event(bytearray(attr), pid, cpu)
            if result >= 0:
                _opened.append(Descriptor(result, "perf event"))
                result = perf_ioctl(_opened[-1].fd, IOC_ENABLE)
            if result < 0:
                raise KernelError(-result, "perf_event_open")
