"""The book-keeping of feature answers, and the table's form; the probes themselves are in tests/kernel."""

from __future__ import annotations

import re

import pytest

from probee.errors import FeatureMissing, PermissionMissing, UsageError
from probee.kernel.features import attempt, feature, instruction
from probee.kernel.features.table import FEATURES
from probee.kernel.syscalls.bpf import EINVAL, EPERM


@pytest.fixture(autouse=True)
def no_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature, "_answers", {})


def test_an_answer_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(attempt, "attempt", lambda kind, argument: bool(asked.append((kind, argument))) or True)
    assert feature.has("bpf_loop")
    assert feature.has("bpf_loop")
    assert asked == [("helper", 181)]


def test_preloaded_answers_need_no_kernel_and_are_exported_again() -> None:
    feature.preload({"bpf_loop": False, "ringbuf": True})
    assert (feature.has("bpf_loop"), feature.has("ringbuf")) == (False, True)
    assert feature.export() == {"bpf_loop": False, "ringbuf": True}
    feature.forget()
    assert feature.export() == {}


def test_requiring_a_feature_that_is_there_is_silent() -> None:
    feature.preload({"ringbuf": True})
    feature.require("ringbuf")


def test_requiring_a_missing_one_says_since_when_others_have_it() -> None:
    feature.preload({"insn_v4": False, "kfunc:x": False})
    with pytest.raises(FeatureMissing, match=r"lacks insn_v4 \(Linux has it since 6.6\)"):
        feature.require("insn_v4")
    with pytest.raises(FeatureMissing, match=r"the loop needs 6\.6"):
        feature.require("insn_v4", "the loop needs 6.6")
    with pytest.raises(FeatureMissing, match="a later version"):
        feature.require("kfunc:x")


def test_names_that_are_in_no_table_are_errors() -> None:
    with pytest.raises(UsageError, match="no feature is called ring_buf"):
        feature.has("ring_buf")


def test_lack_of_permission_is_not_lack_of_the_feature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "program_load", lambda *_, **__: -EPERM)
    with pytest.raises(PermissionMissing):
        feature.has("bpf_loop")
    assert feature.export() == {}


@pytest.mark.parametrize("words", [b"invalid func unknown#181", b"unknown func bpf_loop#181",
                                   b"program of this type cannot use helper bpf_loop#181"])  # fmt: skip
def test_a_helper_is_missing_when_the_verifier_says_so(words: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, log: bytearray) -> int:
        log[: len(words)] = words
        return -EINVAL

    monkeypatch.setattr(attempt, "program_load", refuse)
    assert not feature.has("bpf_loop")


def test_a_helper_is_there_when_the_verifier_complains_about_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, log: bytearray) -> int:
        log[:18] = b"R1 type=ctx expect"
        return -EINVAL

    monkeypatch.setattr(attempt, "program_load", refuse)
    assert feature.has("bpf_loop")


@pytest.mark.parametrize("name", sorted(FEATURES))
def test_every_entry_names_a_probe_a_version_and_a_commit(name: str) -> None:
    kind, argument, since, commit = FEATURES[name]
    assert kind in attempt._KINDS
    assert re.fullmatch(r"\d+\.\d+", since)
    assert re.fullmatch(r"[0-9a-f]{12}", commit)
    if kind == "instruction":
        assert len(instruction.SAMPLES[str(argument)]) % 8 == 0
    if kind == "link":
        assert argument in attempt._LINKS
