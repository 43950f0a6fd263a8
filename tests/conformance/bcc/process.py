"""Processes seen from outside: what a tree of them has spent, whether it waits, and its end."""

from __future__ import annotations

import contextlib
import os
import signal
import time

_ATTACHING = {"aarch64": (280, 241, 29, 57)}.get(os.uname().machine, (321, 298, 16, 3))  # bpf, perf_event_open, ioctl, close


def tree(pid: int) -> list[int]:
    """Return a process and those below it."""
    found = [pid]
    for each in found:
        try:
            with open(f"/proc/{each}/task/{each}/children", encoding="ascii") as file:
                found += [int(word) for word in file.read().split()]
        except OSError:
            continue
    return found


def usage(pid: int) -> int:
    """Return the processor time that a process and those below it have spent, in ticks."""
    return sum(_ticks(each) for each in tree(pid))


def _ticks(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def waits(pid: int) -> bool:
    """Tell whether a process sleeps in a system call, and in none of those by which programs are loaded and attached."""
    try:
        with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
            number = file.read().split()[0]
    except (OSError, IndexError):
        return False
    return number != "running" and int(number) not in _ATTACHING


def end(pid: int) -> None:
    """Kill a process that leads a session, whatever it started there, and collect it."""
    below = tree(pid)
    for each in below:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def wait(pid: int, seconds: float, *, settled=None) -> int | None:
    """Wait for a child, return its status; None when the time is up, or `settled` says that it is enough."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if settled is not None and settled():
            return None
        time.sleep(0.1)
    return None
