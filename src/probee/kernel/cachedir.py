"""The cache directory, and the rule for trusting it.

What lies there is read by root, so a directory counts only when it belongs to the effective user and nobody else may
write to it; otherwise there is no cache.  $XDG_CACHE_HOME/probee or ~/.cache/probee; where sudo kept another user's home,
/var/cache/probee.  New directories are 0700, and a file appears whole or not at all.
"""

from __future__ import annotations

import os
import stat

SYSTEM = "/var/cache/probee"


def cache_directory(name: str = "") -> str | None:
    """Return the path of probee's cache directory, or of `name` in it, made if need be; None without a trusted one."""
    path = _root()
    if path is None or not _trusted(path, make=True):
        return None
    if not name:
        return path
    path = f"{path}/{name}"
    return path if _trusted(path, make=True) else None


def _root() -> str | None:
    parent = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if not os.path.isabs(parent):
        return None
    if os.geteuid() == 0 and _owner(parent) != 0:
        return SYSTEM
    return f"{parent}/probee"


def _owner(path: str) -> int:
    """Return who owns a path, or would by making it: the owner of the nearest directory above that exists."""
    while True:
        try:
            return os.stat(path).st_uid
        except OSError:
            parent = os.path.dirname(path)
            if parent == path:
                return -1
            path = parent


def _trusted(path: str, *, make: bool) -> bool:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        if not make:
            return False
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass
        except OSError:
            return False
        return _trusted(path, make=False)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def write_whole(path: str, *pieces: bytes | memoryview) -> bool:
    """Write a file under a temporary name and move it to its place; False, and nothing there, when that fails."""
    partial = f"{path}.{os.getpid()}"
    try:
        fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            for piece in pieces:
                file.write(piece)
        os.rename(partial, path)
    except OSError:
        _remove(partial)
        return False
    return True


def keep_newest(directory: str, suffix: str, count: int) -> None:
    """Remove all but the `count` files of a kind that were used last."""
    files: list[tuple[float, str]] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if not entry.name.endswith(suffix):
                continue
            try:
                files.append((entry.stat().st_mtime, entry.path))
            except FileNotFoundError:
                continue  # somebody else removed it meanwhile
    for _, path in sorted(files)[:-count]:
        _remove(path)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return  # somebody else was quicker
