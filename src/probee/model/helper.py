"""Helper numbers to names and back (enum bpf_func_id), and how many registers each reads.

The table is read at the first question; importing this module costs nothing.
"""

from __future__ import annotations

_by_number: dict[int, tuple[str, int]] = {}
_by_name: dict[str, int] = {}


def _load() -> None:
    from probee.model._tables.helper import TEXT

    for line in TEXT.splitlines():
        number, name, n_args = line.split(" ")
        _by_number[int(number)] = name, int(n_args)
        _by_name[name] = int(number)


def helper_name(number: int) -> str | None:
    """Return the name of a helper without its `bpf_`, None if there is none of that number."""
    if not _by_number:
        _load()
    entry = _by_number.get(number)
    return entry[0] if entry else None


def helper_id(name: str) -> int | None:
    """Return the number of a helper by its name, with or without `bpf_`."""
    if not _by_name:
        _load()
    return _by_name.get(name.removeprefix("bpf_"))


def n_arguments(number: int) -> int:
    """Return how many of r1 to r5 a helper reads; 5 if it is unknown or takes a variable number."""
    if not _by_number:
        _load()
    entry = _by_number.get(number)
    return entry[1] if entry else 5


def helper_names() -> tuple[str, ...]:
    """Return the names of all helpers, without `bpf_`."""
    if not _by_name:
        _load()
    return tuple(_by_name)
