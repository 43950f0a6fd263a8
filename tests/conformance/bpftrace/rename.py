"""Gives this process the name bpftrace: comm by /proc/self/comm, argv[0] by writing over its memory."""

from __future__ import annotations

NAME = b"bpftrace"


def rename() -> None:
    """Rename the process; pidof, pkill and `comm` then find it."""
    with open("/proc/self/comm", "wb") as file:
        file.write(NAME)
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[45]), int(fields[46])  # arg_start, arg_end: 48 and 49 of proc(5), 3 being the first here
    length = max(end - start, 0)
    if length > len(NAME):
        with open("/proc/self/mem", "r+b", buffering=0) as memory:
            memory.seek(start)
            memory.write(NAME.ljust(length, b"\0"))
