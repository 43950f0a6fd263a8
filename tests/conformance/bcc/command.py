"""A command of upstream's, forked from an interpreter that has everything imported, and ended as `timeout` would end it.

Tools in Python run in the fork itself; anything else is run by a shell.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shlex
import signal
import struct
import sys
import termios
import threading
import time
from collections import deque
from typing import Any, NamedTuple

from process import tree, usage, wait, waits

LOOKS = 20  # a tenth of a second apart, after something was attached
IDLE_S = 15.0  # without spending processor time, of a program that attaches nothing
BUSY_S = 45.0  # after the last link, of a program that never rests
ENDED = 124  # what `timeout` returns for a command that it ended
KILLED = 137


class End(NamedTuple):
    """How a command ended: with which status, 128 and the number of a signal that ended it.

    `asked` is the signal that it was sent when its time was up, 0 when it ended by itself; `killed` says that this was SIGKILL,
    at once or because it had not ended.
    """

    status: int
    asked: int = 0
    killed: bool = False

    @property
    def told(self) -> int:
        """Return what `timeout` returns."""
        if self.killed:
            return KILLED
        return ENDED if self.asked else self.status


def prepare(shared: Any) -> None:
    """Let `bcc` be ours, and count what is attached and loaded."""
    from probee.bcc.alias import install
    from probee.bcc.core import Core
    from probee.bcc.manyprobe import ManyProbes
    from probee.bcc.module import Module

    install()
    for index, kind, name in ((0, Core, "keep"), (0, ManyProbes, "_attach"), (1, Module, "load")):
        setattr(kind, name, _counted(getattr(kind, name), shared, index))


def _counted(method: Any, shared: Any, index: int) -> Any:
    def counted(*arguments: Any, **more: Any) -> Any:
        done = method(*arguments, **more)
        shared.add(index)
        return done

    return counted


def run_command(words: str, kind: str, limit: float, kill: float, shared: Any, factor: float, *, terminal: bool) -> End:
    """Run a command, send it a signal when its time is up; return how it ended.

    `limit` and `kill` are in seconds of an ordinary machine; without `kill` the command is to end by itself.  Its output
    is thrown away, or, on a terminal of its own, shown here.
    """
    pid, pump = _forked(words, terminal=terminal)
    try:
        return _end(pid, kind, limit, kill, shared, factor)
    finally:
        if pump is not None:
            pump.join(2)


def _end(pid: int, kind: str, limit: float, kill: float, shared: Any, factor: float) -> End:
    status = wait(pid, limit * factor, settled=_Settled(pid, shared) if kill else None)
    if status is not None:
        return End(_shown(status))
    asked = signal.Signals[f"SIG{kind}"]
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, asked)
    status = wait(pid, kill * factor)
    if status is not None:
        return End(_shown(status), asked, killed=asked == signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return End(KILLED, asked, killed=True)


def _shown(status: int) -> int:
    """Return a status as a shell shows it."""
    return status if status >= 0 else 128 - status


def _forked(words: str, *, terminal: bool) -> tuple[int, threading.Thread | None]:
    near, far = os.openpty() if terminal else (-1, os.open(os.devnull, os.O_WRONLY))
    if terminal:
        fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("4H", 40, 160, 0, 0))
    pid = os.fork()
    if not pid:
        if terminal:
            os.setsid()
            fcntl.ioctl(far, termios.TIOCSCTTY, 0)
            os.dup2(far, 0)
            os.dup2(far, 2)
        else:
            os.setpgid(0, 0)
        os.dup2(far, 1)
        _become(words)
    os.close(far)
    if not terminal:
        return pid, None
    pump = threading.Thread(target=_pump, args=(near,), daemon=True)
    pump.start()
    return pid, pump


def _pump(near: int) -> None:
    """Show what a terminal shows, until nobody has it open."""
    try:
        while data := os.read(near, 65536):
            os.write(1, data.replace(b"\r\n", b"\n"))
    except OSError as error:
        if error.errno != errno.EIO:
            raise
    finally:
        os.close(near)


class _Settled:
    """Says when a command has attached something and waits, or handles what it gets: most looks find it waiting."""

    def __init__(self, pid: int, shared: Any) -> None:
        self._pid = pid
        self._shared = shared
        self._spent = self._links = -1
        self._changed = self._linked = time.monotonic()
        self._looks: deque[bool] = deque(maxlen=LOOKS)

    def __call__(self) -> bool:
        now, spent, links = time.monotonic(), usage(self._pid), self._shared[0]
        if spent != self._spent:
            self._spent, self._changed = spent, now
        if links != self._links:
            self._links, self._linked = links, now
            self._looks.clear()
        if not links:
            return now - self._changed > IDLE_S  # it waits for something else
        self._looks.append(all(map(waits, tree(self._pid))))
        return self._looks.count(True) > LOOKS * 0.8 or now - self._linked > BUSY_S


def _become(words: str) -> None:
    """Be a tool in Python, in this interpreter; run anything else by a shell."""
    argv = shlex.split(words)
    if not argv[0].endswith(".py"):
        os.execv("/bin/bash", ["bash", "-c", words])
    status = 1
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    try:
        from probee.cli.bcc import main

        main(argv)
    except SystemExit as done:
        status = done.code if isinstance(done.code, int) else int(done.code is not None)
        if isinstance(done.code, str):
            sys.stderr.write(f"{done.code}\n")
    except BaseException:
        sys.excepthook(*sys.exc_info())
    with contextlib.suppress(BaseException):
        import atexit

        atexit._run_exitfuncs()
        sys.stdout.flush()
    os._exit(status)
