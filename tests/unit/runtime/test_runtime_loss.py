"""Loss accounting over a counter map in ordinary memory."""

from __future__ import annotations

from struct import pack

import pytest

from probee.model.loss import Loss
from probee.runtime.loss import LossReader


class Counters:
    """The "loss" map on two CPUs: `numbers[i]` are the CPUs' values of number i."""

    def __init__(self, numbers: list[tuple[int, int]], *, one_entry: bool) -> None:
        self.numbers = numbers
        self.one_entry = one_entry
        self.value_size = 8 * len(numbers) if one_entry else 8
        self.max_entries = 1 if one_entry else len(numbers)

    def lookup(self, key: bytes) -> bytes | None:
        index = int.from_bytes(key, "little")
        if self.one_entry:
            return b"".join(pack("<Q", number[cpu]) for cpu in (0, 1) for number in self.numbers)
        return pack("<2Q", *self.numbers[index])


class Counted:
    def __init__(self, missed: int | None) -> None:
        self._missed = missed

    def missed(self) -> int | None:
        return self._missed


class Link(Counted):
    def __init__(self, missed: int | None, program: int | None) -> None:
        super().__init__(missed)
        self.program = Counted(program)


@pytest.mark.parametrize("one_entry", [True, False])
def test_counters_are_summed_over_cpus_in_both_layouts(one_entry):
    reader = LossReader(Counters([(1, 2), (3, 0), (0, 5)], one_entry=one_entry))
    assert reader.loss() == Loss(ring_full=3, no_scratch=3, refused_update=5, missed=None)
    assert (reader.loss().dropped, reader.loss().refused) == (6, 5)


def test_news_are_what_was_dropped_since_the_last_time():
    counters = Counters([(1, 2), (0, 0), (9, 9)], one_entry=False)
    reader = LossReader(counters)
    assert [(lost.count, lost.reason) for lost in reader.news()] == [(3, "ring_full")]
    assert reader.news() == []
    counters.numbers = [(1, 4), (1, 0), (9, 9)]
    assert [(lost.count, lost.reason) for lost in reader.news()] == [(2, "ring_full"), (1, "no_scratch")]


def test_without_a_map_nothing_is_lost():
    reader = LossReader(None)
    assert (reader.news(), reader.loss().dropped, reader.exit_status()) == ([], 0, None)


@pytest.mark.parametrize("left, status", [((0, 0), None), ((0, 1), 0), ((8, 0), 7), ((256, 0), 255)])
def test_an_exit_without_room_in_the_ring_leaves_its_status(left, status):
    reader = LossReader(Counters([(0, 0), (0, 0), (0, 0), left], one_entry=False))
    assert reader.exit_status() == status


@pytest.mark.parametrize(
    "links, programs, missed",
    [([1, 2], [0, 4], 7), ([1, None], [None, None], 1), ([None, None], [None, 2], 2), ([None], [None], None), ([], [], None)],
)
def test_missed_hits_are_what_links_and_programs_count(links, programs, missed):
    reader = LossReader(None)
    reader.remember_missed([Link(link, program) for link, program in zip(links, programs, strict=True)])
    assert reader.loss().missed == missed


def test_a_program_behind_several_links_counts_once():
    first, second = Link(1, 5), Link(1, 5)
    second.program = first.program
    reader = LossReader(None)
    reader.remember_missed([first, second])
    assert reader.loss().missed == 7
