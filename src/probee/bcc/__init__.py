"""bcc's Python face over probee's compiler, loader and runtime: `from probee.bcc import BPF`.

Programs that say `from bcc import BPF` get it by `probee bcc PROGRAM.py`, or where the distribution probee-bcc provides that
name.  Names, signatures, defaults and messages are those of bcc 0.37; nothing is imported before it is asked for.
"""

from __future__ import annotations

from probee.bcc.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from probee.bcc.constant import (
        DEBUG_BPF,
        DEBUG_BPF_REGISTER_STATE,
        DEBUG_BTF,
        DEBUG_LLVM_IR,
        DEBUG_PREPROCESSOR,
        DEBUG_SOURCE,
        BPFAttachType,
        BPFProgType,
        PerfEventSampleFormat,
        PerfHWConfig,
        PerfSWConfig,
        PerfType,
        XDPAction,
        XDPFlags,
    )
    from probee.bcc.core import _get_num_open_probes
    from probee.bcc.libbcc import lib
    from probee.bcc.listing import DEBUGFS, TRACEFS
    from probee.bcc.perf import Perf
    from probee.bcc.program import BPF
    from probee.bcc.symbol import SymbolCache
    from probee.bcc.table import PerfEventArray, RingBuf, Table
    from probee.bcc.usdt import USDT, USDTException
    from probee.bcc.utils import ArgString, StrcmpRewrite, get_online_cpus, printb

__implementation__ = "probee"

_WHERE = {
    "constant": (
        "DEBUG_BPF", "DEBUG_BPF_REGISTER_STATE", "DEBUG_BTF", "DEBUG_LLVM_IR", "DEBUG_PREPROCESSOR", "DEBUG_SOURCE",
        "BPFAttachType", "BPFProgType", "PerfEventSampleFormat", "PerfHWConfig", "PerfSWConfig", "PerfType", "XDPAction",
        "XDPFlags",
    ),
    "core": ("_get_num_open_probes",),
    "libbcc": ("lib", "bcc_symbol", "bcc_symbol_option"),
    "listing": ("DEBUGFS", "TRACEFS"),
    "perf": ("Perf",),
    "program": ("BPF",),
    "symbol": ("SymbolCache",),
    "table": ("PerfEventArray", "RingBuf", "Table"),
    "usdt": ("USDT", "USDTException"),
    "utils": ("ArgString", "StrcmpRewrite", "get_online_cpus", "printb"),
}  # fmt: skip
# What bcc's own package imports: programs that say `from bcc import *` have it from there.
_IMPORTED = {
    "atexit": "atexit", "ct": "ctypes", "errno": "errno", "fcntl": "fcntl", "json": "json", "os": "os", "platform": "platform",
    "re": "re", "subprocess": "subprocess", "sys": "sys",
}  # fmt: skip
_MODULES = ("containers", "disassembler", "exec", "libbcc", "perf", "syscall", "table", "tcp", "usdt", "utils", "version")
_home = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [
    "BPF", "DEBUGFS", "DEBUG_BPF", "DEBUG_BPF_REGISTER_STATE", "DEBUG_BTF", "DEBUG_LLVM_IR", "DEBUG_PREPROCESSOR",
    "DEBUG_SOURCE", "TRACEFS", "USDT", "ArgString", "BPFAttachType", "BPFProgType", "Perf", "PerfEventArray",
    "PerfEventSampleFormat", "PerfHWConfig", "PerfSWConfig", "PerfType", "RingBuf", "StrcmpRewrite", "SymbolCache", "Table",
    "USDTException", "XDPAction", "XDPFlags", "__implementation__", "__version__", "_get_num_open_probes", "atexit", "ct",
    "errno", "fcntl", "get_online_cpus", "json", "lib", "os", "platform", "printb", "re", "subprocess", "sys",
]  # fmt: skip


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _home:
        found: object = getattr(import_module(f"probee.bcc.{_home[name]}"), name)
    elif name in _MODULES:
        return import_module(f"probee.bcc.{name}")
    elif name in _IMPORTED:
        return import_module(_IMPORTED[name])
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found
