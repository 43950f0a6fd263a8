"""Who has the import name `bcc` for this Python: everything on its path that `import bcc` could find, the winner first."""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST = 1 << 16  # bytes that are read of a package to see whose it is


def installed(path: Sequence[str] | None = None) -> list[tuple[str, str]]:
    """Return (file or directory, "probee" or "another") of each `bcc` along sys.path, in the order of searching."""
    found: dict[str, str] = {}
    for entry in sys.path if path is None else path:
        spec = PathFinder.find_spec("bcc", [entry])
        if spec is None:
            continue
        where = spec.origin or next(iter(spec.submodule_search_locations or ()), entry)
        found.setdefault(where, "probee" if _is_ours(where) else "another")
    return list(found.items())


def _is_ours(file: str) -> bool:
    try:
        with open(file, "rb") as opened:
            return b"probee.bcc" in opened.read(LONGEST)
    except OSError:
        return False
