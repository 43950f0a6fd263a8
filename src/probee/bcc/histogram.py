"""Histograms as bcc prints them: rows of a range, a count and stars; by power of two, by number, or as dictionaries.

A table is keyed by slot, or by a struct of which the first member makes histograms of their own ("sections") and the second
is the slot.
"""

from __future__ import annotations

import ctypes as ct

from probee.bcc.structure import is_hole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from probee.bcc.mapping import TableBase

STARS = 40
LOG2_SLOTS = 65
LINEAR_SLOTS = 1025
_WIDE_FROM = 33  # slots whose numbers need more than ten digits


def print_log2(
    table: TableBase, val_type: str, header: str, section_print_fn: Any, bucket_fn: Any, strip: Any, sort: Any
) -> None:
    """Print the histogram of a table, or one for each section."""
    _print(table, LOG2_SLOTS, (header, section_print_fn, bucket_fn, sort), lambda values: _log2(values, val_type, strip))


def print_linear(
    table: TableBase, val_type: str, header: str, section_print_fn: Any, bucket_fn: Any, strip: Any, sort: Any
) -> None:
    """Print the histogram of a table, or one for each section."""
    _print(table, LINEAR_SLOTS, (header, section_print_fn, bucket_fn, sort), lambda values: _linear(values, val_type, strip))


def print_json(table: TableBase, val_type: str, header: str, section_print_fn: Any, bucket_fn: Any, sort: Any) -> None:
    """Print a dictionary for a table, or for each section."""
    if not _has_sections(table):
        print(json_histogram(_slots(table, LOG2_SLOTS), val_type))
        return
    for section, values in _sections(table, LOG2_SLOTS, bucket_fn, sort):
        shown = section_print_fn(section) if section_print_fn else section
        print(json_histogram(values, val_type, (header, shown)))


def _print(table: TableBase, size: int, how: tuple[str, Any, Any, Any], show: Callable[[list[int]], None]) -> None:
    header, section_print_fn, bucket_fn, sort = how
    if not _has_sections(table):
        show(_slots(table, size))
        return
    for section, values in _sections(table, size, bucket_fn, sort):
        print(f"\n{header} = {section_print_fn(section) if section_print_fn else repr(section)}")
        show(values)


# -- what is in the table


def _has_sections(table: TableBase) -> bool:
    return issubclass(table.Key, ct.Structure)


def _slots(table: TableBase, size: int) -> list[int]:
    values = [0] * size
    for key, leaf in table.items():
        _put(values, key.value, leaf.value, size)
    return values


def _put(values: list[int], slot: int, count: int, size: int) -> None:
    if slot >= size:
        where = "print_linear_hist" if size == LINEAR_SLOTS else "print_log2_hist"
        raise IndexError(f"Index in {where}() of {slot} exceeds max of {size}.")
    values[slot] = count


def _sections(table: TableBase, size: int, bucket_fn: Any, sort: Any) -> Iterator[tuple[Any, list[int]]]:
    names = [row[0] for row in table.Key._fields_ if not is_hole(row[0])]
    found: dict[Any, list[int]] = {}
    for key, leaf in table.items():
        section = getattr(key, names[0])
        if bucket_fn:
            section = bucket_fn(section)
        _put(found.setdefault(section, [0] * size), getattr(key, names[1]), leaf.value, size)
    order = list(found)
    for section in sort(order) if sort else order:
        yield section, found[section]


# -- how it is shown


def _log2(values: list[int], val_type: str, strip: Any) -> None:
    last = _last_used(values)
    wide = last >= _WIDE_FROM
    stars = STARS // 2 if wide else STARS
    if last > 0:
        print(f"{' ' * 15}{val_type:<29} : count     distribution" if wide else f"     {val_type:<19} : count     distribution")
    largest = max(values)
    for slot in _shown(values, 1, last, strip):
        low, high = 1 << slot >> 1, (1 << slot) - 1
        low -= low == high
        span = f"{low:20d} -> {high:<20d}" if wide else f"{low:10d} -> {high:<10d}"
        print(f"{span} : {values[slot]:<8d} |{_bar(values[slot], largest, stars):<{stars}}|")


def _linear(values: list[int], val_type: str, strip: Any) -> None:
    last = _last_used(values)
    if last >= 0:
        print(f"     {val_type:<13} : count     distribution")
    largest = max(values)
    for slot in _shown(values, 0, last, strip):
        print(f"        {slot:<10d} : {values[slot]:<8d} |{_bar(values[slot], largest, STARS):<{STARS}}|")


def _last_used(values: list[int]) -> int:
    return max((slot for slot, count in enumerate(values) if count > 0), default=-1)


def _shown(values: list[int], first: int, last: int, strip: Any) -> range:
    """Return the slots to show: from the first one that is not empty when leading zeros are stripped."""
    if strip:
        first = next((slot for slot in range(first, last + 1) if values[slot]), last + 1)
    return range(first, last + 1)


def _bar(value: int, largest: int, width: int) -> str:
    """Return as many whole stars as the value's share of the width."""
    return "*" * min(width * value // largest, width) if largest else ""


def json_histogram(values: list[int], val_type: str, section: tuple[str, Any] | None = None) -> dict[str, Any]:
    """Return what print_json_hist prints."""
    from time import strftime

    rows = []
    for slot in range(1, _last_used(values) + 1):
        low, high = (1 << slot - 1 if slot > 1 else 0), (1 << slot) - 1
        rows.append({"interval-start": low, "interval-end": high, "count": values[slot]})
    found: dict[str, Any] = {"ts": strftime("%Y-%m-%d %H:%M:%S"), "val_type": val_type, "data": rows}
    if section:
        found[section[0]] = section[1]
    return found
