"""A command in the guest: while it runs (`Job`) and when it is over (`Result`).

Output is kept in the order in which it arrived, so that a test can wait for a line instead of sleeping.  The guest
keeps a command's time limit; when it does not answer in time either, it hangs, and `Job.wait` says so.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable
from signal import SIGINT
from typing import TYPE_CHECKING

from probee.errors import LabError
from probee.lab import frame

if TYPE_CHECKING:
    from probee.lab.guest import Host

MAX_KEPT_BYTES = 1 << 28
INPUT_BYTES = 1 << 18  # of one frame
MAX_STREAMED_BYTES = 1 << 24  # not yet taken by the callback; then the guest waits
Stream = Callable[[str, bytes], None]  # "stdout" or "stderr", and what came


class Result:
    """How a command ended. `status` is its exit status; 128 + N killed by signal N; 124 when its time was up."""

    __slots__ = ("console", "seconds", "status", "stderr_bytes", "stdout_bytes", "timed_out")

    def __init__(self, status: int, stdout: bytes, stderr: bytes, *, timed_out: bool, seconds: float, console: str):
        self.status = status
        self.stdout_bytes = stdout
        self.stderr_bytes = stderr
        self.timed_out = timed_out
        self.seconds = seconds
        self.console = console

    @property
    def stdout(self) -> str:
        return self.stdout_bytes.decode("utf-8", "replace")

    @property
    def stderr(self) -> str:
        return self.stderr_bytes.decode("utf-8", "replace")

    def check(self) -> Result:
        """Return self; LabError with the command's output unless its status is 0."""
        if self.status:
            raise LabError(f"the command ended with status {self.status}\n{self.stdout}{self.stderr}".rstrip())
        return self

    def __repr__(self) -> str:
        late = ", timed out" if self.timed_out else ""
        return f"<Result {self.status}{late}, {self.seconds:.2f} s: {self.stdout[:200]!r} {self.stderr[:200]!r}>"


class Job:
    """A running command. Made by Guest.start; a context manager that kills it at the end."""

    def __init__(self, host: Host, *, limit_s: float | None, hang_grace_s: float) -> None:
        self._host = host
        self._wire = host.wire
        self._limit_s = limit_s  # what the guest enforces
        self._hang_grace_s = hang_grace_s
        self._console_offset = host.console_size()
        self._changed = threading.Condition()
        self._chunks: list[tuple[bytes, bytes]] = []  # kind, data
        self._kept_bytes = 0
        self._streaming = False
        self._searched = 0  # wait_for goes on behind its last match
        self._read = 0  # chunks that read() has handed out
        self._started = time.monotonic()
        self._result: Result | None = None
        self._death = ""
        self.pid = 0  # in the guest; 0 until it is known
        self.ident = self._wire.open(self._sink)

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *unused: object) -> None:
        self.kill()

    # What comes from the guest, in the reading thread.

    def _sink(self, kind: bytes, payload: bytes) -> None:
        with self._changed:
            if kind in (frame.OUTPUT, frame.ERROR):
                self._chunks.append((kind, payload))
                self._kept_bytes += len(payload)
                self._changed.notify_all()
                while self._streaming and self._kept_bytes > MAX_STREAMED_BYTES:
                    self._changed.wait()
            elif kind == frame.STARTED:
                self.pid = int(payload)
            elif kind == frame.EXITED:
                self._finish(payload)
            elif kind == frame.DIED:
                self._death = payload.decode("utf-8", "replace")
            self._changed.notify_all()
        if self._kept_bytes > MAX_KEPT_BYTES:
            self._fail(f"the command printed more than {MAX_KEPT_BYTES >> 20} MB; write it to a file, or stream it")

    def _finish(self, payload: bytes) -> None:
        status, late, seconds = payload.split()
        self._result = Result(
            int(status),
            self._joined(frame.OUTPUT),
            self._joined(frame.ERROR),
            timed_out=late == b"late",
            seconds=float(seconds),
            console="",
        )
        self._wire.forget(self.ident)

    def _joined(self, kind: bytes) -> bytes:
        return b"".join([data for which, data in self._chunks if which == kind])

    # What the caller asks.

    @property
    def running(self) -> bool:
        return self._result is None and not self._death

    @property
    def stdout(self) -> str:
        """What it has printed so far."""
        with self._changed:
            return self._joined(frame.OUTPUT).decode("utf-8", "replace")

    @property
    def stderr(self) -> str:
        with self._changed:
            return self._joined(frame.ERROR).decode("utf-8", "replace")

    @property
    def output(self) -> str:
        """Both, in the order of arrival."""
        with self._changed:
            return self._both()

    def _both(self) -> str:
        return b"".join([data for _, data in self._chunks]).decode("utf-8", "replace")

    def read(self) -> str:
        """Return what came since the last read, stdout and stderr together, without waiting."""
        with self._changed:
            fresh = self._chunks[self._read :]
            self._read = len(self._chunks)
        return b"".join([data for _, data in fresh]).decode("utf-8", "replace")

    def wait_for(self, text: str | re.Pattern[str], *, timeout_s: float = 60) -> re.Match[str]:
        """Wait until the output has this text (or a match), after the last one waited for; return the match.

        LabError when the command ends or the time passes without it.
        """
        pattern = re.compile(re.escape(text)) if isinstance(text, str) else text
        end = time.monotonic() + timeout_s
        with self._changed:
            while True:
                both = self._both()
                if match := pattern.search(both, self._searched):
                    self._searched = match.end()
                    return match
                if not self.running:
                    raise LabError(f"the command ended without printing {pattern.pattern!r}:\n{self._death or both}")
                if time.monotonic() >= end:
                    raise LabError(f"the command did not print {pattern.pattern!r} in {timeout_s:g} s, but:\n{both}")
                self._changed.wait(max(0.0, end - time.monotonic()))

    def signal(self, number: int = SIGINT, *, group: bool = True) -> None:
        """Send a signal to the command and its children, or to it alone."""
        self._wire.send(self.ident, frame.SIGNAL, f"{int(number)} {'group' if group else 'leader'}".encode())

    def write(self, data: bytes | str) -> None:
        """Give it input; it must have been started with stdin=True or tty."""
        view = memoryview(data.encode() if isinstance(data, str) else data)
        while view:
            self._wire.send(self.ident, frame.INPUT, bytes(view[:INPUT_BYTES]))
            view = view[INPUT_BYTES:]

    def close_input(self) -> None:
        self._wire.send(self.ident, frame.INPUT)

    def resize(self, rows: int, columns: int) -> None:
        self._wire.send(self.ident, frame.WINDOW, f"{rows} {columns}".encode())

    def keys(self, text: str) -> None:
        """Press keys, as Guest.keys."""
        self._host.press(text)

    def press_beside(self, text: str) -> None:
        """Press keys without waiting; a wrong name fails the job."""
        threading.Thread(target=self._press_or_fail, args=(text,), daemon=True).start()

    def _press_or_fail(self, text: str) -> None:
        try:
            self._host.press(text)
        except LabError as error:
            self._fail(str(error))

    def _fail(self, reason: str) -> None:
        """Give the job up, and kill its command."""
        with self._changed:
            if self.running:
                self._death = reason
                self._wire.send(self.ident, frame.SIGNAL, b"9 group")
            self._changed.notify_all()

    def kill(self) -> None:
        """Kill it and its children if it still runs, and wait until it is gone."""
        if self.running:
            self.signal(9)
            with contextlib.suppress(LabError):
                self.wait(timeout_s=30)

    def stream(self, callback: Stream, *, timeout_s: float | None = None) -> Result:
        """Hand each piece of output to the callback as it comes, keeping none; return the result when it is over."""
        end = self._end(timeout_s)
        self._streaming = True
        try:
            while True:
                chunks, over = self._take(end)
                for kind, data in chunks:
                    callback("stdout" if kind == frame.OUTPUT else "stderr", data)
                if over or not chunks:
                    return self._conclude(timeout_s)
        finally:
            with self._changed:
                self._streaming = False
                self._changed.notify_all()

    def _take(self, end: float | None) -> tuple[list[tuple[bytes, bytes]], bool]:
        """Wait for output and take it; also return whether the command is over."""
        with self._changed:
            while not self._chunks and self.running and self._wait_until(end):
                pass
            chunks, self._chunks, self._kept_bytes = self._chunks, [], 0
            self._changed.notify_all()
            return chunks, not self.running

    def wait(self, *, timeout_s: float | None = None) -> Result:
        """Wait until it is over; LabError when the guest dies or hangs, or after timeout_s (the command then goes on)."""
        end = self._end(timeout_s)
        with self._changed:
            while self.running and self._wait_until(end):
                pass
        return self._conclude(timeout_s)

    def _end(self, timeout_s: float | None) -> float | None:
        """When to give up: the caller's limit, or the guest's with some grace."""
        ends = [] if timeout_s is None else [time.monotonic() + timeout_s]
        if self._limit_s is not None:
            ends.append(self._started + self._limit_s + self._hang_grace_s)
        return min(ends, default=None)

    def _wait_until(self, end: float | None) -> bool:
        """Wait for news; return whether there is time left."""
        left = None if end is None else end - time.monotonic()
        if left is not None and left <= 0:
            return False
        return self._changed.wait(left) or end is None

    def _conclude(self, timeout_s: float | None) -> Result:
        if self._death:
            raise LabError(self._death)
        if self._result is None:
            running_s = time.monotonic() - self._started
            if self._limit_s is None or running_s < self._limit_s + self._hang_grace_s:
                raise LabError(f"the command still runs after {timeout_s:g} s")
            self._host.kill(f"the guest hangs: no answer {running_s:.0f} s after the command's start; it was killed")
            raise LabError(self._death)
        self._result.console = self._host.console_since(self._console_offset)
        return self._result
