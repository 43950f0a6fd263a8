"""Kernels that a guest can boot: the cache's, the host's own, or a file.

A kernel is named by the beginning of its version at a dot ("6.1" is not 6.12), by a path, or "host".  One that the
cache lacks is fetched from the first Debian suite that has it (suite.py).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from probee.errors import LabError
from probee.lab import cache
from probee.lab.image import image_version

DEFAULT = "6.12"
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Kernel:
    """An image and its modules."""

    version: str  # as `uname -r` says
    image: str
    modules: str  # the directory; "" when everything is built in
    source: str  # "cache", "host" or "file"

    @property
    def family(self) -> str:
        return ".".join(self.version.split(".")[:2])


def matches(version: str, wanted: str) -> bool:
    """Whether a version begins with what is wanted, at a boundary between numbers."""
    rest = version[len(wanted) :]
    return version.startswith(wanted) and not (rest[:1].isdigit() and wanted[-1:].isdigit())


def version_key(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def kernels_dir() -> str:
    return os.path.join(cache.cache_dir(), "kernels")


def cached_kernels() -> list[Kernel]:
    """Return what the cache holds, oldest version first."""
    try:
        versions = os.listdir(kernels_dir())
    except OSError:
        return []
    found = []
    for version in versions:
        tree = os.path.join(kernels_dir(), version)
        image = os.path.join(tree, "boot", f"vmlinuz-{version}")
        if os.path.isfile(image):
            found.append(Kernel(version, image, os.path.join(tree, "lib", "modules", version), "cache"))
    return sorted(found, key=lambda kernel: version_key(kernel.version))


def host_kernels() -> list[Kernel]:
    """Return what is installed in /boot with modules beside it."""
    found = []
    for name in sorted(os.listdir("/boot")) if os.path.isdir("/boot") else []:
        image, version = os.path.join("/boot", name), name.partition("-")[2]
        modules = f"/lib/modules/{version}"
        if name.startswith("vmlinuz-") and os.access(image, os.R_OK) and os.path.isdir(modules):
            found.append(Kernel(version, image, modules, "host"))
    return sorted(found, key=lambda kernel: version_key(kernel.version))


def find_kernel(wanted: str) -> Kernel | None:
    """Return the newest kernel of this name that is on this machine; None when one has to be fetched."""
    if os.sep in wanted or os.path.isfile(wanted):
        return kernel_file(wanted)
    if wanted == "host":
        return _running_kernel()
    if not re.match(r"\d+(\.|$)", wanted):
        raise LabError(f"kernel {wanted!r}: name a version such as {DEFAULT}, the path of a vmlinuz, or 'host'")
    for kernels in (cached_kernels(), host_kernels()):
        fitting = [kernel for kernel in kernels if matches(kernel.version, wanted)]
        if fitting:
            return fitting[-1]
    return None


def need_kernel(wanted: str, *, mirror: str = "", report: Report) -> Kernel:
    """Return a kernel of this name, fetched from a Debian mirror if it is not on this machine."""
    kernel = find_kernel(wanted)
    if kernel is None:
        from probee.lab.suite import fetch_kernel

        kernel = fetch_kernel(wanted, mirror=mirror, report=report)
    return kernel


def kernel_file(path: str) -> Kernel:
    """Return the kernel in a file; its modules are looked for beside it and where the system keeps them."""
    path = os.path.realpath(path)
    try:
        with open(path, "rb") as file:
            head = file.read(1 << 16)
    except OSError as error:
        raise LabError(f"kernel {path}: {error.strerror}") from None
    version = image_version(head, path)
    beside = os.path.join(os.path.dirname(os.path.dirname(path)), "lib", "modules", version)
    for modules in (beside, f"/lib/modules/{version}"):
        if os.path.isdir(modules):
            return Kernel(version, path, os.path.realpath(modules), "file")
    return Kernel(version, path, "", "file")


def _running_kernel() -> Kernel:
    version = os.uname().release
    for path in (f"/boot/vmlinuz-{version}", f"/lib/modules/{version}/vmlinuz"):
        if os.path.exists(path):
            if not os.access(path, os.R_OK):
                raise LabError(f"the host's kernel {path} is readable by root only; `sudo chmod a+r {path}` changes that")
            return kernel_file(path)
    raise LabError(f"the host runs {version}, but its image is not in /boot; name another kernel, such as {DEFAULT}")
