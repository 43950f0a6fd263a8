"""The table of providers, wildcards, and misspellings."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probee.errors import UnknownName, Unsupported
from probee.model.spec import ProgramType
from probee.probes.candidate import closest, distance
from probee.probes.glob import compile_glob
from probee.probes.provider import PROVIDERS, find_provider, require_attachable


def test_no_two_providers_share_a_name() -> None:
    names = [name for provider in PROVIDERS.values() for name in (provider.name, *provider.aliases)]
    assert len(names) == len(set(names))


def test_aliases_are_case_sensitive_and_full_names_are_not() -> None:
    assert find_provider("u").name == "uprobe"
    assert find_provider("U").name == "usdt"
    assert find_provider("TracePoint").name == "tracepoint"
    with pytest.raises(UnknownName):
        find_provider("T")


def test_probetype_has_its_own_names_for_the_special_ones() -> None:
    assert {p.name: p.probetype for p in PROVIDERS.values() if p.probetype != p.name} == {
        "begin": "special", "end": "special", "self": "special", "bench": "benchmark",
    }  # fmt: skip


def test_only_tracepoints_return_one() -> None:
    assert [p.name for p in PROVIDERS.values() if p.result] == ["tracepoint"]
    assert find_provider("profile").program_type == ProgramType.PERF_EVENT


def test_a_provider_that_cannot_be_attached_says_which_can() -> None:
    require_attachable(find_provider("kprobe"))
    with pytest.raises(Unsupported) as caught:
        require_attachable(find_provider("usdt"), 77)
    assert caught.value.span == 77
    assert "kprobe" in caught.value.hint


NAMES = st.text("abc_", max_size=8)


@given(NAMES, st.text("abc_*", max_size=8))
def test_a_pattern_matches_what_the_shell_would_match(name: str, pattern: str) -> None:
    assert compile_glob(pattern)(name) == fnmatch.fnmatchcase(name, pattern)


def test_brackets_and_question_marks_match_themselves() -> None:
    assert not compile_glob("a[bc]*")("ab")
    assert compile_glob("a[bc]*")("a[bc]d")
    assert not compile_glob("a?")("ab")


@given(NAMES, NAMES)
def test_distance_is_symmetric_and_zero_only_for_equal_names(one: str, two: str) -> None:
    assert distance(one, two, 99) == distance(two, one, 99)
    assert (distance(one, two, 99) == 0) == (one == two)


@given(NAMES, NAMES)
def test_a_bounded_distance_is_exact_up_to_its_bound(one: str, two: str) -> None:
    exact = distance(one, two, 99)
    assert distance(one, two, 2) == exact if exact <= 2 else distance(one, two, 2) > 2


def test_swapped_letters_are_one_edit() -> None:
    assert distance("vfs_raed", "vfs_read", 3) == 1
    assert closest("vfs_raed", ["vfs_write", "vfs_read", "vfs_readv"]) == ("vfs_read", "vfs_readv")


@given(NAMES, st.lists(NAMES, max_size=6))
def test_the_quick_filter_never_loses_a_near_name(name: str, known: list[str]) -> None:
    bound = max(1, len(name) // 3)
    near = sorted({(distance(name, k, 99), k) for k in known if k != name and distance(name, k, 99) <= bound})
    assert closest(name, known, 99) == tuple(k for _, k in near)
