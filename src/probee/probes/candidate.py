"""Did you mean: the known names that are closest to a misspelled one.

Edit distance with neighbouring letters swapped counting as one (Damerau's optimal string alignment), bounded so that a
list of 60,000 functions takes well under a second: names of another length or without common letters are never compared.
"""

from __future__ import annotations

from collections.abc import Iterable


def closest(name: str, known: Iterable[str], limit: int = 3) -> tuple[str, ...]:
    """Return up to `limit` names within a third of `name`'s length in edits, closest first, then by name."""
    bound = max(1, len(name) // 3) if len(name) < 12 else 3
    letters = set(name)
    near: list[tuple[int, str]] = []
    for other in known:
        if abs(len(other) - len(name)) > bound or other == name:
            continue
        if len(letters.symmetric_difference(other)) > 2 * bound:  # an edit changes at most two letters of the sets
            continue
        edits = distance(name, other, bound)
        if edits <= bound:
            near.append((edits, other))
    return tuple(other for _, other in sorted(set(near))[:limit])


def distance(one: str, two: str, bound: int) -> int:
    """Return the number of edits between two names, or some number above `bound` when there are more."""
    before: list[int] = []
    row = list(range(len(two) + 1))
    for i, letter in enumerate(one, 1):
        before, last, row = row, before, [i]
        for j, other in enumerate(two, 1):
            best = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == two[j - 2] and one[i - 2] == other:
                best = min(best, last[j - 2] + 1)
            row.append(best)
        if min(row) > bound:
            return bound + 1
    return row[-1]
