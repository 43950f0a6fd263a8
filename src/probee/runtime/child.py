"""Processes that a session follows: a child of ours (-c), held until everything is attached; or another's process (-p).

Both end the session when they end; they are watched by pidfd, which polls readable then and cannot mean another process
(Linux 5.3, commit 32fcb426ec00 "pid: add pidfd_open()").
"""

from __future__ import annotations

import os
import select
from _signal import (  # type: ignore[import-not-found]  # signal itself imports enum
    SIG_BLOCK,
    SIG_DFL,
    SIG_SETMASK,
    SIG_UNBLOCK,
    SIGINT,
    SIGKILL,
    SIGTERM,
    pthread_sigmask,
    signal,
)

from probee.errors import UsageError

PATIENCE_S = 2.0
_OURS = (SIGINT, SIGTERM)


class Follower:
    """A process by pid; `fileno()` polls readable when it has ended."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self._fd = os.pidfd_open(pid)
        except OSError as error:
            raise UsageError(f"cannot watch process {pid}: {error.strerror}") from None

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class Child(Follower):
    """A child process that waits, already forked, until `release()`."""

    def __init__(self, words: list[str]) -> None:
        program = find_program(words[0])
        ready, self._go = os.pipe()
        before = pthread_sigmask(SIG_BLOCK, _OURS)  # the child must not run our handlers
        pid = os.fork()
        if pid == 0:
            _become(program, words, ready, self._go)
        pthread_sigmask(SIG_SETMASK, before)
        os.close(ready)
        self.ended = False
        super().__init__(pid)

    def release(self) -> None:
        """Let it run."""
        go, self._go = self._go, -1
        if go >= 0:
            try:
                os.write(go, b"1")
            except BrokenPipeError:
                self.wait()  # somebody killed it while it waited
            finally:
                os.close(go)

    def wait(self) -> None:
        """Collect its exit status; it must have ended."""
        if not self.ended:
            self.ended = True
            os.waitpid(self.pid, 0)

    def _end(self) -> None:
        """Ask it to end, and make it when it does not; one that has ended but was not waited for is still there."""
        os.kill(self.pid, SIGTERM)
        if not select.select([self], [], [], PATIENCE_S)[0]:
            os.kill(self.pid, SIGKILL)

    def close(self) -> None:
        """End it if it still runs."""
        if not self.ended:
            if self._go >= 0:  # never released: it ends at the end of the pipe
                os.close(self._go)
                self._go = -1
            else:
                self._end()
            self.wait()
        super().close()


def _become(program: str, words: list[str], ready: int, go: int) -> None:
    """In the child: wait for the word, then run the program; never returns."""
    try:
        for number in _OURS:
            signal(number, SIG_DFL)
        pthread_sigmask(SIG_UNBLOCK, _OURS)
        os.close(go)
        if os.read(ready, 1):
            os.execv(program, words)
    except OSError as error:
        os.write(2, f"ERROR: cannot run {words[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def split_command(command: str) -> list[str]:
    """Split a command into words: at blanks; quotes and backslashes as in a shell, but nothing else of a shell."""
    if not any(character in command for character in "'\"\\"):
        words = command.split()
    else:
        import shlex

        try:
            words = shlex.split(command)
        except ValueError as error:
            raise UsageError(f"cannot split the command {command!r}: {error}") from None
    if not words:
        raise UsageError("the command of -c is empty")
    return words


def find_program(name: str) -> str:
    """Return the path of a program as a shell finds it; UsageError when there is none."""
    if "/" in name:
        found = name if os.access(name, os.X_OK) and not os.path.isdir(name) else None
    else:
        places = [os.path.join(place or ".", name) for place in os.environ.get("PATH", os.defpath).split(":")]
        found = next((path for path in places if os.access(path, os.X_OK) and not os.path.isdir(path)), None)
    if found is None:
        raise UsageError(f"path '{name}' does not exist or is not executable")
    return found
