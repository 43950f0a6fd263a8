"""Did you mean: the known names that are closest to a misspelled one.

Edit distance with neighbouring letters swapped counting as one (Damerau's optimal string alignment), bounded: of 60,000
functions only those of about the same length and letters are compared at all.
"""

from __future__ import annotations

from collections.abc import Iterable


def closest(name: str, known: Iterable[str], limit: int = 3) -> tuple[str, ...]:
    """Return up to `limit` names within a third of `name`'s length in edits, closest first, then by name."""
    bound = max(1, len(name) // 3) if len(name) < 12 else 3
    shortest, longest, most = len(name) - bound, len(name) + bound, 2 * bound
    letters = set(name)
    differs = letters.symmetric_difference
    near: list[tuple[int, str]] = []
    for other in known:
        if shortest <= len(other) <= longest and len(differs(other)) <= most and other != name:
            # an edit changes at most two letters of the sets, and two of the counts
            if sum([abs(name.count(letter) - other.count(letter)) for letter in letters.union(other)]) > most:
                continue
            edits = distance(name, other)
            if edits <= bound:
                near.append((edits, other))
    return tuple(other for _, other in sorted(set(near))[:limit])


def distance(one: str, two: str) -> int:
    """Return the number of edits between two names.

    A column of the table of distances is kept as bits, +1 and -1 steps (H. Hyyrö, "A bit-vector algorithm for computing
    Levenshtein and Damerau edit distances", 2003): a handful of operations per letter of `two`.
    """
    if not one:
        return len(two)
    places: dict[str, int] = {}
    for i, letter in enumerate(one):
        places[letter] = places.get(letter, 0) | 1 << i
    full, last = (1 << len(one)) - 1, 1 << len(one) - 1
    up, down, zero, before, edits = full, 0, 0, 0, len(one)
    for letter in two:
        here = places.get(letter, 0)
        swapped = ((~zero & here) << 1) & before
        zero = (((here & up) + up) ^ up | here | down | swapped) & full
        rising = (down | ~(zero | up)) & full
        falling = zero & up
        edits += bool(rising & last) - bool(falling & last)
        rising = rising << 1 | 1
        up = (falling << 1 | ~(zero | rising)) & full
        down = rising & zero
        before = here
    return edits
