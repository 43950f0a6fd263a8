"""A connection that carries jobs: the host's end of the virtio port, or a client's end of a server's socket.

One thread reads; whoever opened a job gets its frames through a sink.  When the other side is gone, every open job
gets one DIED frame.  What frames mean is job.py's and server.py's business.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from probee.errors import LabError
from probee.lab import frame

Sink = Callable[[bytes, bytes], None]  # kind, payload; called in the reading thread, must not block or raise


class Wire:
    """Frames both ways over one socket; `control` gets those of job 0, `explain` says why the other side died."""

    def __init__(self, sock: socket.socket, *, control: Sink, explain: Callable[[], str]) -> None:
        self._sock = sock
        self._control = control
        self._explain = explain
        self._sinks: dict[int, Sink] = {}
        self._last = 0
        self._lock = threading.Lock()  # for _sinks and _last
        self._writing = threading.Lock()
        self.closed = threading.Event()

    def open(self, sink: Sink) -> int:
        """Return a new job number whose frames go to the sink; LabError when the other side is gone."""
        with self._lock:
            if self.closed.is_set():
                raise LabError(self._explain())
            self._last += 1
            self._sinks[self._last] = sink
            return self._last

    def forget(self, job: int) -> None:
        with self._lock:
            self._sinks.pop(job, None)

    def send(self, job: int, kind: bytes, payload: bytes = b"") -> None:
        """Send one frame; what cannot be sent shows as DIED at the job."""
        try:
            with self._writing:
                self._sock.sendall(frame.pack(job, kind, payload))
        except OSError:
            pass

    def read(self) -> None:
        """Hand out frames until the other side closes; run this in a thread of its own."""
        decoder = frame.Decoder()
        while data := self._receive():
            try:
                frames = decoder.feed(data)
            except ValueError:
                break
            for job, kind, payload in frames:
                self._dispatch(job, kind, payload)

    def finish(self) -> None:
        """Tell every open job that the other side is gone; after read() has returned."""
        with self._lock:
            self.closed.set()
            sinks = list(self._sinks.values())
            self._sinks.clear()
        if sinks:
            reason = self._explain().encode()
            for sink in sinks:
                sink(frame.DIED, reason)

    def shut(self) -> None:
        """Close the socket, which ends read()."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def _receive(self) -> bytes:
        try:
            return self._sock.recv(1 << 18)
        except OSError:
            return b""

    def _dispatch(self, job: int, kind: bytes, payload: bytes) -> None:
        if job == 0:
            self._control(kind, payload)
            return
        with self._lock:
            sink = self._sinks.get(job)
        if sink is not None:
            sink(kind, payload)
