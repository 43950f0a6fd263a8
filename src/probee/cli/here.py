"""This machine as the demo's stage: commands are our children, keys come from a keyboard of our own making.

The same verbs as a lab guest has, as far as the demo uses them.
"""

from __future__ import annotations

READY_S = 60.0


class Here:
    """The verbs: start a command, run one, press keys, close."""

    def start(self, command: list[str], *, timeout_s: float) -> HereJob:
        return HereJob(command)

    def run(self, command: str) -> HereJob:
        with HereJob(["/bin/sh", "-c", command]) as job:
            return job.wait(timeout_s=READY_S)

    def keys(self, text: str) -> None:
        from probee.cli.keyboard import Keyboard

        with Keyboard() as keyboard:
            keyboard.press(text)

    def close(self) -> None:
        pass


class HereJob:
    """A child process with the verbs of the lab's Job that the demo uses."""

    def __init__(self, command: list[str]) -> None:
        import subprocess
        import threading

        self._text = ""
        self._searched = 0
        self._ended = False
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="backslashreplace"
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> HereJob:
        return self

    def __exit__(self, *unused: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join(1.0)  # a grandchild may hold the pipe
        if not self._reader.is_alive() and self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            for line in self._process.stdout:
                with self._changed:
                    self._text += line
                    self._changed.notify_all()
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def wait_for(self, text: str, *, timeout_s: float) -> None:
        from probee.errors import UsageError

        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._text.find(text, self._searched) >= 0, timeout_s)
            if self._text.find(text, self._searched) < 0:
                when = "before the command ended" if self._ended else f"within {timeout_s:g} s"
                raise UsageError(f"{text!r} was not seen {when}; its output:\n{self._text}")
            self._searched = self._text.index(text, self._searched) + len(text)

    def signal(self) -> None:
        from signal import SIGINT

        self._process.send_signal(SIGINT)

    def wait(self, *, timeout_s: float) -> HereJob:
        """Wait for the command's end; one that does not end in time is killed, which is a UsageError."""
        from subprocess import TimeoutExpired

        from probee.errors import UsageError

        try:
            self._process.wait(timeout_s)
        except TimeoutExpired:
            self._process.kill()
            self._process.wait()
            self._reader.join(1.0)  # a grandchild may hold the pipe
            raise UsageError(f"the command did not end within {timeout_s:g} s; its output:\n{self._text}") from None
        self._reader.join(timeout_s)
        return self

    def check(self) -> HereJob:
        from probee.errors import UsageError

        if self._process.returncode:
            raise UsageError(f"the demo's network could not be made:\n{self._text}")
        return self

    @property
    def stdout(self) -> str:
        return self._text
