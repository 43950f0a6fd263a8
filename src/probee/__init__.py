"""probee: the eBPF toolkit in pure Python.  Public names are re-exported lazily from `probee.api`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from probee.api import compile, load, run
    from probee.errors import ProbeeError
    from probee.runtime.session import Session

__version__ = "0.1.0"
__all__ = ["ProbeeError", "Session", "__version__", "compile", "load", "run"]


def __getattr__(name: str) -> object:
    if name == "ProbeeError":
        from probee.errors import ProbeeError

        return ProbeeError
    if name in __all__:
        from probee import api

        found: object = getattr(api, name)
        return found
    raise AttributeError(f"module 'probee' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
