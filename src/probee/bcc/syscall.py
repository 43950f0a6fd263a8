"""bcc.syscall: numbers of this machine's system calls to names, which are bytes."""

from __future__ import annotations

import os

from probee.model._tables import syscalls as _tables

_NAMES: dict[int, str] = getattr(_tables, os.uname().machine.upper(), {})

syscalls = {number: name.encode() for number, name in _NAMES.items()}


def syscall_name(syscall_num: int) -> bytes:
    """Return the name of a system call, b"[unknown: 9999]" for a number without one."""
    return syscalls.get(syscall_num, b"[unknown: %d]" % syscall_num)
