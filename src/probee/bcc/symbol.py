"""Symbols: addresses of the kernel and of processes to names, and back."""

from __future__ import annotations

import os

from probee.bcc.utils import as_text
from probee.errors import PermissionMissing, ProbeeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from probee.kernel.symbols.module import Module
    from probee.kernel.symbols.stack import KernelResolver
    from probee.kernel.symbols.user import UserResolver

    Place = tuple[bytes | None, int, bytes | None]

_kernel: list[KernelResolver] = []
_users: dict[bool, UserResolver] = {}  # by whether they read the names of C++
_caches: dict[int, SymbolCache] = {}
_by_build_id: dict[bytes, Module] = {}


def kernel_symbols() -> KernelResolver:
    """Return the resolver of the kernel's addresses; kallsyms is read at its first question."""
    if not _kernel:
        from probee.kernel.symbols.kallsyms import Kallsyms
        from probee.kernel.symbols.stack import KernelResolver

        _kernel.append(KernelResolver(Kallsyms()))
    return _kernel[0]


def _user_symbols(demangles: bool) -> UserResolver:
    if demangles not in _users:
        from probee.kernel.symbols.user import UserResolver

        _users[demangles] = UserResolver("PER_PID", demangles=demangles)
    return _users[demangles]


class SymbolCache:
    """Symbols of process `pid`, of the kernel for a negative one."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def resolve(self, addr: int, demangle: bool) -> Place:
        """Return (name, offset in it, module): of an address without a name (None, offset in the module, module), of one
        without a module (None, the address, None)."""
        if self.pid < 0:
            frame = kernel_symbols().frame(addr)
            module = frame.module or "kernel"
        else:
            frame = _user_symbols(bool(demangle)).frame(self.pid, addr)
            module = frame.module
        if frame.symbol:
            return frame.symbol.encode(), frame.offset, module.encode()
        if self.pid >= 0 and module:
            return None, frame.offset or addr, module.encode()
        return None, addr, None

    def resolve_name(self, module: bytes | str | None, name: bytes | str) -> int:
        """Return the address of a symbol, of a file that the process has mapped; -1 when there is none."""
        if self.pid >= 0:
            return self._in_process(as_text(module), as_text(name))
        try:
            found = kernel_symbols().kallsyms.address(as_text(name))
        except PermissionMissing:
            return -1
        return -1 if found is None else found

    def _in_process(self, path: str, name: str) -> int:
        from probee.kernel.symbols.maps import read_maps
        from probee.kernel.symbols.module import open_module

        try:
            file = open_module(path)
        except ProbeeError:
            return -1
        offsets = [file.file.file_offset(symbol.address) for symbol in file.find(name)]
        for mapping in read_maps(self.pid, executable_only=True) or []:
            for offset in offsets:
                if mapping.path == path and offset is not None:
                    at = mapping.start + offset - mapping.offset
                    if mapping.start <= at < mapping.end:
                        return at
        return -1


def sym(addr: Any, pid: int, show_module: bool = False, show_offset: bool = False, demangle: bool = True) -> bytes:
    """Return the name of an address of a process (of the kernel for a negative one), b"[unknown]" without one.

    With `show_offset` it has "+0x12" behind it, with `show_module` " [libc.so.6]".  Addresses by build id are structs.
    """
    if "bpf_stack_build_id" in type(addr).__name__:
        name, offset, module = _of_build_id(addr)
    else:
        name, offset, module = _cache(pid).resolve(addr, demangle)
    text = name or b"[unknown]"
    if show_offset and name is not None:
        text += b"+0x%x" % offset
    if show_module and module is not None:
        text += b" [%s]" % os.path.basename(module)
    return text


def ksym(addr: int, show_module: bool = False, show_offset: bool = False) -> bytes:
    """Return the name of a kernel address."""
    return sym(addr, -1, show_module, show_offset, False)


def ksymname(name: bytes | str) -> int:
    """Return the address of a kernel symbol, -1 when there is none."""
    return _cache(-1).resolve_name(None, name)


def has_ksym(name: str) -> bool:
    """Return whether the kernel has a symbol, even if it does not tell its address."""
    return kernel_symbols().kallsyms.has(name)


def _cache(pid: int) -> SymbolCache:
    pid = max(pid, -1)
    return _caches.setdefault(pid, SymbolCache(pid))


# -- by build id


def add_module(modname: str) -> None:
    """Let addresses by build id be resolved that are in this file."""
    from probee.kernel.symbols.module import open_module

    try:
        module = open_module(as_text(modname))
        build_id = module.file.build_id
    except ProbeeError as error:
        print(f"Error adding module to build sym cache {error}")
        return
    if build_id:
        _by_build_id[bytes.fromhex(build_id)] = module


def _of_build_id(place: Any) -> Place:
    wanted = bytes(place.build_id)
    module = next((known for id, known in _by_build_id.items() if wanted.startswith(id)), None)
    if module is None:
        return None, int(place.offset), None
    found = module.resolve(int(place.offset))
    path = os.fsencode(module.path)
    return (found[0].encode(), found[1], path) if found else (None, int(place.offset), path)
