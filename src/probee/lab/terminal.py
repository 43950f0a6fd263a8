"""This terminal as a guest's: raw mode, bytes both ways, and the window's size.

Every key goes to the guest's own terminal, Ctrl-C too; the shell's end gives the terminal back as it was.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator

from probee.errors import LabError
from probee.lab.guest import Command, Guest
from probee.lab.job import Job

PASSED_ON = ("TERM", "COLORTERM", "LANG", "LC_ALL", "LC_CTYPE")


def run_shell(guest: Guest, command: Command | None = None, *, cwd: str = "") -> int:
    """Run an interactive command (bash) on this terminal and return its exit status."""
    if not (os.isatty(0) and os.isatty(1)):
        raise LabError("lab shell needs a terminal; `probee lab run -- COMMAND` does not")
    guest.host()
    size = os.get_terminal_size(1)
    env = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    env["PS1"] = r"lab:\w\$ "
    words = command or ["/bin/bash", "--norc", "-i"]
    with _raw(0), guest.start(words, env=env, cwd=cwd, tty=(size.lines, size.columns)) as job, _resizing(job):
        return _carry(job)


def _carry(job: Job) -> int:
    over, over_writer = os.pipe()
    typing = threading.Thread(target=_type, args=(job, over), daemon=True)
    typing.start()
    try:
        return job.stream(_show).status
    finally:
        os.close(over_writer)
        typing.join()
        os.close(over)


def _type(job: Job, over: int) -> None:
    """Send what is typed, until the command is over."""
    while True:
        ready, _, _ = select.select([0, over], [], [])
        if over in ready:
            return
        data = os.read(0, 4096)
        if not data:
            job.close_input()
            return
        job.write(data)


def _show(name: str, data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.flush()


@contextlib.contextmanager
def _raw(fd: int) -> Iterator[None]:
    before = termios.tcgetattr(fd)
    tty.setraw(fd)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _resizing(job: Job) -> Iterator[None]:
    def resize(number: int, where: object) -> None:
        size = os.get_terminal_size(1)
        job.resize(size.lines, size.columns)

    before = signal.signal(signal.SIGWINCH, resize)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
