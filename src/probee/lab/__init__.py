"""The lab: a stock kernel in QEMU, with this machine's files and a throw-away overlay.

`Guest` boots one (or joins a running one through its server's socket), runs commands in it as root and gives back
their output and exit status; `Job` is one such command while it runs.  The rooms, from the outside in:

    guest, job, wire, frame          what callers hold, and what goes over the virtio port
    machine, qmp, emulator           the QEMU process
    initrd, module, image            what the guest boots from
    agent, command                   its process 1
    kernel, suite, deb, requirement  where kernels and tools come from
    follow, server, terminal, plugin edits made outside, one guest for many, a tty, pytest

Nothing here knows about eBPF; only the command line and the pytest plugin import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from probee.lab.guest import Guest as Guest
    from probee.lab.job import Job as Job
    from probee.lab.job import Result as Result

__all__ = ["Guest", "Job", "Result"]


def __getattr__(name: str) -> object:
    if name == "Guest":
        from probee.lab.guest import Guest

        return Guest
    if name in ("Job", "Result"):
        from probee.lab import job

        return getattr(job, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
