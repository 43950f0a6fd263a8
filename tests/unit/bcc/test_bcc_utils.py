"""bcc's small modules: bytes, TCP's names, C of containers and comparisons, lines of the trace pipe, system calls."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

from probee.bcc import containers, tcp
from probee.bcc.syscall import syscall_name, syscalls
from probee.bcc.tracepipe import parse_line
from probee.bcc.utils import ArgString, StrcmpRewrite, as_bytes, as_text, get_online_cpus, get_possible_cpus, printb


def test_whatever_is_text_becomes_bytes_and_back() -> None:
    assert as_bytes("a") == as_bytes(b"a") == as_bytes(ArgString("a")) == b"a"
    assert as_text(as_bytes("\udcff")) == "\udcff"
    assert as_bytes(None) == b""


def test_bytes_are_printed_as_they_are() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw)
    printb(b"\xff", file=stream)
    printb(b"x", file=stream, nl=0)
    assert raw.getvalue() == b"\xff\nx"


def test_cpus_that_run_are_possible() -> None:
    assert set(get_online_cpus()) <= set(get_possible_cpus())


def test_states_and_flags_of_tcp_have_names() -> None:
    assert (tcp.state2str(1), tcp.state2str(12), tcp.state2str(99)) == ("ESTABLISHED", "NEW_SYN_RECV", "99")
    assert tcp.flags2str(tcp.TCPHDR_SYN | tcp.TCPHDR_ACK) == "SYN|ACK"


def test_system_calls_have_names_in_bytes() -> None:
    numbers = {name: number for number, name in syscalls.items()}
    assert syscall_name(numbers[b"openat"]) == b"openat"
    assert syscall_name(99999) == b"[unknown: 99999]"


def test_without_containers_nothing_is_left_out() -> None:
    text = containers.filter_by_containers(SimpleNamespace(cgroupmap=None, mntnsmap=None))
    assert "container_should_be_filtered" in text
    assert "BPF_TABLE_PINNED" not in text


def test_containers_are_chosen_by_pinned_maps() -> None:
    text = containers.filter_by_containers(SimpleNamespace(cgroupmap="/sys/fs/bpf/a", mntnsmap="/sys/fs/bpf/b"))
    assert '"/sys/fs/bpf/a"' in text
    assert '"/sys/fs/bpf/b"' in text
    assert "#define MNT_NAMESPACE_DEFINED" in text


def test_comparisons_become_functions() -> None:
    found = StrcmpRewrite.rewrite_expr('STRCMP("ab",arg1) && STRCMP("c",arg2)', False, False, ["arg2"], "", 5)
    assert found["expr"] == 'streq_5("ab",arg1) && streq_6("c",arg2)'
    assert found["probeid"] == 7
    functions = found["streq_functions"]
    assert functions.index("streq_5") < functions.index("bpf_probe_read(") < functions.index("streq_6")
    assert "bpf_probe_read_user(" in functions


LINE = b"           <...>-1234    [003] d..31  4567.890123: bpf_trace_printk: Hello, World!"


def test_a_line_of_the_trace_pipe_is_taken_apart() -> None:
    assert parse_line(LINE) == (b"<...>", 1234, 3, b"d..31", 4567.890123, b"Hello, World!")


@pytest.mark.parametrize("line", [b"CPU:3 [LOST 12 EVENTS]", b"", b"something else"])
def test_other_lines_are_passed_over(line: bytes) -> None:
    assert parse_line(line) is None
