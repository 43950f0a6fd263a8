"""Attaching to programs: uprobes and uretprobes by symbol, pattern or address, and USDT probes by their places."""

from __future__ import annotations

import os

from probee.bcc.constant import BPFProgType
from probee.bcc.core import Core
from probee.bcc.error import BccError, because
from probee.bcc.listing import get_user_addresses, open_file
from probee.bcc.utils import as_bytes, as_text
from probee.errors import ProbeeError
from probee.model.spec import LinkSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Name = bytes | str


class UserProbes(Core):
    """The part of BPF that attaches to programs."""

    def attach_uprobe(
        self, name: Name = b"", sym: Name = b"", sym_re: Name = b"", addr: int | None = None, fn_name: Name = b"",
        pid: int = -1, sym_off: int = 0,
    ) -> Any:  # fmt: skip
        """Run a function when a program gets to a symbol (`sym_off` bytes into it) or address, in one process or all.

        `name` is a path, a library's name without "lib", or a program in PATH; `addr` is as the linker counts.
        """
        assert sym_off >= 0
        assert addr is None or sym_off == 0, "offset with addr is not supported"
        return self._attach_uprobe("uprobe", name, (sym, sym_re, addr, sym_off), as_bytes(fn_name), pid)

    def attach_uretprobe(
        self, name: Name = b"", sym: Name = b"", sym_re: Name = b"", addr: int | None = None, fn_name: Name = b"", pid: int = -1
    ) -> Any:
        """Run a function when a program's function returns; see attach_uprobe."""
        return self._attach_uprobe("uretprobe", name, (sym, sym_re, addr, 0), as_bytes(fn_name), pid)

    def _attach_uprobe(
        self, kind: str, name: Name, where: tuple[Name, Name, int | None, int], function_name: bytes, pid: int
    ) -> UserProbes | None:
        sym, sym_re, addr, sym_off = where
        if sym_re:
            addresses = get_user_addresses(name, sym_re)
            self._check_probe_quota(len(addresses))
            for address in sorted(addresses):
                self._attach_uprobe(kind, name, (b"", b"", address, 0), function_name, pid)
            return None
        path, offset = self._check_path_symbol(name, sym, addr, pid, sym_off)
        self.attach_place(kind, path, offset, function_name, pid)
        return self

    def attach_place(
        self, kind: str, path: bytes, offset: int, function_name: bytes, pid: int = -1, *, semaphore: int = 0
    ) -> None:
        """Attach a function to a byte of a file, one of a USDT probe perhaps, whose semaphore then counts."""
        from probee.kernel.links.attach import attach

        self._check_probe_quota(1)
        function = self.load_func(function_name, BPFProgType.KPROBE)
        parameters: dict[str, int | str | list[int] | list[str]] = {
            "path": os.fsdecode(path), "offsets": [offset], "semaphores": [semaphore], "pid": max(pid, 0),
        }  # fmt: skip
        probe = f"{kind}:{as_text(path)}:{offset:#x}"
        try:
            link = attach(LinkSpec(kind, as_text(function_name), probe, parameters), self.program_of(function))
        except ProbeeError as error:
            raise because(f"Failed to attach BPF to {'uretprobe' if kind == 'uretprobe' else 'uprobe'}", error) from None
        event = self._get_uprobe_evname(b"r" if kind == "uretprobe" else b"p", path, offset, pid)
        self.uprobe_fds[event] = self.keep(link, "uprobe", event)

    def usdt_programs(self, function: str, count: int) -> list[bytes]:
        """Return the program for each place of a function's USDT probes: one each for places whose arguments lie elsewhere."""
        numbers = str(self.module_of().spec.options.get(f"usdt {function}", "0 " * count)).split()
        return [(function if number == "0" else f"{function}__usdt{number}").encode() for number in numbers]

    def _get_uprobe_evname(self, prefix: bytes, path: bytes, addr: int, pid: int) -> bytes:
        """Return the key of an event in uprobe_fds."""
        name = os.path.basename(path).decode("latin-1")
        file = "".join([char if char.isascii() and char.isalnum() else "_" for char in name]).encode()
        return b"%s_%s_0x%x" % (prefix, file, addr) + (b"_%d" % pid if pid != -1 else b"")

    @classmethod
    def _check_path_symbol(cls, module: Name, symname: Name, addr: int | None, pid: int, sym_off: int = 0) -> tuple[bytes, int]:
        """Return (path, offset in the file) of a symbol, or of an address of the linker's."""
        file = open_file(module, pid)
        offset = None
        if file is not None and symname:
            symbol = next(iter(file.find(as_text(symname))), None)
            offset = file.file.file_offset(symbol.address) if symbol is not None else None
        elif file is not None:
            offset = file.file.file_offset(addr or 0)
        if file is None or offset is None:
            raise BccError(f"could not determine address of symbol {as_text(symname)} in {as_text(module)}")
        return os.fsencode(f"{file.prefix}{file.path}"), offset + sym_off

    def detach_uprobe(
        self, name: Name = b"", sym: Name = b"", addr: int | None = None, pid: int = -1, sym_off: int = 0
    ) -> None:
        """Detach from a symbol or address."""
        path, offset = self._check_path_symbol(name, sym, addr, pid, sym_off)
        self.detach_uprobe_event(self._get_uprobe_evname(b"p", path, offset, pid))

    def detach_uretprobe(self, name: Name = b"", sym: Name = b"", addr: int | None = None, pid: int = -1) -> None:
        """Detach from the return of a function."""
        path, offset = self._check_path_symbol(name, sym, addr, pid)
        self.detach_uprobe_event(self._get_uprobe_evname(b"r", path, offset, pid))

    def detach_uprobe_event(self, ev_name: bytes) -> None:
        """Detach from an event, by its name in uprobe_fds."""
        if ev_name not in self.uprobe_fds:
            raise BccError(f"Uprobe {ev_name!r} is not attached")
        del self.uprobe_fds[ev_name]
        self.drop("uprobe", ev_name)

    def num_open_uprobes(self) -> int:
        """Return how many places of programs are probed."""
        return len(self.uprobe_fds)
