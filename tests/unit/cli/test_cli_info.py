"""--info: what bpftrace's test runner looks for, and nothing claimed that is not there."""

from __future__ import annotations

import re

import pytest

from probee.cli.info import report
from probee.kernel.features import feature
from probee.probes.provider import PROVIDERS

# The lines that its tests/runtime/engine greps for, by the names that tests ask for.
LOOKED_FOR = (
    "Loop support", "bcc library path resolution", "get_ktime_ns", "probe_read_kernel", "fentry", "jiffies64", "skboutput",
    "send_signal", "btf", "dpath", "get_func_ip", "lookup_percpu_elem", "iter", "kprobe_multi", "kprobe_session",
    "uprobe_multi", "libdw (DWARF support)", "dwunwind (DWARF stack unwinding)", "blazesym (advanced symbolization)",
)  # fmt: skip


@pytest.fixture
def kernel(monkeypatch):
    """A kernel that has everything but what is named."""

    def make(*missing: str) -> None:
        monkeypatch.setattr(feature, "_answers", {})
        monkeypatch.setattr(feature, "_attempt", lambda name: name not in missing)

    return make


def answers(text: str) -> dict[str, str]:
    return dict(re.findall(r"(\S[^:\n]*?): (\S+)", text.partition("All features")[0]))


def test_every_line_that_is_looked_for_is_there(kernel):
    kernel()
    for name in LOOKED_FOR:
        assert re.search(rf"(^|\s){re.escape(name)}: (yes|no)(\s|$)", report(), re.MULTILINE), name


def test_the_answers_are_the_kernels(kernel):
    kernel("bpf_loop", "kprobe_multi")
    found = answers(report())
    assert (found["loop"], found["Loop support"], found["kprobe_multi"]) == ("no", "no", "no")
    assert (found["jiffies64"], found["btf"], found["skboutput"]) == ("yes", "yes", "yes")
    kernel("skb_output")
    assert answers(report())["skboutput"] == "no"


def test_what_is_not_built_is_not_there_whatever_the_kernel_has(kernel):
    kernel()
    found = answers(report())
    assert {found[name] for name in ("bcc library path resolution", "bfd")} == {"no"}


@pytest.mark.parametrize("installed", [True, False])
def test_debug_information_is_read_when_its_library_is_installed(kernel, monkeypatch, installed):
    kernel()
    monkeypatch.setattr("probee.cli.info.reads_dwarf", lambda: installed)
    found = answers(report())
    assert found["libdw (DWARF support)"] == ("yes" if installed else "no")
    assert found["blazesym (advanced symbolization)"] == ("yes" if installed else "no")


@pytest.mark.parametrize("attachable", [True, False])
def test_a_kind_of_probe_is_there_when_it_can_be_attached(kernel, monkeypatch, attachable):
    kernel()
    monkeypatch.setattr(PROVIDERS["fentry"], "attachable", attachable)
    assert answers(report())["fentry"] == ("yes" if attachable else "no")
    kernel("btf")
    assert answers(report())["fentry"] == "no"


def test_a_feature_that_is_turned_off_is_not_there(kernel):
    kernel()
    assert answers(report(["kprobe_multi"]))["kprobe_multi"] == "no"


def test_two_answers_stand_on_a_line(kernel):
    kernel()
    lines = report().splitlines()
    assert any(line.count(": ") == 2 for line in lines)
    assert all(len(line) < 120 for line in lines)
