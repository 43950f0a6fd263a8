"""Kernel modules: which files a guest must load to reach its root, in the order of loading.

Dependencies come from each module's own .modinfo ("depends="), so an unpacked package needs no depmod for booting.
"""

from __future__ import annotations

import os
import re

from probee.errors import LabError
from probee.lab.image import decompress

BOOT_MODULES = ("virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay")
NET_MODULES = ("virtio_net",)


def find_modules(root: str) -> dict[str, str]:
    """Return module name → file below a modules directory (/lib/modules/VERSION)."""
    found = {}
    for top, _, names in os.walk(root):
        for name in names:
            stem, dot, _ = name.partition(".ko")
            if dot:
                found[stem.replace("-", "_")] = os.path.join(top, name)
    return found


def depends(module: bytes) -> list[str]:
    """Return the names that an uncompressed module needs loaded before it."""
    match = re.search(rb"\0depends=([^\0]*)", module)
    if match is None or not match[1]:
        return []
    return [name.replace("-", "_") for name in match[1].decode().split(",")]


def load_order(root: str, wanted: tuple[str, ...]) -> list[tuple[str, bytes]]:
    """Return (name, uncompressed contents) of the wanted modules and all they depend on, dependencies first.

    A name without a file is taken to be built in.
    """
    files = find_modules(root)
    if not files:
        raise LabError(f"no kernel modules below {root}")
    done: dict[str, bytes] = {}
    waiting: set[str] = set()

    def add(name: str) -> None:
        if name in done or name in waiting or name not in files:
            return
        waiting.add(name)
        with open(files[name], "rb") as file:
            data = decompress(file.read())
        for dependency in depends(data):
            add(dependency)
        done[name] = data

    for name in wanted:
        add(name)
    return list(done.items())
