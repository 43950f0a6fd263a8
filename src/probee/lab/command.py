"""One command inside a lab guest: what was asked for, its pipes or terminal, and the process that becomes it.

Part of the agent (agent.py), so it imports almost nothing.
"""

from __future__ import annotations

import os
import time

from probee.lab import frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal  # what `signal` wraps in enums, for a tenth of a second here

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/run/lab/bin"  # no /bin: merged, would be found twice


class Task:
    """One command and its pipes."""

    __slots__ = (
        "deadline", "ident", "input", "input_closed", "late", "outputs", "pending", "pid", "seconds", "started",
        "status", "sync", "tty",
    )  # fmt: skip

    def __init__(self, ident: int, *, sync: bool) -> None:
        self.ident = ident
        self.sync = sync
        self.pid = 0
        self.status: int | None = None
        self.late = False
        self.started = time.monotonic()
        self.seconds = 0.0
        self.deadline = 0.0  # 0: none
        self.outputs: set[int] = set()
        self.input = -1
        self.input_closed = False
        self.pending = b""
        self.tty = False


class Request:
    """What a RUN frame asks for."""

    __slots__ = ("arguments", "cwd", "environment", "fresh", "stdin", "sync", "timeout_s", "tty")

    def __init__(self, payload: bytes) -> None:
        self.arguments: list[bytes] = []
        self.environment = {b"PATH": PATH.encode(), b"HOME": b"/root", b"LC_CTYPE": b"C.UTF-8", b"LAB": b"1"}
        self.cwd = b"/"
        self.timeout_s = 0.0
        self.tty = b""
        self.fresh = self.stdin = self.sync = False
        for field in frame.unpack_fields(payload):
            key, _, value = field.partition(b"=")
            self.set(key, value)

    def set(self, key: bytes, value: bytes) -> None:
        if key == b"arg":
            self.arguments.append(value)
        elif key == b"env":
            name, _, text = value.partition(b"=")
            self.environment[name] = text
        elif key == b"cwd":
            self.cwd = value
        elif key == b"timeout":
            self.timeout_s = float(value)
        elif key == b"tty":
            self.tty = value
        elif key == b"fresh":
            self.fresh = True
        elif key == b"stdin":
            self.stdin = True
        elif key == b"sync":
            self.sync = True


def open_pipes(request: Request) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return our ends and the command's ends of (input, output, errors); -1 where there is none."""
    if request.tty:
        master, slave = os.openpty()
        rows, columns = request.tty.split()
        set_window(master, int(rows), int(columns))
        os.set_inheritable(master, False)
        os.set_blocking(master, False)
        return (master, master, -1), (slave, slave, slave)
    output, output_writer = os.pipe2(os.O_CLOEXEC)
    errors, errors_writer = os.pipe2(os.O_CLOEXEC)
    if not request.stdin:
        return (-1, output, errors), (os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), output_writer, errors_writer)
    source, feeder = os.pipe2(os.O_CLOEXEC)
    return (feeder, output, errors), (source, output_writer, errors_writer)


def become(request: Request, ends: tuple[int, int, int]) -> None:
    """Turn this forked process into the command; does not return."""
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for which in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGINT):
            signal.signal(which, signal.SIG_DFL)
        if request.tty:
            os.open(os.ttyname(ends[0]), os.O_RDWR | os.O_CLOEXEC)  # a session's first terminal becomes its own
        for number, fd in enumerate(ends):
            os.dup2(fd, number)
        os.chdir(request.cwd)
        os.execvpe(request.arguments[0], request.arguments, request.environment)
    except BaseException as error:
        os.write(2, b"lab: %s: %s\n" % (request.arguments[0] if request.arguments else b"", str(error).encode()))
    os._exit(127)


def kill(pid: int, number: int, *, group: bool = True) -> None:
    try:
        if group:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        pass


def set_window(fd: int, rows: int, columns: int) -> None:
    import fcntl
    import struct

    tiocswinsz = 0x5414  # asm-generic/ioctls.h; struct winsize
    fcntl.ioctl(fd, tiocswinsz, struct.pack("4H", rows, columns, 0, 0))
