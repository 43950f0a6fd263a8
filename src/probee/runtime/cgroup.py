"""Paths of cgroups by id: the number of a directory's inode under the mounts of cgroup2 ("unified") and cgroup v1.

Finding one walks the hierarchy, so what was seen is remembered; an id that is not there any more has an empty path.
"""

from __future__ import annotations

import os


class CgroupPaths:
    """`mounts` are (hierarchy, directory), the unified one first."""

    def __init__(self, mounts: list[tuple[str, str]] | None = None) -> None:
        self._mounts = cgroup_mounts() if mounts is None else mounts
        self._known: dict[tuple[str, int], str] = {}

    def path(self, cgroup_id: int, pattern: str = "*") -> str:
        """Return `hierarchy:/path` of every hierarchy that matches and has the id, joined by commas."""
        from fnmatch import fnmatchcase

        found = []
        for hierarchy, root in self._mounts:
            if fnmatchcase(hierarchy, pattern):
                path = self._find(hierarchy, root, cgroup_id)
                if path:
                    found.append(f"{hierarchy}:{path}")
        return ",".join(found)

    def _find(self, hierarchy: str, root: str, cgroup_id: int) -> str:
        known = self._known.get((hierarchy, cgroup_id))
        if known is None or not os.path.isdir(root + known):
            self._walk(hierarchy, root)
            known = self._known.get((hierarchy, cgroup_id), "")
        return known

    def _walk(self, hierarchy: str, root: str) -> None:
        for directory, _, _ in os.walk(root):
            try:
                inode = os.stat(directory).st_ino
            except OSError:
                continue  # it went away meanwhile
            self._known[hierarchy, inode] = directory[len(root) :] or "/"


def cgroup_mounts(table: str = "/proc/self/mountinfo") -> list[tuple[str, str]]:
    """Return (hierarchy, directory) of the mounted cgroup file systems; v1 hierarchies are called by their directory."""
    unified: list[tuple[str, str]] = []
    others: list[tuple[str, str]] = []
    with open(table, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            directory, kind = before.split()[4], after.split()[0]
            if kind == "cgroup2":
                unified.append(("unified", directory))
            elif kind == "cgroup":
                others.append((os.path.basename(directory), directory))
    return unified[:1] + others
