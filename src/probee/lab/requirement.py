"""What the lab needs from the machine (QEMU, a static busybox, now and then zstd) and how to get it.

Missing programs are taken from the machine's own Debian archive, and QEMU 10 from its backports, and unpacked into
the lab's cache: nothing is installed and root is not needed.  `--system` installs them with apt-get instead.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass

from probee.errors import LabError
from probee.lab import cache, deb, emulator
from probee.lab.apt import KEYRING, Apt, find_mirror
from probee.lab.kernel import Report


@dataclass(frozen=True, slots=True)
class Requirement:
    """A package that has what is missing, and why it is wanted."""

    package: str
    reason: str
    needed: bool = True  # else the lab runs without, but worse


def missing() -> list[Requirement]:
    """Return what this machine lacks for running guests."""
    found = []
    try:
        qemu = emulator.find_emulator()
        if qemu.major < emulator.SAFE_SMP:
            reason = f"QEMU {qemu.version} gives guests one CPU under emulation; from {emulator.SAFE_SMP} on two"
            found.append(Requirement("qemu-system-x86", reason, needed=False))
    except LabError as error:
        if str(error) != emulator.MISSING:
            raise
        found.append(Requirement("qemu-system-x86", "no QEMU"))
    if find_busybox() is None:
        found.append(Requirement("busybox-static", "no static busybox, which a guest boots with"))
    if shutil.which("zstd", path=cache.tool_path()) is None:
        found.append(Requirement("zstd", "no zstd, with which some kernels are packed", needed=False))
    if not any(os.path.exists(os.path.join(root, KEYRING)) for root in ("/", cache.tools_dir())):
        found.append(Requirement("debian-archive-keyring", "no keys of Debian's archive, to fetch kernels", needed=False))
    return found


def find_busybox() -> str | None:
    """Return the path of a statically linked busybox."""
    for folder in cache.tool_path().split(os.pathsep):
        path = os.path.join(folder, "busybox")
        if os.access(path, os.R_OK) and is_static(path):
            return path
    return None


def is_static(path: str) -> bool:
    """Whether an ELF program names no interpreter (elf(5), PT_INTERP)."""
    pt_interp = 3
    with open(path, "rb") as file:
        head = file.read(1 << 12)
    if head[:5] != b"\x7fELF\x02":
        return False
    offset = struct.unpack_from("<Q", head, 32)[0]
    size, count = struct.unpack_from("<HH", head, 54)
    places = range(offset, min(offset + size * count, len(head) - 4), size)
    return all(struct.unpack_from("<I", head, place)[0] != pt_interp for place in places)


def install_command(requirements: list[Requirement]) -> list[str]:
    """Return the command that installs them on the machine itself."""
    packages = sorted({requirement.package for requirement in requirements})
    return ["apt-get", "install", "--yes", "--no-install-recommends", *packages]


def install(requirements: list[Requirement]) -> None:
    """Install packages on the machine; LabError when this is not root's process or apt-get fails."""
    command = install_command(requirements)
    if os.geteuid():
        raise LabError(f"only root installs packages: sudo {' '.join(command)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        failed = subprocess.run(["apt-get", "update"], check=False).returncode
        failed = subprocess.run(command, env=environment, check=False).returncode or failed
    except FileNotFoundError:
        raise LabError("this machine has no apt-get: install QEMU and a static busybox with its own tool") from None
    if failed:
        raise LabError(f"{' '.join(command)} failed")


def unpack(requirements: list[Requirement], *, mirror: str, report: Report) -> None:
    """Fetch packages with what they depend on beyond what is installed, and unpack them into the cache."""
    packages = [requirement.package for requirement in requirements]
    codename = debian_codename()
    apt = Apt("tools", report=report)
    apt.use_with_system(f"deb {mirror or find_mirror()} {codename}-backports main\n" if codename else "")
    release = ["--target-release", f"{codename}-backports"] if codename else []  # there QEMU is new
    with tempfile.TemporaryDirectory(prefix="tools-", dir=cache.make_dir()) as work:
        archives = os.path.join(work, "archives")
        os.makedirs(os.path.join(archives, "partial"))
        report(f"fetching {', '.join(packages)}")
        apt.run("apt-get", "install", "--yes", "--download-only", "--no-install-recommends", *release,
                "-o", f"Dir::Cache::archives={archives}", *packages)  # fmt: skip
        tree = os.path.join(work, "tree")
        os.mkdir(tree)
        for package in sorted(glob.glob(os.path.join(archives, "*.deb"))):
            deb.unpack(package, tree, lambda path: not path.startswith(("usr/share/doc", "usr/share/man")))
        shutil.copytree(tree, cache.tools_dir(), symlinks=True, dirs_exist_ok=True)
    report(f"unpacked into {cache.tools_dir()}")


def debian_codename(path: str = "/etc/os-release") -> str:
    """Return "bookworm" on Debian 12, and "" on anything but a stable Debian."""
    try:
        with open(path) as file:
            text = file.read()
    except OSError:
        return ""
    values = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', text, re.M))
    return values.get("VERSION_CODENAME", "") if values.get("ID") == "debian" and "VERSION_ID" in values else ""
