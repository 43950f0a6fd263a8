"""Whether what a compile read of the kernel is still true, asked cheaply: for the ObjectSpec cache.

Each question of Target.reads has the cheapest check that cannot be fooled: BTF by build id, tracepoint formats by their text.
What cannot change while a kernel runs (features, configuration, which symbols of vmlinux there are) holds for the same boot.
Addresses are in no answer: they are late constants, resolved at every start.
"""

from __future__ import annotations

import os

from probee.kernel.btfcache import build_id
from probee.kernel.syscalls.tracefs import tracefs_root

_PER_BOOT = ("feature", "kconfig", "release", "possible-cpus")


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
    return all(_holds(question, answer, same_boot=same_boot) for question, answer in reads.items())


def _holds(question: str, answer: str, *, same_boot: bool) -> bool:
    kind, _, rest = question.partition(":")
    if kind in _PER_BOOT:
        return same_boot
    if kind == "btf":
        return _btf(rest, answer)
    if kind == "tracepoint":
        return _tracepoint(rest) == answer
    if kind == "symbol":  # a missing symbol was an error; one that went away is an error at load
        return answer == "1"
    return _by_asking(question, answer, same_boot=same_boot)


def _btf(module: str, answer: str) -> bool:
    if not answer:
        return not os.path.exists(f"/sys/kernel/btf/{module}")
    return build_id(module) == answer


def _tracepoint(name: str) -> str:
    from _blake2 import blake2b

    category, _, event = name.partition(":")
    try:
        with open(f"{tracefs_root()}/events/{category}/{event}/format", "rb", buffering=0) as file:
            data = file.read()
            while more := file.read():
                data += more
    except OSError:
        return ""
    return str(blake2b(data, digest_size=16).hexdigest())


def _by_asking(question: str, answer: str, *, same_boot: bool) -> bool:
    """The rest is asked of a Target anew: lists of functions, of modules, of tracepoints."""
    from probee.kernel.target import LiveTarget

    target = LiveTarget()
    kind, _, rest = question.partition(":")
    if kind == "functions":
        target.traceable_functions()
    elif kind == "tracepoints":
        target.tracepoints()
    elif kind == "modules-with":
        target.function(rest)
    elif kind == "btf-modules":
        target.raw_tracepoint("")
    return target.reads.get(question) == answer
