"""Where the lab keeps things: kernels and tools in the user's cache, a running guest's files in a private place.

A guest's directory is held by a lock on the file beside it; a directory whose lock is free was left by a process that
was killed, and the next start removes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile

from probee.errors import LabError


def cache_dir() -> str:
    """Return $XDG_CACHE_HOME/probee/lab; it may not exist."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(os.path.abspath(base), "probee", "lab")


def make_dir(*parts: str) -> str:
    """Return a directory below cache_dir(), made if missing; LabError when that is not allowed."""
    path = os.path.join(cache_dir(), *parts)
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise LabError(f"cannot make {path}: {error.strerror}; set XDG_CACHE_HOME to a directory of yours") from None
    return path


def tools_dir() -> str:
    """Return where `probee lab setup` unpacks programs that the machine lacks."""
    return os.path.join(cache_dir(), "tools")


def tool_path() -> str:
    """Return the search path for programs that the lab calls: the user's, where Debian keeps root's, and our own."""
    tools = tools_dir()
    own = [os.path.join(tools, *where) for where in (("usr", "bin"), ("usr", "sbin"), ("bin",), ("sbin",))]
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/bin", "/bin", *own])


def guests_dir() -> str:
    """Return this user's directory for running guests, made if missing; LabError when somebody else owns it."""
    path = os.path.join(tempfile.gettempdir(), f"probee-lab-{os.geteuid()}")
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        status = os.lstat(path)
    except OSError as error:
        raise LabError(f"cannot make {path}: {error.strerror}; set TMPDIR to a directory of yours") from None
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise LabError(f"{path} is not a private directory of this user; remove it, or set TMPDIR")
    return path


class GuestDir:
    """A running guest's own directory; removed by close(), or swept when this process did not live to do it."""

    def __init__(self) -> None:
        base = guests_dir()
        sweep(base)
        self._lock, self._lock_path = _hold_new_lock(base)
        self.path = self._lock_path[: -len(".lock")]
        os.mkdir(self.path, 0o700)

    def file(self, name: str) -> str:
        return os.path.join(self.path, name)

    def close(self) -> None:
        if self._lock >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.unlink(self._lock_path)
            os.close(self._lock)
            self._lock = -1


def _hold_new_lock(base: str) -> tuple[int, str]:
    while True:
        fd, path = tempfile.mkstemp(prefix="guest-", suffix=".lock", dir=base)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:  # else a sweep took it between the two calls
            return fd, path
        os.close(fd)


def sweep(base: str) -> None:
    """Remove what guests left behind whose processes were killed."""
    for name in os.listdir(base):
        if not name.endswith(".lock"):
            continue
        path = os.path.join(base, name)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path[: -len(".lock")], ignore_errors=True)
            os.unlink(path)
        except OSError:  # held: its guest runs
            pass
        finally:
            os.close(fd)
