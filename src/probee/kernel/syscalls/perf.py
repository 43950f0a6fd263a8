"""perf_event_open(2) and the ioctls on its descriptors.

Mirrors struct perf_event_attr of include/uapi/linux/perf_event.h up to version 5 (112 bytes, Linux 4.1), which every kernel
that we support takes.  kprobe and uprobe are dynamic PMUs: their type numbers and bits are read from sysfs.
"""

from __future__ import annotations

from struct import pack_into

from probee.kernel.syscalls.libc import SYS_PERF_EVENT_OPEN, address_of, syscall
from probee.kernel.syscalls.pseudofile import read_text

TYPE_HARDWARE = 0
TYPE_SOFTWARE = 1
TYPE_TRACEPOINT = 2
TYPE_HW_CACHE = 3
TYPE_BREAKPOINT = 5

SW_CPU_CLOCK = 0
SW_DUMMY = 9
SW_BPF_OUTPUT = 10

IOC_ENABLE = 0x2400
IOC_DISABLE = 0x2401
IOC_PERIOD = 0x40082404
IOC_SET_BPF = 0x40042408

_FLAG_CLOEXEC = 8  # PERF_FLAG_FD_CLOEXEC
_ATTRIBUTE_BYTES = 112  # PERF_ATTR_SIZE_VER5
_DISABLED = 1
_INHERIT = 1 << 1
_INHERIT_THREAD = 1 << 35  # Linux 5.13 (commit 2b26f0aa0049)
_EMFILE = 24
_E2BIG = 7
_EINVAL = 22
_FREQ = 1 << 10
_WATERMARK = 1 << 14
_SAMPLE_RAW = 1 << 10  # PERF_SAMPLE_RAW


def perf_event_open(
    type: int, config: int, *, cpu: int, pid: int = -1, period: int = 0, config1: int = 0, config2: int = 0,
    frequency: bool = False, disabled: bool = False, inherit: bool = False, group_fd: int = -1,
) -> int:  # fmt: skip
    """Open an event; return its descriptor or -errno.

    `period` counts events (nanoseconds for the CPU clock), or with `frequency` is in Hz; config1 and config2 are the PMU's.
    What a process starts later counts for it with `inherit`.
    """
    attribute = bytearray(_ATTRIBUTE_BYTES)
    flags = (_FREQ if frequency else 0) | (_DISABLED if disabled else 0) | (_INHERIT if inherit else 0)
    pack_into("=IIQQQQQ", attribute, 0, type, _ATTRIBUTE_BYTES, config, period, 0, 0, flags)
    pack_into("=QQ", attribute, 56, config1, config2)
    return open_event(attribute, pid, cpu, group_fd)


def breakpoint_open(address: int, length: int, mode: int, *, pid: int = -1, cpu: int = -1) -> int:
    """Open a hardware breakpoint; return its descriptor or -errno.

    Threads that the thread starts later inherit it; so do processes, in their own memory, before Linux 5.13.
    """
    attribute = bytearray(_ATTRIBUTE_BYTES)
    result = -_EINVAL
    for inherit in (_INHERIT | _INHERIT_THREAD, _INHERIT) if pid > 0 else (0,):
        pack_into("=IIQQQQQ", attribute, 0, TYPE_BREAKPOINT, _ATTRIBUTE_BYTES, 0, 1, 0, 0, _DISABLED | inherit)
        pack_into("=IQQ", attribute, 52, mode, address, length)
        result = open_event(attribute, pid, cpu)
        if result not in (-_EINVAL, -_E2BIG):
            break
    return result


def output_open(cpu: int, *, wakeup_events: int = 1, wakeup_watermark: int = 0) -> int:
    """Open an event that programs on a CPU write records to (PERF_COUNT_SW_BPF_OUTPUT); return its descriptor or -errno.

    It polls readable after every `wakeup_events` records, or, if that is given, `wakeup_watermark` bytes.
    """
    attribute = bytearray(_ATTRIBUTE_BYTES)
    flags = _WATERMARK if wakeup_watermark else 0
    pack_into(
        "=IIQQQQQI", attribute, 0, TYPE_SOFTWARE, _ATTRIBUTE_BYTES, SW_BPF_OUTPUT, 1, _SAMPLE_RAW, 0, flags,
        wakeup_watermark or wakeup_events,
    )  # fmt: skip
    return open_event(attribute, -1, cpu)


def open_event(attribute: bytearray, pid: int, cpu: int, group_fd: int = -1) -> int:
    """Open an event with a perf_event_attr of the caller's; return its descriptor or -errno."""
    result = syscall(SYS_PERF_EVENT_OPEN, address_of(attribute), pid, cpu, group_fd, _FLAG_CLOEXEC)
    if result == -_EMFILE:
        from probee.kernel.syscalls.capability import raise_open_files

        if raise_open_files():
            result = syscall(SYS_PERF_EVENT_OPEN, address_of(attribute), pid, cpu, group_fd, _FLAG_CLOEXEC)
    return result


def perf_ioctl(fd: int, request: int, argument: int = 0) -> int:
    """Make an ioctl on an event; return 0 or -errno."""
    import fcntl

    try:
        fcntl.ioctl(fd, request, argument)
    except OSError as error:
        return -(error.errno or 0)
    return 0


def pmu_type(name: str) -> int | None:
    """Return the type number of a dynamic PMU ("kprobe", "uprobe"), None if the kernel has no such PMU."""
    text = read_text(f"/sys/bus/event_source/devices/{name}/type")
    return int(text) if text else None


def pmu_bit(name: str, field: str) -> int:
    """Return the lowest bit of a PMU's config field ("retprobe": "config:0"), 0 if sysfs does not tell."""
    text = read_text(f"/sys/bus/event_source/devices/{name}/format/{field}")
    first = text.partition(":")[2].partition("-")[0]
    return int(first) if first else 0
