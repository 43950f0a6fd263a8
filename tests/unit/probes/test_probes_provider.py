"""The table of providers, wildcards, and misspellings."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probee.errors import UnknownName, Unsupported
from probee.model.spec import ProgramType
from probee.probes.glob import compile_glob
from probee.probes.provider import PROVIDERS, Provider, find_provider, require_attachable


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
    unattachable = Provider("unheard-of", (), (1,), ProgramType.KPROBE, attachable=False)
    with pytest.raises(Unsupported) as caught:
        require_attachable(unattachable, 77)
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
