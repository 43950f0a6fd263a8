"""Events that count nothing and tell what processes do: PERF_COUNT_SW_DUMMY with the side-band bits of perf_event_attr.

Their rings get PERF_RECORD_MMAP2, _COMM, _FORK and _EXIT records (include/uapi/linux/perf_event.h), each with its time of
CLOCK_MONOTONIC behind it.  Reading them is symbols/sideband.py's work.
"""

from __future__ import annotations

from struct import pack_into, unpack

from probee.kernel.syscalls.perf import SW_DUMMY, TYPE_SOFTWARE, open_event

_EINVAL, _E2BIG = 22, 7
_SIZE = 112  # PERF_ATTR_SIZE_VER5
_CLOCK_MONOTONIC = 1
_SAMPLE_TIME = 1 << 2
_LOST = 1 << 4  # PERF_FORMAT_LOST
_INHERIT = 1 << 1
_EXCLUDE_KERNEL = 1 << 5 | 1 << 6  # and the hypervisor
_TOLD = 1 << 8 | 1 << 9 | 1 << 13  # mmap, comm, task
_WATERMARK, _SAMPLE_ID_ALL, _MMAP2, _COMM_EXEC, _USE_CLOCK = 1 << 14, 1 << 18, 1 << 23, 1 << 24, 1 << 25
_BUILD_ID = 1 << 34

# Newest first: losses that can be asked for are Linux 6.0 (commit 119a784c8127 "perf/core: Add a new read format to get a
# number of lost samples"), build ids instead of inodes 5.12 (commit 88a16a130933 "perf: Add build id data in mmap2 event").
_VARIANTS = ((_LOST, _BUILD_ID), (0, _BUILD_ID), (0, 0))


def task_event_open(cpu: int, *, pid: int = -1, watermark: int) -> tuple[int, bool]:
    """Open an event for a CPU: of all processes, or of one thread and those that it starts from now on.

    It polls readable when `watermark` bytes have come.  Returns (its descriptor or -errno, whether event_lost knows it).
    """
    flags = _EXCLUDE_KERNEL | _TOLD | _WATERMARK | _SAMPLE_ID_ALL | _MMAP2 | _COMM_EXEC | _USE_CLOCK | (pid > 0 and _INHERIT)
    result, format = -_EINVAL, 0
    for format, more in _VARIANTS:
        attribute = bytearray(_SIZE)
        pack_into("=IIQQQQQI", attribute, 0, TYPE_SOFTWARE, _SIZE, SW_DUMMY, 0, _SAMPLE_TIME, format, flags | more, watermark)
        pack_into("=i", attribute, 92, _CLOCK_MONOTONIC)
        result = open_event(attribute, pid, cpu)
        if result not in (-_EINVAL, -_E2BIG):
            break
    return result, bool(format)


def event_lost(fd: int) -> int:
    """Return how many records of an event, and of those that inherited it, had no room."""
    import os

    _, lost = unpack("=QQ", os.read(fd, 16))
    return int(lost)
