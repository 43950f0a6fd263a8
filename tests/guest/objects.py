"""Run in a guest: print the ids of all programs, maps and links in the kernel, as `kind:id` words."""

from __future__ import annotations

from collections.abc import Iterator

from probee.errors import KernelError
from probee.kernel.syscalls.btf import next_id

COMMANDS = {"prog": 11, "map": 12, "link": 31}  # BPF_PROG_GET_NEXT_ID, BPF_MAP_GET_NEXT_ID, BPF_LINK_GET_NEXT_ID


def ids(command: int) -> Iterator[int]:
    """Yield the ids of one kind of object; nothing where the kernel does not know the command (links before 5.8)."""
    number: int | None = 0
    try:
        while (number := next_id(command, number or 0)) is not None:
            yield number
    except KernelError:
        return


print(" ".join(f"{kind}:{number}" for kind, command in COMMANDS.items() for number in ids(command)))
