"""One guest for many: passes frames between clients at a Unix socket and a guest that it keeps running.

Each client has its own job numbers; what a client leaves running when it goes is killed.  When the guest dies, its
jobs end with DIED at their clients, and the next command boots it again.
"""

from __future__ import annotations

import os
import queue
import socket
import threading

from probee.errors import LabError
from probee.lab import frame
from probee.lab.guest import Guest, Host
from probee.lab.machine import Machine

QUEUE_FRAMES = 1024  # a client that does not read holds up the guest, and is dropped in the end
STUCK_S = 30.0


class Server:
    """Listens at a socket; run() serves until a client says stop."""

    def __init__(self, path: str, guest: Guest) -> None:
        self._path = path
        self.guest = guest
        self._stopping = threading.Event()
        self._sock = _listen(path)

    def run(self) -> None:
        """Serve; returns after stop()."""
        threading.Thread(target=self._accept, name="lab-accept", daemon=True).start()
        try:
            self._stopping.wait()
        finally:
            os.unlink(self._path)
            self._sock.close()
            self.guest.close()

    def stop(self) -> None:
        self._stopping.set()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._sock.accept()
            except OSError:  # closed
                return
            Connection(self, sock)


def _listen(path: str) -> socket.socket:
    """Return a listening socket that only this user may use; LabError when a server listens there already."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(path)
    except ConnectionRefusedError:
        os.unlink(path)  # left by a server that was killed
    except FileNotFoundError:
        pass
    except OSError as error:
        raise LabError(f"{path}: {error.strerror}") from None
    else:
        sock.close()
        raise LabError(f"a lab server listens at {path} already")
    sock = socket.socket(socket.AF_UNIX)
    try:
        mask = os.umask(0o177)
        try:
            sock.bind(path)
        finally:
            os.umask(mask)
        sock.listen(32)
    except OSError as error:
        sock.close()
        raise LabError(f"{path}: {error.strerror}") from None
    return sock


class Connection:
    """One client: a thread reads what it asks, another writes what it gets."""

    def __init__(self, server: Server, sock: socket.socket) -> None:
        self._server = server
        self._sock = sock
        self._jobs: dict[int, tuple[Host, int]] = {}  # the client's number → where it runs
        self._queue: queue.Queue[bytes] = queue.Queue(QUEUE_FRAMES)
        threading.Thread(target=self._read, name="lab-client-in", daemon=True).start()
        threading.Thread(target=self._write, name="lab-client-out", daemon=True).start()

    def _read(self) -> None:
        decoder = frame.Decoder()
        try:
            while data := self._sock.recv(1 << 18):
                for job, kind, payload in decoder.feed(data):
                    self._on_frame(job, kind, payload)
        except (OSError, ValueError):  # gone, or not one of ours
            pass
        for host, number in list(self._jobs.values()):
            host.wire.send(number, frame.SIGNAL, b"9 group")
        self._say(0, b"")

    def _write(self) -> None:
        try:
            while data := self._queue.get():
                self._sock.sendall(data)
        except OSError:
            pass
        self._sock.close()

    def _say(self, job: int, kind: bytes, payload: bytes = b"") -> None:
        """Queue a frame; no kind: hang up."""
        try:
            self._queue.put(frame.pack(job, kind, payload) if kind else b"", timeout=STUCK_S)
        except queue.Full:
            self._sock.shutdown(socket.SHUT_RDWR)

    def _on_frame(self, job: int, kind: bytes, payload: bytes) -> None:
        try:
            if kind == frame.RUN:
                self._start(job, payload)
            elif kind == frame.KEYS:
                threading.Thread(target=self._press, args=(job, payload), daemon=True).start()
            elif kind in (frame.INFO, frame.REBOOT, frame.STOP):
                self._answer(job, kind, payload)
            elif job in self._jobs:
                host, number = self._jobs[job]
                host.wire.send(number, kind, payload)
        except LabError as error:
            self._say(job, frame.DIED, str(error).encode())

    def _start(self, job: int, payload: bytes) -> None:
        host = self._server.guest.prepare()

        def sink(kind: bytes, data: bytes) -> None:
            if kind in (frame.EXITED, frame.DIED):
                host.wire.forget(self._jobs.pop(job)[1])
            self._say(job, kind, data)

        number = host.wire.open(sink)
        self._jobs[job] = host, number
        host.wire.send(number, frame.RUN, payload)

    def _press(self, job: int, payload: bytes) -> None:
        try:
            self._server.guest.keys(payload.decode("utf-8", "replace"))
        except LabError as error:
            self._say(job, frame.DIED, str(error).encode())
        else:
            self._say(job, frame.INFO)

    def _answer(self, job: int, kind: bytes, payload: bytes) -> None:
        host = self._server.guest.host()
        if kind == frame.REBOOT:
            host.kill(payload.decode("utf-8", "replace"))
        elif kind == frame.STOP:
            self._server.stop()
        facts = {"version": host.version, "boot_s": f"{host.boot_s:.2f}"}
        if isinstance(host, Machine):
            facts |= {"console": host.console, "pid": str(host.pid)}
        self._say(job, frame.INFO, frame.pack_fields([f"{key}={value}".encode() for key, value in facts.items()]))
