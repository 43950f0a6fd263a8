"""`probee --info`: what this machine, this build and the running kernel can do.

Sections and names are bpftrace's, two to a line, so that what reads its report (its own test runner, bug reports) reads ours.
Every answer about the kernel is a probe of kernel/features; "no" under Build is what this version does not have.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

VERSION_OF_BPFTRACE = "0.27.0"  # the language that we speak is that of this version
_WIDTH = 35

# bpftrace's word → our feature
_HELPERS = (
    ("probe_read_kernel", "probe_read_kernel"), ("jiffies64", "jiffies64"), ("get_tai_ns", "ktime_get_tai_ns"),
    ("get_ktime_ns", "ktime_get_tai_ns"), ("get_func_ip", "get_func_ip"), ("lookup_percpu_elem", "map_lookup_percpu_elem"),
    ("send_signal", "send_signal"), ("loop", "bpf_loop"), ("Loop support", "bpf_loop"), ("dpath", "kfunc:bpf_d_path"),
    ("skboutput", "skb_output"),
)  # fmt: skip
_FEATURES = (("btf", "btf"), ("module btf", "module_btf"))
# bpftrace's word → our feature, and the provider that must be there to have a use for it
_PROBES = (
    ("kprobe_multi", "kprobe_multi", "kprobe"), ("uprobe_multi", "uprobe_multi", "uprobe"),
    ("kprobe_session", "kprobe_session", "kprobe"),
    ("fentry", "btf", "fentry"), ("iter", "btf", "iter"),
)  # fmt: skip
# What bpftrace may be built with: "no" is what we do not have (yet).
# By what others have them from; ours is pyelftools: debug information, and lines and inlined functions in stacks.
_DWARF, _SYMBOLS = "libdw (DWARF support)", "blazesym (advanced symbolization)"
_BUILD = (
    "bfd", _DWARF, "libsystemd (systemd notify support)", _SYMBOLS,
    "dwunwind (DWARF stack unwinding)", "bcc library path resolution",
)  # fmt: skip


def version(name: str) -> str:
    """Return what -V prints for the command `name`."""
    from probee import __version__

    return f"bpftrace v{VERSION_OF_BPFTRACE} (probee {__version__})" if name == "bpftrace" else f"probee v{__version__}"


def report(disabled: Iterable[str] = ()) -> str:
    """Return the report, sections separated by blank lines; `disabled` features (--no-feature) are not there."""
    from probee.kernel.features.feature import preload

    preload(dict.fromkeys(disabled, False))
    return "\n\n".join([_system(), _build(), *_features()]) + "\n"


def _system() -> str:
    system = os.uname()
    return f"System\n  OS: {system.sysname} {system.release} {system.version}\n  Arch: {system.machine}"


def _build() -> str:
    from probee import __version__

    with_dwarf = (_DWARF, _SYMBOLS) if reads_dwarf() else ()
    lines = "".join([f"\n  {name}: {'yes' if name in with_dwarf else 'no'}" for name in _BUILD])
    return f"Build\n  version: v{__version__}\n  LLVM: none{lines}"


def reads_dwarf() -> bool:
    """Return whether the library that reads DWARF (the extra `dwarf`) is installed."""
    from importlib.util import find_spec

    return find_spec("elftools") is not None


def _features() -> Iterable[str]:
    from probee.kernel.features.feature import describe

    limit = ("Instruction limit", _instruction_limit())
    yield _section("Kernel helpers", [(name, _answer(feature)) for name, feature in _HELPERS])
    yield _section("Kernel features", [limit, *((name, _answer(feature)) for name, feature in _FEATURES)])
    yield _section("Probe types", [(name, _probe_answer(feature, provider)) for name, feature, provider in _PROBES])
    every = [(name, "yes" if found else f"no (Linux {since})") for name, found, since in describe()]
    yield _section("All features, with the first Linux version that has them", every)


def _section(title: str, pairs: list[tuple[str, str]]) -> str:
    """Return a title and its `name: answer` pairs, two to a line."""
    cells = [f"{name}: {answer}" for name, answer in pairs]
    rows = [f"  {left}".ljust(_WIDTH) + right for left, right in zip(cells[::2], [*cells[1::2], ""], strict=False)]
    return "\n".join([title, *(row.rstrip() for row in rows)])


def _answer(feature: str) -> str:
    from probee.kernel.features.feature import has

    return "yes" if has(feature) else "no"


def _probe_answer(feature: str, provider: str) -> str:
    from probee.probes.provider import PROVIDERS

    return _answer(feature) if PROVIDERS[provider].attachable else "no"


def _instruction_limit() -> str:
    """A million for who may load any program (Linux 5.2, commit c04c0d2b968a), which the verifier itself enforces."""
    return "1000000"
