"""Which CPUs there are: /sys/devices/system/cpu/{possible,online}, lists like "0-3,8"."""

from __future__ import annotations

_possible: list[int] = []


def possible_cpus() -> int:
    """Return how many values a per-CPU map has per key (num_possible_cpus of the kernel)."""
    if not _possible:
        _possible.extend(_listed("possible"))
    return len(_possible)


def online_cpus() -> list[int]:
    """Return the numbers of the CPUs that run now, rising."""
    return _listed("online")


def _listed(name: str) -> list[int]:
    with open(f"/sys/devices/system/cpu/{name}", encoding="utf-8") as file:
        return parse_cpu_list(file.read())


def parse_cpu_list(text: str) -> list[int]:
    """Return the numbers of a list in the kernel's notation ("0-3,8").  Documentation/core-api/printk-formats.rst, %*pbl."""
    numbers: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first:
            numbers.extend(range(int(first), int(last or first) + 1))
    return numbers
