"""Kernel functions that share a name: a static one in each of several files, which only their addresses tell apart.

By name the kernel refuses a single kprobe on such functions (Linux 6.7, commit b022f0c7e404 "tracing/kprobes: Return
EADDRNOTAVAIL when func matches several symbols", and stable kernels since), while a link of many attaches to the first one.
Here each of them is meant, so they are attached by address.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def shared_names(names: Iterable[str], functions: Iterable[tuple[str, str]]) -> list[str]:
    """Return those of the names that more than one of the kernel's functions, (name, module) each, has."""
    seen: set[str] = set()
    shared: set[str] = set()
    for name, _ in functions:
        (shared if name in seen else seen).add(name)
    return [name for name in names if name in shared]


def addresses_of(names: Iterable[str], module: str = "") -> dict[str, list[int]]:
    """Return where the functions of each name are, rising; those of one module ("vmlinux" for the kernel's own), or all."""
    from probee.kernel.symbols.kallsyms import Kallsyms

    wanted = "" if module == "vmlinux" else module
    found = {}
    for name, places in Kallsyms().functions_named(names).items():
        addresses = {address for address, where in places if address and (not module or where == wanted)}
        if addresses:
            found[name] = sorted(addresses)
    return found
