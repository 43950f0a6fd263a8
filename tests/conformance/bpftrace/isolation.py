"""Runs a case in a pid namespace of its own, so that `pkill bpftrace` can only mean the case's own.

For a machine that others use, too; in a guest everything is ours.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
from collections.abc import Callable

from case import Case
from judge import Result

CLONE_NEWNS, CLONE_NEWPID = 0x20000, 0x20000000  # include/uapi/linux/sched.h
MS_REC, MS_PRIVATE = 0x4000, 0x40000  # include/uapi/linux/mount.h
_libc = ctypes.CDLL(None, use_errno=True)


def names_processes(case: Case) -> bool:
    """Say whether a case looks for processes by name."""
    return bool(re.search(r"\b(pkill|killall|pidof|pgrep)\b", case.everything))


def run_alone(run: Callable[[Case], Result], case: Case) -> Result:
    """Run a case as process 1 of a new pid namespace, with a /proc that shows only that."""
    ours, theirs = os.pipe()
    outer = os.fork()
    if not outer:
        os.close(ours)
        _as_first_process(run, case, theirs)
    os.close(theirs)
    with open(ours, "rb") as file:
        data = file.read()
    os.waitpid(outer, 0)
    return Result.from_dict(json.loads(data)) if data else Result("skipped", "no pid namespace can be made", excused=True)


def _as_first_process(run: Callable[[Case], Result], case: Case, pipe: int) -> None:
    try:
        if _libc.unshare(CLONE_NEWPID | CLONE_NEWNS):
            os._exit(1)
        inner = os.fork()
        if inner:
            os.waitpid(inner, 0)
            os._exit(0)
        private = _libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None)
        if not private and not _libc.mount(b"proc", b"/proc", b"proc", 0, None):
            os.write(pipe, json.dumps(run(case).as_dict()).encode())
    finally:
        os._exit(1)
