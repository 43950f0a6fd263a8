"""class BPF: bcc's face to a program, put together of its parts.

    b = BPF(text='int kprobe__do_nanosleep(void *ctx) { bpf_trace_printk("sleep\\\\n"); return 0; }')
    b.trace_print()

Made, it is compiled and has its maps; functions that say by their names where they belong (kprobe__, kretprobe__, tracepoint__,
raw_tracepoint__, kfunc__, kretfunc__, lsm__) are loaded and attached at once, others when an attach_ or load_func asks.
"""

from __future__ import annotations

import os
import sys

from probee.bcc import feature, listing, symbol
from probee.bcc.compiled import compiled
from probee.bcc.constant import DEBUG_PREPROCESSOR, DEBUG_SOURCE, Numbers
from probee.bcc.core import Function
from probee.bcc.error import BccError
from probee.bcc.eventprobe import EventProbes
from probee.bcc.kernelprobe import KernelProbes
from probee.bcc.network import NetworkProbes
from probee.bcc.tracepipe import TracePipe
from probee.bcc.userprobe import UserProbes
from probee.bcc.utils import as_bytes, as_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from probee.bcc.usdt import USDT
    from probee.model.usdt import UsdtPlace

_HEADERS = {
    "linux/time.h": ("time",), "linux/fs.h": ("fs", "file"), "linux/blkdev.h": ("bio", "request"), "linux/slab.h": ("alloc",),
    "linux/netdevice.h": ("sk_buff", "net_device"),
}  # fmt: skip


class BPF(KernelProbes, UserProbes, EventProbes, NetworkProbes, TracePipe, Numbers):
    """A C program in the kernel.

    `text` is its C, or `src_file` the file that has it; `cflags` are -D, -U, -I and others that mean nothing here;
    `usdt_contexts` are USDT objects whose probes are enabled.  `allow_rlimit` and `hdr_file` are accepted: limits are lifted
    when they are in the way, and headers are found by #include.  `device` names a network device that holds the maps, for
    functions that load_func offloads to it.
    """

    def __init__(  # noqa: PLR0917  bcc's order
        self, src_file: bytes | str = b"", hdr_file: bytes | str = b"", text: bytes | str | None = None, debug: int = 0,
        cflags: Sequence[bytes | str] = (), usdt_contexts: Sequence[USDT] = (), allow_rlimit: bool = True,
        device: bytes | str | None = None, attach_usdt_ignore_pid: bool = False,
    ) -> None:  # fmt: skip
        assert not (text and src_file)
        name = "/virtual/main.c"
        if src_file:
            name = as_text(self._find_file(src_file))
            with open(name, "rb") as file:
                text = file.read()
        source = as_text(text)
        if debug & (DEBUG_PREPROCESSOR | DEBUG_SOURCE):
            show_text(source)
        places: dict[str, Sequence[UsdtPlace]] = {}
        identities = []
        for context in usdt_contexts:
            places.update(context.enabled_places())
            identities.append(context.identity())
        flags = [as_text(flag) for flag in cflags]
        spec = compiled(source, name=name, cflags=flags, usdt=places, identity=";".join(identities))
        super().__init__(spec, debug=debug, device=as_text(device))
        try:
            for context in usdt_contexts:
                context.attach_uprobes(self, attach_usdt_ignore_pid)
            self._trace_autoload()
        except BaseException:
            self.cleanup()  # programs try another text then
            raise

    def _trace_autoload(self) -> None:
        """Attach the functions that say by their names where they belong."""
        for text in self.module_of().programs:
            name = text.encode()
            prefix, _, where = text.partition("__")
            if prefix == "kprobe":
                self.attach_kprobe(event=self.fix_syscall_fnname(where), fn_name=name)
            elif prefix == "kretprobe":
                self.attach_kretprobe(event=self.fix_syscall_fnname(where), fn_name=name)
            elif prefix == "tracepoint":
                self.attach_tracepoint(tp=where.replace("__", ":"), fn_name=name)
            elif prefix == "raw_tracepoint":
                self.attach_raw_tracepoint(tp=where, fn_name=name)
            elif prefix == "kfunc":
                self.attach_kfunc(fn_name=name)
            elif prefix == "kretfunc":
                self.attach_kretfunc(fn_name=name)
            elif prefix == "lsm":
                self.attach_lsm(fn_name=name)

    @staticmethod
    def _find_file(filename: bytes | str) -> bytes:
        """Return the path of a file here or in the directory of the program that runs."""
        name = as_bytes(filename)
        beside = os.path.join(os.fsencode(os.path.abspath(os.path.dirname(sys.argv[0]))), name)
        for path in (name, beside):
            if os.path.isfile(path):
                return path
        raise BccError(f"Could not find file {name!r}")

    Function = Function

    @staticmethod
    def Table(*words: Any, **more: Any) -> Any:
        """The old place of bcc.table.Table."""
        from probee.bcc.table import Table

        return Table(*words, **more)

    # -- what is known without a program

    get_kprobe_functions = staticmethod(listing.get_kprobe_functions)
    get_tracepoints = staticmethod(listing.get_tracepoints)
    tracepoint_exists = staticmethod(listing.tracepoint_exists)
    get_user_functions = staticmethod(listing.get_user_functions)
    get_user_addresses = staticmethod(listing.get_user_addresses)
    get_user_functions_and_addresses = staticmethod(listing.get_user_functions_and_addresses)
    find_exe = staticmethod(listing.find_exe)
    find_library = staticmethod(listing.find_library)

    sym = staticmethod(symbol.sym)
    ksym = staticmethod(symbol.ksym)
    ksymname = staticmethod(symbol.ksymname)
    add_module = staticmethod(symbol.add_module)

    kernel_struct_has_field = staticmethod(feature.kernel_struct_has_field)
    kernel_enum_has_val = staticmethod(feature.kernel_enum_has_val)
    support_kfunc = staticmethod(feature.support_kfunc)
    support_lsm = staticmethod(feature.support_lsm)
    support_fmod_ret = staticmethod(feature.support_fmod_ret)
    support_raw_tracepoint = staticmethod(feature.support_raw_tracepoint)
    support_raw_tracepoint_in_module = staticmethod(feature.support_raw_tracepoint_in_module)

    @staticmethod
    def _sym_cache(pid: int) -> symbol.SymbolCache:
        return symbol._cache(pid)

    @classmethod
    def monotonic_time(cls) -> float:
        """Return the monotonic clock's nanoseconds, which bpf_ktime_get_ns() counts, too."""
        import time

        return float(time.clock_gettime_ns(time.CLOCK_MONOTONIC))

    @classmethod
    def generate_auto_includes(cls, program_words: Iterable[str]) -> str:
        """Return #include lines for some types whose names are in the words of a program."""
        words = list(program_words)
        wanted = [header for header, keys in _HEADERS.items() if any(key in word for key in keys for word in words)]
        return "".join([f"#include <{header}>\n" for header in wanted])


def show_text(source: str) -> None:
    """Write the C that is compiled to standard error, with the numbers of its lines."""
    for number, line in enumerate(source.splitlines(), 1):
        sys.stderr.write(f"{number:5d}  {line}\n")
