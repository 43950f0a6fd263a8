"""Attach points to probes: names, fields, error texts."""

from __future__ import annotations

import pytest

from probee.errors import CompileError, ParseError, UnknownName, make_span
from probee.probes.parse import parse
from probee.probes.probe import Probe


def one(text: str, *, unsafe: bool = False) -> Probe:
    (probe,) = parse(text.split(":"), unsafe=unsafe)
    return probe


CANONICAL = [
    ("begin", "begin"),
    ("BEGIN", "begin"),
    ("End", "end"),
    ("begin:*", "begin"),
    ("self:signal:SIGUSR1", "self:signal:SIGUSR1"),
    ("test:first", "test:first"),
    ("bench:first", "bench:first"),
    ("k:vfs_read", "kprobe:vfs_read"),
    ("kprobe:vfs_read+0x10", "kprobe:vfs_read+16"),
    ("kprobe:vfs_read+0", "kprobe:vfs_read"),
    ("kprobe:nf_tables:nft_trans_free", "kprobe:nf_tables:nft_trans_free"),
    ("kr:vfs_read", "kretprobe:vfs_read"),
    ("KProbe:vfs_read", "kprobe:vfs_read"),
    ("t:sched:sched_switch", "tracepoint:sched:sched_switch"),
    ("tracepoint:sched*", "tracepoint:*:sched*"),
    ("rt:sched_switch", "rawtracepoint:*:sched_switch"),
    ("rawtracepoint:vmlinux:sched_switch", "rawtracepoint:vmlinux:sched_switch"),
    ("f:vfs_read", "fentry:vfs_read"),
    ("kfunc:vmlinux:vfs_read", "fentry:vmlinux:vfs_read"),
    ("kretfunc:vfs_*", "fexit:*:vfs_*"),
    ("fentry:bpf:12:prog", "fentry:bpf:12:prog"),
    ("fentry:bpf:*:prog", "fentry:bpf:prog"),
    ("it:task", "iter:task"),
    ("iter:task:/sys/fs/bpf/x", "iter:task"),
    ("i:1s", "interval:us:1000000"),
    ("interval:100ms", "interval:us:100000"),
    ("interval:ms:100", "interval:ms:100"),
    ("interval:1500", "interval:us:1"),
    ("interval:1m", "interval:us:60000000"),
    ("p:hz:99", "profile:hz:99"),
    ("profile:10ms", "profile:us:10000"),
    ("profile:s:0x2", "profile:s:2"),
    ("s:cpu", "software:cpu"),
    ("software:page-faults:100", "software:page-faults:100"),
    ("software:cpu-clock:1e6", "software:cpu-clock:1000000"),
    ("software:cpu-clock:", "software:cpu-clock"),
    ("h:cache-misses:1_000", "hardware:cache-misses:1000"),
    ("w:0x1000:8:w", "watchpoint:4096:8:w"),
    ("u:/bin/sh:main", "uprobe:/bin/sh:main"),
    ("uprobe:/bin/sh:main+4", "uprobe:/bin/sh:main+4"),
    ("uprobe:/bin/sh:cpp:operator+(N)", "uprobe:/bin/sh:cpp:operator+(N)"),
    ("uprobe::f", "uprobe:f"),
    ("uretprobe:f", "uretprobe:f"),
    ("uprobe:/bin/sh:cpp:f(int, char)", "uprobe:/bin/sh:cpp:f(int, char)"),
    ("uprobe:/bin/sh:0x10", "uprobe:/bin/sh:16"),
    ("ur:libc:malloc", "uretprobe:libc:malloc"),
    ("U:/bin/x:ns:name", "usdt:/bin/x:ns:name"),
    ("usdt:/bin/x:name", "usdt:/bin/x:name"),
    ("label=kprobe:vfs_read", "label"),
]


@pytest.mark.parametrize(("text", "name"), CANONICAL)
def test_an_attach_point_has_one_canonical_name(text: str, name: str) -> None:
    assert one(text).name == name


@pytest.mark.parametrize("name", sorted({name for _, name in CANONICAL if name not in ("label", "fentry:bpf:prog")}))
def test_a_canonical_name_names_itself(name: str) -> None:
    assert one(name).name == name


ERRORS = [
    ("begin:x", "begin probe type requires 0 arguments, found 1"),
    ("self:signal", "self probe type requires 2 arguments, found 1"),
    ("self:signal:SIGHUP", "SIGHUP is not a supported signal"),
    ("self:timer:x", "timer is not a supported trigger"),
    ("test:", "test probes must have a name"),
    ("bench", "bench probe type requires 1 arguments, found 0"),
    ("kprobe", "kprobe probe type requires 1 or 2 arguments, found 0"),
    ("kprobe:a:b:c", "kprobe probe type requires 1 or 2 arguments, found 3"),
    ("kprobe:", "kprobes should be attached to a function or an address"),
    ("kprobe:f+1+2", "Cannot take more than one offset"),
    ("kprobe:f+", "Invalid offset"),
    ("kprobe:f+x", "Invalid offset: invalid integer: x"),
    ("kprobe:f+1y", "Invalid offset: invalid trailing bytes: 1y"),
    ("kretprobe:f+1", "Offset not allowed"),
    ("kprobe:0x12345678", "Probing by address requires --unsafe"),
    ("tracepoint:sched", "tracepoint probe type requires 2 arguments, found 1"),
    ("tracepoint:sched:", "tracepoint probe must have a target"),
    ("rawtracepoint", "rawtracepoint probe type requires 2 or 1 arguments, found 0"),
    ("rawtracepoint:", "rawtracepoint should be attached to a function"),
    ("fentry", "fentry probe type requires 1 or 3 arguments, found 0"),
    ("fentry:", "fentry/fexit should specify a function"),
    ("fentry:a:b:c", "Only the 'bpf' variant of this probe supports 4 arguments"),
    ("fentry:bpf", "the 'bpf' variant of this probe requires a bpf program name and optional bpf program id"),
    ("fexit:bpf:x:y", "bpf program id must be a number or '*'"),
    ("iter", "iter probe type takes 2 arguments (1 optional)"),
    ("iter:", "iter should specify a iterator's name"),
    ("iter:task*", "iter probe type does not support wildcards"),
    ("interval", "interval probe type requires 1 or 2 arguments, found 0"),
    ("interval:s", "Invalid rate of interval probe: invalid integer: s"),
    ("interval:s:", "Invalid rate of interval probe: invalid integer: "),
    ("interval:999", "Invalid rate of interval probe. Minimum is 1000 or 1us. Found: 999 nanoseconds"),
    ("interval:min:1", "min is not an accepted unit of time"),
    ("interval::1", "interval probe must have unit of time"),
    ("interval:s:0", "interval frequency should be a positive integer"),
    ("profile:hz:-1", "profile frequency should be a positive integer"),
    ("profile:hz:nan", "Invalid rate of profile probe: invalid integer: nan"),
    ("profile:*", "* is not an accepted unit of time"),
    (
        "interval:s:18446744073709551615",
        "Invalid rate of interval probe: overflow error, maximum value is 18446744073709551615: 18446744073709551615",
    ),
    ("software:", "software probe must have a software event name"),
    ("software:cpu:x", "Invalid count for software probe: invalid integer: x"),
    ("software:cpu:-5", "software count should be a positive integer"),
    ("software:c*", "wildcards are not allowed for software probe type"),
    ("software:fallts", "fallts is not a software probe"),
    ("hardware:nope", "nope is not a hardware probe"),
    ("hardware:cycles:-5", "hardware frequency should be a positive integer"),
    ("hardware", "hardware probe type requires 1 or 2 arguments, found 0"),
    ("watchpoint:0:8:w", "watchpoint must be attached to a non-zero address"),
    ("watchpoint:1:3:w", "watchpoint length must be one of (1,2,4,8)"),
    ("watchpoint:1:8:", "watchpoint mode must be combination of (r,w,x)"),
    ("watchpoint:1:8:q", "watchpoint mode must be combination of (r,w,x)"),
    ("watchpoint:1:8:ww", "watchpoint modes may not be duplicated"),
    ("watchpoint:1:8:r", "invalid watchpoint mode: r; supported modes: rw,w,x"),
    ("watchpoint:x:8:r", "Invalid function/address argument: invalid integer: x"),
    ("uprobe:/bin/sh", "uprobe probe type requires 2 or 3 arguments, found 1"),
    ("uprobe:/bin/sh:rust:f", "unsupported language type: rust"),
    ("uprobe:/bin/*:0x10", "Cannot use wildcards with absolute address"),
    ("uretprobe:/bin/sh:f+4", "Offset not allowed"),
    ("usdt:/bin/sh", "usdt probe type requires 2 or 3 arguments, found 1"),
    ("usdt:/bin/sh:", "usdt probe must have a target function or wildcard"),
    ("kprob:vfs_read", "Invalid probe type: kprob"),
    ("K:vfs_read", "Invalid probe type: K"),
    ("zz*:vfs_read", "No probe type matched for zz*"),
    ("*:a:b:c:d", "No probe type matched for *"),
]


@pytest.mark.parametrize(("text", "message"), ERRORS)
def test_what_makes_no_sense_is_refused_in_upstreams_words(text: str, message: str) -> None:
    span = make_span(7, 12)
    with pytest.raises(CompileError) as caught:
        parse(text.split(":"), span)
    assert caught.value.message == message
    assert caught.value.span == span


def test_no_parts_are_an_error_and_empty_text_is_not() -> None:
    with pytest.raises(ParseError, match="Invalid attachpoint definition"):
        parse([])
    assert parse([""]) == ()


def test_a_misspelled_provider_or_event_comes_with_what_was_meant() -> None:
    with pytest.raises(UnknownName) as caught:
        one("tracepont:a:b")
    assert caught.value.hint == "Did you mean: tracepoint?"
    with pytest.raises(UnknownName) as caught:
        one("software:cpu-clok")
    assert caught.value.hint == "Did you mean: cpu-clock?"


def test_an_address_is_allowed_when_unsafe() -> None:
    probe = one("kprobe:0x12345678", unsafe=True)
    assert (probe.name, probe.address, probe.function) == ("kprobe:305419896", 0x12345678, "")


def test_a_source_location_is_read_from_the_parts_after_the_at() -> None:
    (probe,) = parse(["uprobe", "libc", "@", "malloc.c", "3538", "7"])
    assert (probe.path, probe.source_file, probe.line, probe.column) == ("libc", "malloc.c", 3538, 7)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (["uretprobe", "libc", "@", "f.c", "1"], "Source code location not allowed"),
        (["uprobe", "lib*", "@", "f.c", "1"], "Cannot use wildcards with source code location"),
        (["uprobe", "libc", "@", "f.c"], "Invalid uprobe arguments, expected format: uprobe:TARGET@FILE:LINE[:COL]"),
        (["uprobe", "libc", "@", "f.c", "x"], "Invalid line number: invalid integer: x"),
        (["uprobe", "libc", "@", "f.c", "1", "x"], "Invalid column number: invalid integer: x"),
    ],
)
def test_a_bad_source_location_is_refused(parts: list[str], message: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse(parts)
    assert caught.value.message == message


def test_a_wildcard_provider_means_every_provider_that_the_rest_fits() -> None:
    assert [p.name for p in parse(["*", "vfs_*"])] == [
        "fentry:*:vfs_*", "kprobe:vfs_*", "rawtracepoint:*:vfs_*", "tracepoint:*:vfs_*",
    ]  # fmt: skip
    assert [p.name for p in parse(["kprob*", "vfs_read"])] == ["kprobe:vfs_read"]
    assert [p.name for p in parse(["*probe", "/bin/sh", "main"])] == ["uprobe:/bin/sh:main"]
    assert [p.name for p in parse(["*sleep*"])] == [
        "fentry:*:*sleep*", "kprobe:*sleep*", "rawtracepoint:*:*sleep*", "tracepoint:*:*sleep*",
    ]  # fmt: skip


def test_a_wildcard_for_one_provider_keeps_its_errors() -> None:
    with pytest.raises(ParseError, match="kprobe probe type requires 1 or 2 arguments, found 3"):
        parse(["kprob*", "a", "b", "c"])


PARAMETERS = [
    ("kprobe:vfs_read+16", {"function": "vfs_read", "module": "", "offset": 16}),
    ("kprobe:vmlinux:vfs_read", {"function": "vfs_read", "module": "vmlinux", "offset": 0}),
    ("kretprobe:nf:f", {"function": "f", "module": "nf", "offset": 0}),
    ("tracepoint:sched:sched_switch", {"category": "sched", "name": "sched_switch"}),
    ("rawtracepoint:sys_enter", {"name": "sys_enter"}),
    ("interval:s:2", {"period_ns": 2_000_000_000}),
    ("profile:10ms", {"period_ns": 10_000_000}),
    ("profile:hz:99", {"frequency_hz": 99}),
    ("software:cs", {"event": 3, "period": 1000}),
    ("software:page-faults:7", {"event": 2, "period": 7}),
    ("hardware:instructions", {"event": 1, "period": 1_000_000}),
    ("begin", {}),
]


@pytest.mark.parametrize(("text", "parameters"), PARAMETERS)
def test_a_link_gets_what_it_needs_to_attach(text: str, parameters: dict[str, object]) -> None:
    assert one(text).link_parameters() == parameters


def test_an_address_is_a_link_parameter() -> None:
    assert one("kprobe:0x10", unsafe=True).link_parameters()["address"] == 16
