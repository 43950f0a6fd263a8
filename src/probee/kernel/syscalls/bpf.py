"""bpf(2): the call itself, its commands, and what its errors mean.

Mirrors enum bpf_cmd and union bpf_attr of include/uapi/linux/bpf.h.  An attribute is a bytearray packed by the modules
beside this one (map.py, program.py, link.py, btf.py, info.py), no longer than the command needs: a kernel refuses
attributes with anything but zero beyond what it knows.
"""

from __future__ import annotations

from probee.errors import KernelError
from probee.kernel.syscalls.libc import SYS_BPF, address_of, syscall

EPERM = 1
ENOENT = 2
EINTR = 4
E2BIG = 7
EBADF = 9
EAGAIN = 11
ENOMEM = 12
EACCES = 13
EFAULT = 14
EBUSY = 16
EEXIST = 17
EINVAL = 22
EMFILE = 24
ENOSPC = 28
ENOSYS = 38
EOPNOTSUPP = 95
ENOTSUPP = 524  # the kernel's own, not for user space; bpf_map_do_batch returns it all the same


class Command:
    """enum bpf_cmd."""

    MAP_CREATE = 0
    MAP_LOOKUP_ELEM = 1
    MAP_UPDATE_ELEM = 2
    MAP_DELETE_ELEM = 3
    MAP_GET_NEXT_KEY = 4
    PROG_LOAD = 5
    OBJ_PIN = 6
    OBJ_GET = 7
    PROG_ATTACH = 8
    PROG_DETACH = 9
    PROG_TEST_RUN = 10
    PROG_GET_NEXT_ID = 11
    MAP_GET_NEXT_ID = 12
    PROG_GET_FD_BY_ID = 13
    MAP_GET_FD_BY_ID = 14
    OBJ_GET_INFO_BY_FD = 15
    RAW_TRACEPOINT_OPEN = 17
    BTF_LOAD = 18
    BTF_GET_FD_BY_ID = 19
    MAP_LOOKUP_AND_DELETE_ELEM = 21
    MAP_FREEZE = 22
    BTF_GET_NEXT_ID = 23
    MAP_LOOKUP_BATCH = 24
    MAP_LOOKUP_AND_DELETE_BATCH = 25
    MAP_UPDATE_BATCH = 26
    MAP_DELETE_BATCH = 27
    LINK_CREATE = 28
    LINK_UPDATE = 29
    LINK_GET_FD_BY_ID = 30
    LINK_GET_NEXT_ID = 31
    ENABLE_STATS = 32
    ITER_CREATE = 33
    LINK_DETACH = 34


def bpf(command: int, attribute: bytearray) -> int:
    """Make the call; return what it returns, or -errno."""
    result = syscall(SYS_BPF, command, address_of(attribute), len(attribute))
    if result in (-EPERM, -EMFILE) and _raise_limit(command, result):
        result = syscall(SYS_BPF, command, address_of(attribute), len(attribute))
    return result


def _raise_limit(command: int, result: int) -> bool:
    """Lift the resource limit that stood in the way, if one did and may be lifted."""
    from probee.kernel.syscalls import capability

    if result == -EMFILE:
        return capability.raise_open_files()
    # Before memory cgroups counted BPF memory, RLIMIT_MEMLOCK did, for root too.
    # Linux commit 97306be45fbe "Merge branch 'switch to memcg-based memory accounting'" (in v5.11).
    return command in (Command.MAP_CREATE, Command.PROG_LOAD) and capability.raise_memlock()


def checked(command: int, attribute: bytearray, call: str) -> int:
    """Make the call; raise the KernelError that fits when it fails.  `call` is how the message begins."""
    result = bpf(command, attribute)
    if result < 0:
        raise failure(-result, call)
    return result


def failure(errno: int, call: str, detail: str = "") -> KernelError:
    """Return the error for a call that failed with `errno`; it says what to do where that is known."""
    if errno == EPERM:
        from probee.kernel.syscalls.capability import permission_missing

        return permission_missing(errno, call)
    if not detail and errno in _REMEDIES:
        detail = _REMEDIES[errno]
    import os

    name = "operation not supported" if errno == ENOTSUPP else os.strerror(errno)
    return KernelError(errno, call, f"{call}: {name}{'; ' if detail else ''}{detail}")


_REMEDIES = {
    EMFILE: "the process has too many open files: raise `ulimit -n`",
    ENOMEM: "the kernel has no memory for it: use fewer or smaller map entries",
    ENOSYS: "this kernel was built without CONFIG_BPF_SYSCALL: try `probee lab run`",
}
