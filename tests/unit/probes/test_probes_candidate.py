"""What a misspelled name is compared with, and how far names are from each other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from probee.probes.candidate import closest, distance


def plain(one: str, two: str) -> int:
    """The definition: a table of distances between all beginnings, neighbours swapped counting as one edit."""
    table = [[i + j if i * j == 0 else 0 for j in range(len(two) + 1)] for i in range(len(one) + 1)]
    for i in range(1, len(one) + 1):
        for j in range(1, len(two) + 1):
            differ = one[i - 1] != two[j - 1]
            table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + differ)
            if i > 1 and j > 1 and one[i - 1] == two[j - 2] and one[i - 2] == two[j - 1]:
                table[i][j] = min(table[i][j], table[i - 2][j - 2] + 1)
    return table[-1][-1]


WORD = st.text("abc_", max_size=14)


@given(WORD, WORD)
def test_the_bits_count_what_the_table_counts(one, two):
    assert distance(one, two) == plain(one, two)


@given(st.text("vfsread_", min_size=3, max_size=10), st.lists(WORD | st.text("vfsread_", max_size=12), max_size=20))
def test_nothing_that_is_close_enough_is_left_out(name, known):
    bound = max(1, len(name) // 3)
    near = {other for other in known if other != name and plain(name, other) <= bound}
    assert set(closest(name, known, limit=100)) == near


def test_the_closest_come_first_then_by_name():
    assert closest("vfs_raed", ["vfs_write", "vfs_read", "vfs_readv", "vfs_reab"]) == ("vfs_read", "vfs_reab", "vfs_readv")


def test_nothing_close_is_nothing():
    assert closest("do_nanosleep", ["tcp_connect", "x", "do_nanosleep"]) == ()
