"""Symbols for printed addresses: the kernel's by kallsyms, user programs' where kernel/symbols can tell."""

from __future__ import annotations

from probee.model.value import Frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from probee.kernel.symbols.stack import KernelResolver


class SymbolTable:
    """One per session; both halves are made when they are first needed."""

    def __init__(self) -> None:
        self._kernel: KernelResolver | None = None

    def kernel(self, address: int) -> Frame:
        if self._kernel is None:
            from probee.kernel.symbols.stack import KernelResolver

            self._kernel = KernelResolver()
        return self._kernel.frame(address)

    def user(self, pid: int, address: int) -> Frame:
        """User programs have no symbols here yet: the frame has its address only."""
        return Frame(address)
