"""Symbols for printed addresses: the kernel's by kallsyms, user programs' by their files and what they had mapped."""

from __future__ import annotations

from probee.model.value import Frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from probee.kernel.symbols.stack import KernelResolver
    from probee.kernel.symbols.user import UserResolver


class SymbolTable:
    """One per session; both halves are made when they are first needed.

    `options` are the configuration's: cache_user_symbols (PER_PID, PER_PROGRAM or NONE) and cpp_demangle.
    """

    def __init__(self, options: Mapping[str, object] | None = None) -> None:
        self._options = options or {}
        self._kernel: KernelResolver | None = None
        self._user: UserResolver | None = None

    def kernel(self, address: int) -> Frame:
        if self._kernel is None:
            from probee.kernel.symbols.stack import KernelResolver

            self._kernel = KernelResolver()
        return self._kernel.frame(address)

    def user(self, pid: int, address: int) -> Frame:
        """Return what lies at an address of a process; a Frame without a symbol where nobody knows."""
        return self._users().frame(pid, address)

    def remember(self, pid: int) -> None:
        """Note what a process has mapped now: it may have gone when its addresses are printed."""
        self._users().remember(pid)

    def remember_program(self, path: str) -> None:
        """Note a program that is about to be probed, and what its processes have mapped."""
        self._users().remember_program(path)

    def _users(self) -> UserResolver:
        if self._user is None:
            from probee.kernel.symbols.user import UserResolver

            mode = str(self._options.get("cache_user_symbols") or "PER_PID")
            self._user = UserResolver(mode, demangles=bool(self._options.get("cpp_demangle", True)))
        return self._user

    def close(self) -> None:
        if self._user is not None:
            self._user.close()
