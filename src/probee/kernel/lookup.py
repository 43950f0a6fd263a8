"""What loading and attaching may have to look up in the running kernel: lists of functions, BTF ids.  Read only when asked."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from probee.kernel.programs.btf_id import BtfFinder
    from probee.kernel.target import LiveTarget


class KernelLookup:
    """Gives a Session its `functions` and `find_btf`; a context manager, since BTF of modules is held open."""

    def __init__(self) -> None:
        self._target: LiveTarget | None = None
        self._finder: BtfFinder | None = None

    def target(self) -> LiveTarget:
        if self._target is None:
            from probee.kernel.target import LiveTarget

            self._target = LiveTarget()
        return self._target

    def functions(self) -> Iterable[tuple[str, str]]:
        """Return (name, module or "") of every traceable function, more than once where several are called the same."""
        return self.target().every_function()

    def find_btf(self, kind: str, name: str) -> tuple[int, int]:
        """Return (type id, descriptor of its module's BTF or 0); see BtfFinder."""
        if self._finder is None:
            from probee.kernel.programs.btf_id import BtfFinder

            self._finder = BtfFinder(self.target())
        return self._finder(kind, name)

    def close(self) -> None:
        if self._finder is not None:
            self._finder.close()

    def __enter__(self) -> KernelLookup:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
