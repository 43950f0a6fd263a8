"""What can be attached to, as bcc lists it: kernel functions and tracepoints by pattern, functions of programs, and files.

Patterns are regular expressions on bytes.
"""

from __future__ import annotations

import os

from probee.bcc.error import BccError
from probee.bcc.utils import as_bytes, as_text
from probee.errors import ProbeeError
from probee.kernel.syscalls.tracefs import tracefs_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from probee.kernel.symbols.module import Module

DEBUGFS = "/sys/kernel/debug"
TRACEFS = f"{DEBUGFS}/tracing" if os.path.exists(f"{DEBUGFS}/tracing") else "/sys/kernel/tracing"

# Kernel functions that bcc leaves out: parts of others, and what tracing itself runs on
_LEFT_OUT = rb"_kbl_addr_|__perf|perf_|__SCT__|.*\.cold(\.\d+)?$"
_known: dict[str, frozenset[bytes]] = {}  # names, by the modules that were loaded


def get_kprobe_functions(event_re: bytes | str) -> set[bytes]:
    """Return the kernel functions whose whole names match and that can be probed."""
    import re

    pattern = as_bytes(event_re)
    names, left_out = _traceable_names(), re.compile(_LEFT_OUT).match
    if re.fullmatch(rb"\w+", pattern):
        return {pattern} if pattern in names and not left_out(pattern) else set()
    matches = re.compile(pattern).fullmatch
    return {name for name in names if matches(name) and not left_out(name)}


def _traceable_names() -> frozenset[bytes]:
    """Return the functions that kprobes can sit on, which are read once for the modules that are loaded."""
    from probee.kernel.answer import loaded_modules
    from probee.kernel.symbols.kallsyms import Kallsyms
    from probee.kernel.traceable import split_lines, traceable_lines

    modules = loaded_modules()
    if modules not in _known:
        _known.clear()
        lines = traceable_lines(tracefs_root(), Kallsyms())
        _known[modules] = frozenset(name.encode() for name, _ in split_lines(lines))
    return _known[modules]


def get_tracepoints(tp_re: bytes | str) -> list[bytes]:
    """Return the tracepoints, category:event, that begin with a match."""
    import re

    pattern = re.compile(as_text(tp_re))
    events = f"{tracefs_root() or TRACEFS}/events"
    found = []
    for category in sorted(os.listdir(events)):
        if os.path.isdir(f"{events}/{category}"):
            names = (f"{category}:{event.name}" for event in os.scandir(f"{events}/{category}") if event.is_dir())
            found += [name.encode() for name in sorted(names) if pattern.match(name)]
    return found


def tracepoint_exists(category: bytes | str, event: bytes | str) -> bool:
    """Return whether there is such a tracepoint."""
    return os.path.isdir(f"{tracefs_root() or TRACEFS}/events/{as_text(category)}/{as_text(event)}")


# -- programs and libraries


def find_exe(bin_path: bytes | str) -> bytes | None:
    """Return the path of a program, looked for in PATH's directories when it has no slash; None when there is none."""
    name = as_text(bin_path)
    places = [name] if "/" in name else [f"{place.strip(chr(34))}/{name}" for place in os.environ.get("PATH", "").split(":")]
    return next((place.encode() for place in places if os.path.isfile(place) and os.access(place, os.X_OK)), None)


def find_library(libname: bytes | str, pid: int = 0) -> bytes | None:
    """Return the path of a library ("c" is libc) of a process, or that the dynamic linker would load; None without one."""
    from probee.kernel.symbols.binary import find_library as find

    found = find(as_text(libname), max(pid, 0))
    return os.fsencode(found) if found else None


def find_file(name: str, pid: int = -1) -> str:
    """Return the path that a probe's `name` means: a path, a library's name without "lib", a program in PATH; "" for none.

    A path is looked for as process `pid` sees it first: it may live in a mount namespace of its own.
    """
    if "/" in name:
        from probee.kernel.symbols.maps import root

        prefix = root(pid) if pid > 0 and name.startswith("/") else ""
        return next((path for path in dict.fromkeys((f"{prefix}{name}", name)) if os.path.exists(path)), "")
    return os.fsdecode(find_library(name, max(pid, 0)) or find_exe(name) or b"")


def open_file(name: bytes | str, pid: int = -1) -> Module | None:
    """Return the symbols of what `find_file` finds; None when there is no such file, or no ELF in it."""
    from probee.kernel.symbols.module import open_module

    path = find_file(as_text(name), pid)
    try:
        return open_module(path) if path else None
    except ProbeeError:
        return None


def get_user_functions_and_addresses(name: bytes | str, sym_re: bytes | str) -> list[tuple[bytes, int]]:
    """Return (name, address) of a file's functions that begin with a match; addresses are the linker's."""
    import re

    matches = re.compile(as_bytes(sym_re)).match
    module = open_file(name)
    if module is None:
        raise BccError(f"Error -1 enumerating symbols in {as_bytes(name)!r}")
    names = [function for function in module.function_names() if matches(function.encode())]
    known = module.find_many(names)
    pairs = [(text, symbol.address) for text in names for symbol in known.get(text, ()) if symbol.is_function]
    return [(text.encode(), address) for text, address in dict.fromkeys(pairs)]


def get_user_functions(name: bytes | str, sym_re: bytes | str) -> set[bytes]:
    """Return the names of a file's functions that begin with a match."""
    return {function for function, _ in get_user_functions_and_addresses(name, sym_re)}


def get_user_addresses(name: bytes | str, sym_re: bytes | str) -> set[int]:
    """Return the addresses of a file's functions that begin with a match: several names may have one address."""
    return {address for _, address in get_user_functions_and_addresses(name, sym_re)}
