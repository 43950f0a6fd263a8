"""bcc.exec: start a command that waits until tracing is ready, and notice when it has ended."""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType


class _Command:
    """The pipe that a started command waits on, and whether it has ended."""

    def __init__(self) -> None:
        self.gate = (-1, -1)
        self.exited = 0


_command = _Command()


def run_cmd(args: list[str]) -> int:
    """Start a command that runs only after `cmd_ready()`; return its process id."""
    _command.gate = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(args)
    signal.signal(signal.SIGCHLD, _on_child)
    return pid


def _become(args: list[str]) -> None:
    """In the child: wait, then become the command."""
    reader, writer = _command.gate
    try:
        os.close(writer)
        os.read(reader, 1)
        os.close(reader)
        os.execvp(args[0], args)
    except OSError as error:
        sys.stderr.write(f"failed to exec command: {' '.join(args)}: {error}\n")
        sys.stderr.flush()
    finally:
        os._exit(1)


def _on_child(number: int, frame: FrameType | None) -> None:
    _command.exited = 1
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def cmd_ready() -> None:
    """Let the command run."""
    reader, writer = _command.gate
    os.close(reader)
    try:
        os.write(writer, b"x")
    except OSError:
        sys.exit(1)
    finally:
        os.close(writer)


def cmd_exited() -> int:
    """Return 1 when a started command has ended, else 0."""
    return _command.exited
