"""Whether what a compile read of the kernel is still true, asked cheaply: for the ObjectSpec cache.

Each question of Target.reads has the cheapest check that cannot be fooled: BTF by build id, tracepoint formats by their text.
What cannot change while a kernel runs (features, configuration) holds for the same boot; what only modules bring or take
(functions, symbols, BTF of modules) holds for the same boot with the same modules, which LiveTarget records as "modules".
Addresses are in no answer: they are late constants, resolved at every start.
"""

from __future__ import annotations

import os

from probee.kernel.btfcache import build_id
from probee.kernel.syscalls.tracefs import tracefs_root

_PER_BOOT = ("feature", "kconfig")
_PER_MODULES = ("functions", "modules-with", "modules-naming", "btf-modules", "symbol")


def boot_id() -> str:
    """Return the running kernel's boot id, "" when it does not tell."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb", buffering=0) as file:
            return file.read(64).decode("ascii").strip()
    except OSError:
        return ""


def still_holds(reads: dict[str, str], boot: str) -> bool:
    """Say whether every answer is still what the running kernel would give; unknown questions do not hold."""
    same_boot = bool(boot) and boot == boot_id()
    if not same_boot and any(question.partition(":")[0] in (*_PER_BOOT, *_PER_MODULES) for question in reads):
        return False
    return all(_holds(question, answer, same_boot=same_boot) for question, answer in reads.items())


def _holds(question: str, answer: str, *, same_boot: bool) -> bool:
    kind, _, rest = question.partition(":")
    if kind in _PER_BOOT or kind in _PER_MODULES:
        return same_boot
    if kind == "modules":
        return loaded_modules() == answer
    if kind == "btf":
        return _btf(rest, answer)
    if kind in ("file", "directory"):
        return _on_disk(kind, rest) == answer
    if kind == "binary":
        return _binary(rest) == answer
    if kind == "stat":
        return _identity(rest) == answer
    if kind == "tracepoint":
        return _tracepoint(rest) == answer
    return kind == "tracepoints" and _digest(_read(f"{tracefs_root()}/available_events")) == answer


def loaded_modules() -> str:
    """Return a digest of the names of the loaded modules, in the order of /proc/modules."""
    names = [line.partition(b" ")[0] for line in _read("/proc/modules").splitlines()]
    return _digest(b"\n".join(names))


def _btf(module: str, answer: str) -> bool:
    if not answer:
        return not os.path.exists(f"/sys/kernel/btf/{module}")
    return build_id(module) == answer


def _on_disk(kind: str, path: str) -> str:
    """Return what a compile notes of a file or directory that a script imports; "" if it is not there."""
    try:
        if kind == "directory":
            return ",".join(sorted(os.listdir(path)))
        return _digest(_read(path)) if os.path.exists(path) else ""
    except OSError:
        return ""


def _binary(rest: str) -> str:
    from probee.kernel.executable import identities

    pid, _, name = rest.partition(":")
    return identities(name, int(pid))


def _identity(path: str) -> str:
    from probee.kernel.executable import identity

    return identity(path)


def _tracepoint(name: str) -> str:
    category, _, event = name.partition(":")
    text = _read(f"{tracefs_root()}/events/{category}/{event}/format")
    return _digest(text) if text else ""


def _read(path: str) -> bytes:
    """Return a pseudo-file's contents, b"" when it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            pieces = []
            while piece := file.read(1 << 16):
                pieces.append(piece)
            return b"".join(pieces)
    except OSError:
        return b""


def _digest(data: bytes) -> str:
    """The digest of formats/target_image.py, without hashlib, which would load OpenSSL."""
    from _blake2 import blake2b

    return str(blake2b(data, digest_size=16).hexdigest())
