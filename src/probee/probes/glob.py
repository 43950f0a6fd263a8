"""Wildcards: `*` stands for any text, every other character for itself.

That is bpftrace's whole wildcard language; brackets mark a name as a pattern (probe.has_wildcard) and match themselves.
Written without `re`, whose import costs more than matching 60,000 names.
"""

from __future__ import annotations

from collections.abc import Callable


def compile_glob(pattern: str) -> Callable[[str], bool]:
    """Return a function that tells whether a whole name matches."""
    pieces = pattern.split("*")
    if len(pieces) == 1:
        return pattern.__eq__
    first, *middle, last = pieces
    middle = [piece for piece in middle if piece]
    if not middle:
        if not last:
            return lambda name: name.startswith(first)
        shortest = len(first) + len(last)
        return lambda name: len(name) >= shortest and name.startswith(first) and name.endswith(last)
    if not first and not last and len(middle) == 1:
        needle = middle[0]
        return lambda name: needle in name
    return lambda name: _match(name, first, middle, last)


def _match(name: str, first: str, middle: list[str], last: str) -> bool:
    """Match the pieces between wildcards one after the other, each as early as it can."""
    if not name.startswith(first):
        return False
    at = len(first)
    for piece in middle:
        found = name.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return len(name) - at >= len(last) and name.endswith(last)
