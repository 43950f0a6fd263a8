"""A small /proc for tests: processes with maps, start time, program, root and mount namespace."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


class ProcTree:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.add(0, name="self")

    def add(
        self, pid: int, maps: str = "", *, start: int = 100, exe: str = "/bin/app", root: str = "/", mounts: str = "mnt:[1]",
        name: str = "",
    ) -> None:  # fmt: skip
        """Add a process, or replace it: by exec when its start time stays."""
        folder = self.path / (name or str(pid))
        if folder.exists():
            shutil.rmtree(folder)
        (folder / "ns").mkdir(parents=True)
        (folder / "maps").write_text(maps)
        (folder / "stat").write_text(f"{pid} (a) b) c) S {' '.join(['1'] * 18)} {start} 0 0\n")
        (folder / "status").write_text(f"Name:\tapp\nNSpid:\t{pid}\t7\n")
        (folder / "exe").symlink_to(exe)
        (folder / "root").symlink_to(root)
        (folder / "ns" / "mnt").symlink_to(mounts)

    def set_maps(self, pid: int, maps: str) -> None:
        (self.path / str(pid) / "maps").write_text(maps)

    def exit(self, pid: int) -> None:
        shutil.rmtree(self.path / str(pid))


def line(
    start: int, path: str | Path, *, size: int = 0x1000, offset: int = 0x1000, flags: str = "r-xp", suffix: str = ""
) -> str:  # fmt: skip
    """Return a line of maps for a file, of its own inode, or for a name that is no file."""
    device, inode = "00:00", 0
    if str(path).startswith("/") and os.path.exists(path):
        found = os.stat(path)
        device, inode = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}", found.st_ino
    return f"{start:x}-{start + size:x} {flags} {offset:08x} {device} {inode} \t {path}{suffix}\n"
