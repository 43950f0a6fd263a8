"""`probee --info`: what this machine, this build and the running kernel can do, in bpftrace's words where it has some."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# bpftrace's word → our feature
_HELPERS = (
    ("probe_read_kernel", "probe_read_kernel"), ("jiffies64", "jiffies64"), ("get_tai_ns", "ktime_get_tai_ns"),
    ("get_ktime_ns", "ktime_get_tai_ns"), ("get_func_ip", "get_func_ip"), ("lookup_percpu_elem", "map_lookup_percpu_elem"),
    ("send_signal", "send_signal"), ("loop", "bpf_loop"), ("Loop support", "bpf_loop"),
)  # fmt: skip
_PROBES = (("kprobe_multi", "kprobe_multi"), ("kprobe_session", "kprobe_session"), ("uprobe_multi", "uprobe_multi"))
# What bpftrace may be built with and we do not have yet.
_BUILD = (
    "libdw (DWARF support)", "libsystemd (systemd notify support)", "blazesym (advanced symbolization)",
    "dwunwind (DWARF stack unwinding)", "bcc library path resolution",
)  # fmt: skip
_MISSING_HELPERS = ("dpath", "skboutput")
_MISSING_PROBES = ("fentry", "iter")


def report() -> str:
    """Return the report, sections separated by blank lines."""
    sections = [_system(), _build(), _features()]
    return "\n\n".join(sections) + "\n"


def _system() -> str:
    system = os.uname()
    return f"System\n  OS: {system.sysname} {system.release} {system.version}\n  Arch: {system.machine}"


def _build() -> str:
    from probee import __version__

    lines = "".join([f"\n  {name}: no" for name in _BUILD])
    return f"Build\n  version: v{__version__}\n  LLVM: none{lines}"


def _features() -> str:
    from probee.kernel.features.feature import describe, has

    def lines(pairs: tuple[tuple[str, str], ...], ask: Callable[[str], bool]) -> str:
        return "".join([f"\n  {name}: {'yes' if ask(feature) else 'no'}" for name, feature in pairs])

    missing = "".join([f"\n  {name}: no" for name in _MISSING_HELPERS])
    btf = os.path.exists("/sys/kernel/btf/vmlinux")
    modules = btf and len(os.listdir("/sys/kernel/btf")) > 1
    probes = "".join([f"\n  {name}: no" for name in _MISSING_PROBES])
    all_features = "".join([f"\n  {name}: {'yes' if found else f'no (Linux {since})'}" for name, found, since in describe()])
    return (
        f"Kernel helpers{lines(_HELPERS, has)}{missing}\n\n"
        f"Kernel features\n  btf: {_word(btf)}\n  module btf: {_word(modules)}\n\n"
        f"Probe types{lines(_PROBES, has)}{probes}\n\n"
        f"All features, with the first Linux version that has them{all_features}"
    )


def _word(answer: bool) -> str:
    return "yes" if answer else "no"
