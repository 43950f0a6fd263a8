"""A guest: boots a kernel with this machine's files, runs commands in it, and goes without a trace.

`Guest` is what tests and programs use.  It boots when entered (or at the first command), and again at the next
command after its kernel has died.  With `connect` it uses the guest that `probee lab serve` keeps running.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Protocol

from probee.errors import LabError
from probee.lab import frame
from probee.lab.boot import GuestSpec, boot
from probee.lab.follow import Follower
from probee.lab.job import Job, Result, Stream
from probee.lab.kernel import DEFAULT, Report
from probee.lab.qmp import parse_keys
from probee.lab.wire import Wire

HANG_GRACE_S = 15.0  # from the end of a command's time to "the guest hangs"
Command = str | Sequence[str]  # shell text, or a program and its arguments


class Host(Protocol):
    """What runs the jobs: a Machine of this process, or a server's (client.Client)."""

    wire: Wire
    version: str
    boot_s: float

    @property
    def alive(self) -> bool: ...
    def press(self, keys: str) -> None: ...
    def console_size(self) -> int: ...
    def console_since(self, offset: int) -> str: ...
    def kill(self, reason: str = "") -> None: ...
    def close(self) -> None: ...


def _quiet(message: str) -> None:
    pass


class Guest:
    """A kernel of your choice, as root, with this machine's files read-only under a throw-away overlay.

    kernel: a version ("6.12", fetched if need be), a path, or "host".  rw: directories that the guest changes for
    good.  follow: directories whose edits outside are seen inside.  net: eth0 to QEMU's user network.
    connect: a server's socket; the rest then is the server's choice.  LabError when it does not boot.
    """

    def __init__(
        self, kernel: str = DEFAULT, *, rw: Sequence[str] = (), follow: Sequence[str] = (), net: bool = False,
        memory: str = "2G", cpus: int = 0, append: str = "", mirror: str = "", accel: str = "", connect: str = "",
        boot_timeout_s: float = 90.0, hang_grace_s: float = HANG_GRACE_S, report: Report = _quiet,
    ) -> None:  # fmt: skip
        self.spec = GuestSpec(
            kernel, rw=_directories(rw), follow=_directories(follow), net=net, memory=memory, cpus=cpus, append=append,
            mirror=mirror, accel=accel or os.environ.get("PROBEE_LAB_ACCEL", ""), boot_timeout_s=boot_timeout_s,
        )  # fmt: skip
        self._connect = connect
        self._hang_grace_s = hang_grace_s
        self._report = report
        self._host: Host | None = None
        self._follower: Follower | None = None
        self._lock = threading.RLock()

    def __enter__(self) -> Guest:
        self.host()
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the guest, or let go of the server's."""
        with self._lock:
            host, self._host = self._host, None
        if host is not None:
            host.close()

    def host(self) -> Host:
        """Return what runs the jobs, booted now if it does not run."""
        with self._lock:
            if self._host is not None and not self._host.alive:
                self.close()
            if self._host is None:
                self._follower = Follower(self.spec.follow)
                self._host = self._open()
            return self._host

    def _open(self) -> Host:
        if self._connect:
            from probee.lab.client import Client

            return Client(self._connect)
        return boot(self.spec, self._report)

    @property
    def version(self) -> str:
        """What `uname -r` says inside."""
        return self.host().version

    @property
    def boot_s(self) -> float:
        return self.host().boot_s

    def run(
        self, command: Command, *, timeout_s: float | None = 300, env: Mapping[str, str] | None = None,
        stdin: bytes | str | None = None, cwd: str = "", keys: str = "", fresh: bool = False,
        stream: Stream | None = None,
    ) -> Result:  # fmt: skip
        """Run a command to its end.

        After timeout_s it gets SIGTERM, then SIGKILL; the result says timed_out and its status is 124.  keys are
        pressed from the start ("@2 a ret").  fresh drops the guest's caches first.  stream gets ("stdout" or "stderr",
        bytes) as it comes, and the result then has no output.  LabError when the guest dies or hangs.
        """
        job = self.start(command, timeout_s=timeout_s, env=env, stdin=stdin, cwd=cwd, keys=keys, fresh=fresh)
        with job:
            return job.stream(stream) if stream is not None else job.wait()

    def start(
        self, command: Command, *, timeout_s: float | None = None, env: Mapping[str, str] | None = None,
        stdin: bytes | str | bool | None = None, cwd: str = "", keys: str = "", fresh: bool = False,
        tty: tuple[int, int] | None = None,
    ) -> Job:  # fmt: skip
        """Start a command and return it while it runs.

        stdin: its whole input, or True to write to the job; tty: rows and columns of a terminal of its own.
        """
        parse_keys(keys)
        words = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        if not words:
            raise LabError("no command given")
        fields = [f"arg={word}" for word in words] + [f"env={name}={value}" for name, value in (env or {}).items()]
        fields.append(f"cwd={cwd or os.getcwd()}")
        fields += [f"timeout={timeout_s}"] if timeout_s is not None else []
        fields += [f"tty={tty[0]} {tty[1]}"] if tty is not None else []
        fields += ["fresh=1"] if fresh else []
        fields += ["stdin=1"] if stdin is not None and stdin is not False else []
        payload = frame.pack_fields([os.fsencode(field) for field in fields])
        job = self._start(payload, timeout_s)
        if isinstance(stdin, (bytes, str)):
            job.write(stdin)
            job.close_input()
        if keys:
            job.press_beside(keys)
        return job

    def _start(self, payload: bytes, timeout_s: float | None) -> Job:
        host = self.prepare()
        job = Job(host, limit_s=timeout_s, hang_grace_s=self._hang_grace_s)
        host.wire.send(job.ident, frame.RUN, payload)
        return job

    def prepare(self) -> Host:
        """Return what runs the jobs, with the edits in it that were made outside."""
        with self._lock:
            host = self.host()
            for path, mode, mtime_ns, content in self._follower.changes() if self._follower is not None else ():
                fields = [path, b"%o" % mode, b"%d" % mtime_ns, content]
                host.wire.send(0, frame.UPDATE, frame.pack_fields(fields))
            return host

    def keys(self, text: str) -> None:
        """Press keys, QEMU's names for them: "a shift-b ret @0.5 ctrl-c"; returns when all are pressed."""
        self.host().press(text)


def _directories(paths: Sequence[str]) -> tuple[str, ...]:
    for path in paths:
        if not os.path.isdir(path):
            raise LabError(f"{path} is not a directory")
    return tuple(os.path.realpath(path) for path in paths)
