"""apt-get and apt-cache with their sources, lists, cache and state in a directory of ours.

The machine's apt configuration is read for the mirror and for how to reach it (Acquire::*, which has the proxies), and
never changed; nor is its state.
"""

from __future__ import annotations

import glob
import os
import re
import subprocess
import time

from probee.errors import LabError
from probee.lab import cache
from probee.lab.kernel import Report

LISTS_AGE_S = 7 * 86400
KEYRING = "usr/share/keyrings/debian-archive-keyring.gpg"


class Apt:
    """One private set of sources and lists, below the cache's suites/."""

    def __init__(self, name: str, *, report: Report) -> None:
        self._name = name
        self._report = report
        self._home = cache.make_dir("suites", name)

    def use(self, sources: str) -> None:
        """Read the package lists of these sources (sources.list(5), one-line style), unless they are recent."""
        self._configure(sources, {"Dir::State::status": "/dev/null", "Dir::Etc::sourceparts": "/dev/null",
                                  "APT::Architecture": "amd64", "APT::Architectures": "amd64"})  # fmt: skip

    def use_with_system(self, sources: str) -> None:
        """As use(), beside the machine's own sources, and knowing what is installed there."""
        parts = os.path.join(self._home, "parts")
        os.makedirs(parts, exist_ok=True)
        for path in [*glob.glob("/etc/apt/sources.list.d/*"), "/etc/apt/sources.list"]:
            link = os.path.join(parts, os.path.basename(path))
            if not os.path.lexists(link):
                os.symlink(path, link)
        self._configure(sources, {"Dir::State::status": "/var/lib/dpkg/status", "Dir::Etc::sourceparts": parts})

    def refresh(self) -> None:
        """Read the package lists again."""
        self._report(f"reading the package lists of {self._name}")
        self.run("apt-get", "update")
        write_text(self._stamp, "")

    def run(self, *command: str, cwd: str | None = None) -> str:
        """Run one of apt's programs and return what it prints; LabError with its own words when it fails."""
        return run_apt(list(command), {"APT_CONFIG": os.path.join(self._home, "apt.conf")}, cwd)

    @property
    def _stamp(self) -> str:
        return os.path.join(self._home, "stamp")

    def _configure(self, sources: str, more: dict[str, str]) -> None:
        path = os.path.join(self._home, "sources.list")
        if read_text(path) == sources and _age_s(self._stamp) < LISTS_AGE_S:
            return
        for part in ("lists/partial", "archives/partial"):
            os.makedirs(os.path.join(self._home, part), exist_ok=True)
        write_text(path, sources)
        write_text(os.path.join(self._home, "apt.conf"), self._configuration(path, more))
        self.refresh()

    def _configuration(self, sources: str, more: dict[str, str]) -> str:
        """The machine's way to the network, and our own places for everything else."""
        dump = run_apt(["apt-config", "dump"], {}, None)
        lines = [line for line in dump.splitlines() if line.startswith("Acquire::")]
        ours = {
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::parts": "/dev/null",
            "Dir::Etc::sourcelist": sources,
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::State": self._home,
            "Dir::State::lists": os.path.join(self._home, "lists"),
            "Dir::Cache": self._home,
            "Dir::Cache::srcpkgcache": "",
            "Dir::Cache::archives": os.path.join(self._home, "archives"),
            "APT::Sandbox::User": "root",
            "APT::Update::Error-Mode": "any",
            "Acquire::Languages": "none",
            "Acquire::Check-Valid-Until": "false",  # an archived suite is not renewed any more
            "Debug::NoLocking": "true",  # /var/lib/dpkg/lock is root's, and nothing is installed
            **more,
        }
        return "\n".join([*lines, *[f'{key} "{value}";' for key, value in ours.items()]]) + "\n"


def find_mirror() -> str:
    """Return the Debian mirror that this machine's apt uses; LabError when it uses none."""
    files = ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*"))]
    for path in files:
        for mirror in mirrors_in(read_text(path)):
            return mirror
    raise LabError("this machine's apt uses no Debian mirror: name one with --mirror URL (of the directory above dists/)")


def mirrors_in(text: str) -> list[str]:
    """Return the Debian archives that a sources file names, in either notation; not its security archive."""
    found = re.findall(r"^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)", text, re.M)
    for line in re.findall(r"^URIs:(.*)$", text, re.M | re.I):
        found += line.split()
    return [uri.rstrip("/") for uri in found if uri.rstrip("/").endswith(("/debian", "/debian.list"))]


def find_keyring() -> str:
    """Return the file with the keys of Debian's archive."""
    for root in ("/", cache.tools_dir()):
        path = os.path.join(root, KEYRING)
        if os.path.exists(path):
            return path
    raise LabError("the keys of Debian's archive are missing: run `probee lab setup` (package debian-archive-keyring)")


def run_apt(command: list[str], environment: dict[str, str], cwd: str | None) -> str:
    """Run one of apt's programs; LabError with its own words when it fails."""
    try:
        done = subprocess.run(
            command, env={**os.environ, "LC_ALL": "C", **environment}, cwd=cwd, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise LabError(f"{command[0]} is missing: this machine has no apt; give the path of a vmlinuz instead") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith(("E:", "W:"))]
        raise LabError("\n".join(lines) or f"{' '.join(command)}: status {done.returncode}")
    return done.stdout


def read_text(path: str) -> str:
    """Return a file's text; "" when there is none."""
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def write_text(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _age_s(path: str) -> float:
    try:
        return time.time() - os.stat(path).st_mtime
    except OSError:
        return float("inf")
