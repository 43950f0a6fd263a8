"""Patterns against a Target."""

from __future__ import annotations

import pytest

from probee.errors import CompileError, ProbeeError, UnknownName, make_span
from probee.formats.target import FileTarget
from probee.formats.target_image import TargetImage, encode_image
from probee.probes.match import candidates, expand, is_refused, matching_functions, select_functions
from probee.probes.parse import parse
from probee.probes.probe import Probe


def one(text: str) -> Probe:
    (probe,) = parse(text.split(":"), unsafe=True)
    return probe


def names(text: str, target: FileTarget) -> list[str]:
    return [probe.name for probe in expand(one(text), target)]


EXPANSIONS = [
    ("kprobe:vfs_read", ["kprobe:vfs_read"]),
    ("kprobe:vfs_read+4", ["kprobe:vfs_read+4"]),
    ("kprobe:asm_helper", ["kprobe:asm_helper"]),  # BTF does not know it, ftrace does
    ("kprobe:vmlinux:vfs_read", ["kprobe:vmlinux:vfs_read"]),
    ("kprobe:demo_mod:demo_open", ["kprobe:demo_mod:demo_open"]),
    ("kprobe:demo_mod:demo_untyped", ["kprobe:demo_mod:demo_untyped"]),
    ("kprobe:demo_open", ["kprobe:demo_open"]),
    ("kprobe:vfs_re*", ["kprobe:vfs_read", "kprobe:vfs_read_untyped"]),
    ("kretprobe:*_fast", ["kretprobe:lookup_fast"]),
    ("kprobe:vmlinux:vfs_re*", ["kprobe:vmlinux:vfs_read", "kprobe:vmlinux:vfs_read_untyped"]),
    ("kprobe:demo*:*", ["kprobe:demo_mod:demo_open", "kprobe:demo_mod:demo_untyped"]),
    ("kprobe:*:demo_o*", ["kprobe:demo_mod:demo_open"]),
    ("kprobe:0x1234", ["kprobe:4660"]),
    ("tracepoint:sched:sched_switch", ["tracepoint:sched:sched_switch"]),
    ("tracepoint:sched:sched_wake*", ["tracepoint:sched:sched_wakeup", "tracepoint:sched:sched_wakeup_new"]),
    ("tracepoint:*fault_there_is_none", None),
    ("tracepoint:*exec", ["tracepoint:sched:sched_process_exec"]),
    ("tracepoint:raw*:sys_*", ["tracepoint:raw_syscalls:sys_enter", "tracepoint:raw_syscalls:sys_exit"]),
    ("rawtracepoint:sched_switch", ["rawtracepoint:vmlinux:sched_switch"]),
    ("rawtracepoint:demo_event", ["rawtracepoint:demo_mod:demo_event"]),
    ("rawtracepoint:vmlinu*:sys_*", ["rawtracepoint:vmlinux:sys_enter", "rawtracepoint:vmlinux:sys_exit"]),
    ("fentry:vfs_read", ["fentry:vmlinux:vfs_read"]),
    ("fentry:demo_open", ["fentry:demo_mod:demo_open"]),
    ("fexit:vfs_re*", ["fexit:vmlinux:vfs_read"]),  # the untyped one has no arguments to give
    ("iter:task", ["iter:task"]),
    ("interval:s:1", ["interval:s:1"]),
    ("begin", ["begin"]),
]


@pytest.mark.parametrize(("text", "expected"), EXPANSIONS)
def test_a_probe_expands_to_what_the_kernel_has(text: str, expected: list[str] | None, target: FileTarget) -> None:
    if expected is None:
        with pytest.raises(UnknownName):
            names(text, target)
    else:
        assert names(text, target) == expected


MISSING = [
    ("kprobe:vfs_reed", "No matches for kprobe vfs_reed.", "vfs_read"),
    ("kprobe:vmlinux:nonsense", "No matches for kprobe vmlinux:nonsense.", ""),
    ("kprobe:demo_mod:vfs_read", "No matches for kprobe demo_mod:vfs_read.", ""),
    ("kprobe:nonsense*", "No matches for kprobe nonsense*.", ""),
    ("tracepoint:syscalls:sys_enter_opnat", "No matches for tracepoint syscalls:sys_enter_opnat.", "syscalls:sys_enter_open"),
    ("tracepoint:nonsense:nonsense", "No matches for tracepoint nonsense:nonsense.", ""),
    ("rawtracepoint:nonsense:sys_exit", "No matches for rawtracepoint nonsense:sys_exit.", ""),
    ("rawtracepoint:sched_swich", "No matches for rawtracepoint *:sched_swich.", "sched_switch"),
    ("fentry:nonsense", "No matches for fentry nonsense.", ""),
    ("fentry:vmlinux:vfs_wirte", "No matches for fentry vmlinux:vfs_wirte.", "vfs_write"),
]


@pytest.mark.parametrize(("text", "message", "meant"), MISSING)
def test_what_nothing_matches_is_an_error_with_the_nearest_name(
    text: str, message: str, meant: str, target: FileTarget
) -> None:
    span = make_span(3, 9)
    with pytest.raises(UnknownName) as caught:
        expand(one(text), target, span)
    assert (caught.value.message, caught.value.span) == (message, span)
    assert (meant in caught.value.hint) if meant else not caught.value.hint


def test_a_function_of_a_module_that_is_not_loaded_is_an_error_that_says_so(target: FileTarget) -> None:
    with pytest.raises(CompileError) as caught:
        names("kprobe:nonsense:vfs_read", target)
    assert caught.value.message == "specified module nonsense in probe kprobe:nonsense:vfs_read is not loaded."


def test_an_iterator_that_the_kernel_lacks_is_an_error_that_says_so(target: FileTarget) -> None:
    with pytest.raises(CompileError, match=r"iter tusk not available for your kernel version\."):
        names("iter:tusk", target)


def test_an_unknown_function_is_kept_when_unsafe_but_a_pattern_is_not(target: FileTarget) -> None:
    assert expand(one("kprobe:nonsense"), target, unsafe=True)[0].name == "kprobe:nonsense"
    with pytest.raises(UnknownName):
        expand(one("kprobe:nonsense*"), target, unsafe=True)


def test_raw_tracepoints_need_btf() -> None:
    bare = FileTarget(encode_image(TargetImage("x86_64", "5.4.0")))
    with pytest.raises(CompileError, match=r"rawtracepoints require kernel BTF\. Try using a 'tracepoint' instead\."):
        names("rawtracepoint:sched_switch", bare)


def test_a_name_in_two_modules_is_ambiguous_for_fentry(target: FileTarget) -> None:
    class Doubled(FileTarget):
        def traceable_functions(self) -> list[tuple[str, str]]:
            return [*super().traceable_functions(), ("vfs_read", "demo_mod")]

    from target_fixture import target_image

    with pytest.raises(CompileError) as caught:
        names("fentry:vfs_read", Doubled(encode_image(target_image())))
    expected = "ambiguous attach point, please specify module containing the function 'vfs_read'"
    assert caught.value.message == expected


def test_an_exact_function_that_btf_knows_does_not_read_the_list_of_functions(target: FileTarget) -> None:
    def refuse() -> list[tuple[str, str]]:
        raise AssertionError("the list was read")

    target.traceable_functions = refuse  # type: ignore[method-assign]
    assert names("kprobe:vfs_read", target) == ["kprobe:vfs_read"]


def test_wildcards_leave_out_what_hangs_the_machine() -> None:
    functions = [(name, "") for name in ("arch_cpu_idle", "rcu_qs", "rcutorture", "f.part.0", "f", "default_idle")]
    assert select_functions("", "*", functions) == [("rcutorture", "vmlinux"), ("f", "vmlinux")]
    assert select_functions("", "rcu_qs", functions) == [("rcu_qs", "vmlinux")]
    assert is_refused("__ftrace_invalid_address___12")
    assert not is_refused("trcu_x")


def test_functions_for_one_link_are_sorted_and_each_named_once(target: FileTarget) -> None:
    assert matching_functions(one("kprobe:vfs_re*"), target) == ("vfs_read", "vfs_read_untyped")


def test_a_pattern_has_no_candidates(target: FileTarget) -> None:
    assert candidates(one("kprobe:vfs_reed*"), target) == ()


def test_what_a_target_cannot_tell_is_an_error_at_the_attach_point(target: FileTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: str) -> None:
        raise ProbeeError("tracefs is not mounted\nmount it")

    monkeypatch.setattr(target, "tracepoint", fail)
    with pytest.raises(CompileError) as caught:
        expand(one("tracepoint:sched:sched_switch"), target, make_span(3, 9))
    assert (caught.value.message, caught.value.hint, caught.value.span) == (
        "tracefs is not mounted", "mount it", make_span(3, 9),
    )  # fmt: skip


def test_a_kernel_without_kprobes_is_the_reason_and_no_name_is_suggested(
    target: FileTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "traceable_functions", list)
    for text in ("kprobe:vfs_raed", "kretprobe:vfs_*"):
        with pytest.raises(UnknownName) as caught:
            expand(one(text), target)
        assert caught.value.hint.startswith("this kernel has no function that could be probed")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fentry:bpf:work", ["fentry:bpf:7:work", "fentry:bpf:9:work"]),
        ("fentry:bpf:9:work", ["fentry:bpf:9:work"]),
        ("fexit:bpf:*:w*", ["fexit:bpf:9:walk", "fexit:bpf:7:work", "fexit:bpf:9:work"]),
        ("fentry:bpf:8:work", None),
    ],
)
def test_functions_of_bpf_programs_are_found_by_name_and_id(text: str, expected: list[str] | None) -> None:
    from target_fixture import target_image

    class Loaded(FileTarget):
        def bpf_functions(self) -> list[tuple[int, str]]:
            return [(7, "work"), (9, "walk"), (9, "work")]

    (probe,) = parse(text.split(":"))
    target = Loaded(encode_image(target_image()))
    if expected is None:
        with pytest.raises(UnknownName, match="No matches for fentry bpf:work"):
            expand(probe, target)
    else:
        assert [found.name for found in expand(probe, target)] == expected
