"""A client of a lab server: the far end of server.py, with a Machine's face."""

from __future__ import annotations

import queue
import socket
import threading

from probee.errors import LabError
from probee.lab import frame
from probee.lab.wire import Wire

ANSWER_TIMEOUT_S = 180.0  # a guest may have to boot first


class Client:
    """One connection to a server at a Unix socket."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._sock = socket.socket(socket.AF_UNIX)
        try:
            self._sock.connect(path)
        except OSError as error:
            self._sock.close()
            raise LabError(f"no lab server at {path} ({error.strerror}): `probee lab serve {path}` starts one") from None
        self.wire = Wire(self._sock, control=lambda kind, payload: None, explain=self._explain)
        threading.Thread(target=self._live, name="lab-client", daemon=True).start()
        info = self.info()
        self.version = info["version"]
        self.boot_s = float(info["boot_s"])
        self._console = info["console"]

    def _live(self) -> None:
        self.wire.read()
        self.wire.finish()
        self._sock.close()

    def _explain(self) -> str:
        return f"the lab server at {self._path} went away"

    def ask(self, kind: bytes, payload: bytes = b"") -> bytes:
        """Send a question and return its answer; LabError with the server's words when it cannot."""
        answers: queue.SimpleQueue[tuple[bytes, bytes]] = queue.SimpleQueue()
        job = self.wire.open(lambda kind, payload: answers.put((kind, payload)))
        self.wire.send(job, kind, payload)
        try:
            answer, text = answers.get(timeout=ANSWER_TIMEOUT_S)
        except queue.Empty:
            raise LabError(f"the lab server at {self._path} does not answer") from None
        finally:
            self.wire.forget(job)
        if answer == frame.DIED:
            raise LabError(text.decode("utf-8", "replace"))
        return text

    def info(self) -> dict[str, str]:
        """Return the server's guest: version, boot_s, console (a path), pid."""
        fields = frame.unpack_fields(self.ask(frame.INFO))
        return dict(field.decode("utf-8", "replace").split("=", 1) for field in fields)

    @property
    def alive(self) -> bool:
        return not self.wire.closed.is_set()

    def press(self, keys: str) -> None:
        self.ask(frame.KEYS, keys.encode())

    def console_size(self) -> int:
        return len(self.console_since(0).encode())

    def console_since(self, offset: int) -> str:
        """Return the console's text after an offset, if the server's files can be read."""
        try:
            with open(self._console, "rb") as file:
                file.seek(offset)
                return file.read().decode("utf-8", "replace").replace("\r\n", "\n")
        except OSError:
            return ""

    def kill(self, reason: str = "") -> None:
        """Have the server reboot its guest."""
        self.ask(frame.REBOOT, reason.encode())

    def stop(self) -> None:
        """Have the server stop."""
        self.ask(frame.STOP)

    def close(self) -> None:
        self.wire.shut()
