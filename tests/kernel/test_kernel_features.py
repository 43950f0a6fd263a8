"""Feature probes on the running kernel: no feature may be missing where its stated version says that it is there."""

from __future__ import annotations

import os

import pytest

from probee.errors import FeatureMissing, UsageError
from probee.kernel.features import attempt, feature
from probee.kernel.features.table import FEATURES
from probee.model.spec import ProgramType

pytestmark = pytest.mark.kernel

# What a distribution may leave out of any version by configuration, or an administrator by not mounting it.
BY_CONFIGURATION = {
    "btf", "kprobe", "kprobe_multi", "kprobe_session", "kprobe_unique_name", "override_return", "tracepoint", "uprobe",
}  # fmt: skip


def version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


@pytest.fixture(autouse=True)
def fresh_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature, "_answers", {})


@pytest.mark.parametrize("name", sorted(FEATURES))
def test_a_kernel_newer_than_a_features_version_has_it(name: str) -> None:
    since = FEATURES[name][2]
    if name not in BY_CONFIGURATION and version(os.uname().release) >= version(since):
        assert feature.has(name)
    else:
        assert feature.has(name) in (True, False)


def test_a_kernel_that_knows_no_future_helper_says_so() -> None:
    assert not attempt.has_helper(60_000, ProgramType.KPROBE)


def test_helpers_are_asked_for_the_program_type() -> None:
    skb_load_bytes = 26
    assert attempt.has_helper(skb_load_bytes, ProgramType.SOCKET_FILTER)
    assert not attempt.has_helper(skb_load_bytes, ProgramType.KPROBE)


def test_answers_are_kept() -> None:
    feature.has("ringbuf")
    assert feature.export() == {"ringbuf": True}


def test_preloaded_answers_are_not_asked_again() -> None:
    feature.preload({"ringbuf": False})
    assert not feature.has("ringbuf")


def test_requiring_what_is_missing_names_the_version_that_has_it() -> None:
    feature.preload({"bpf_loop": False})
    with pytest.raises(FeatureMissing, match=r"this kernel lacks bpf_loop \(Linux has it since 5.17\)"):
        feature.require("bpf_loop")


def test_unknown_names_are_errors_and_not_missing_features() -> None:
    with pytest.raises(UsageError, match="no feature is called ring_buf"):
        feature.has("ring_buf")


def test_kernel_functions_are_found_by_name() -> None:
    if not feature.has("btf"):
        pytest.skip("this kernel has no BTF")
    assert feature.has("kfunc:vfs_read")
    assert not feature.has("kfunc:no_such_function_anywhere")


def test_describe_lists_every_feature_by_name() -> None:
    rows = feature.describe()
    assert [name for name, _, _ in rows] == sorted(FEATURES)
