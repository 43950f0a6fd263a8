"""QEMU's monitor (QMP, docs/interop/qmp-spec in QEMU's tree): pressing keys, pausing.

One socket, one command at a time; events in between are skipped.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import Any

from probee.errors import LabError

HOLD_MS = 20
PAUSE_S = 0.05  # from one press to the next; longer than a press lasts


def parse_keys(text: str) -> list[float | list[str]]:
    """Return the steps of '@0.5 a shift-b ret': seconds to wait, or names of keys pressed together (QEMU's qcodes)."""
    steps: list[float | list[str]] = []
    for word in text.split():
        if word.startswith("@"):
            try:
                steps.append(float(word[1:]))
            except ValueError:
                raise LabError(f"keys: {word!r} is not '@' and seconds") from None
        else:
            steps.append([name for name in word.split("-") if name])
    return steps


class Monitor:
    """A connected monitor."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lines = sock.makefile("rb")
        self._lock = threading.Lock()
        self._greeted = False

    def execute(self, command: str, **arguments: Any) -> Any:
        """Run one command and return its answer; LabError with QEMU's own words when it fails."""
        with self._lock:
            try:
                if not self._greeted:
                    self._lines.readline()
                    self._ask("qmp_capabilities", {})
                    self._greeted = True
                return self._ask(command, arguments)
            except (OSError, ValueError):
                raise LabError("the guest's monitor is gone") from None

    def _ask(self, command: str, arguments: dict[str, Any]) -> Any:
        self._sock.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while line := self._lines.readline():
            answer = json.loads(line)
            if "error" in answer:
                raise LabError(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
        raise OSError("closed")

    def press(self, text: str) -> None:
        """Press keys, one after the other; see parse_keys."""
        for step in parse_keys(text):
            if isinstance(step, float):
                time.sleep(step)
                continue
            keys = [{"type": "qcode", "data": name} for name in step]
            self.execute("send-key", keys=keys, **{"hold-time": HOLD_MS})
            time.sleep(PAUSE_S)

    def close(self) -> None:
        self._lines.close()
        self._sock.close()
