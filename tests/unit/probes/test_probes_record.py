"""What probes carry: fields, offsets, sizes, signedness, registers."""

from __future__ import annotations

import pytest

from probee.errors import UnknownName, Unsupported
from probee.probes.match import expand
from probee.probes.parse import parse
from probee.probes.record import record, table


def fields(text: str, target):
    (point,) = parse(text.split(":"))
    (probe,) = expand(point, target)
    return record(probe, target)


def rows(text: str, target):
    return [(f.name, f.type, f.offset, f.size, f.signed) for f in fields(text, target)]


def test_a_tracepoints_record_is_what_its_format_file_says(target):
    assert rows("tracepoint:syscalls:sys_enter_read", target) == [
        ("common_type", "unsigned short", 0, 2, False),
        ("common_flags", "unsigned char", 2, 1, False),
        ("common_preempt_count", "unsigned char", 3, 1, False),
        ("common_pid", "int", 4, 4, True),
        ("__syscall_nr", "int", 8, 4, True),
        ("fd", "unsigned int", 16, 8, False),
        ("buf", "char *", 24, 8, False),
        ("count", "size_t", 32, 8, False),
    ]


def test_arrays_and_located_data_keep_their_spelling(target):
    assert ("prev_comm", "char[16]", 8, 16, False) in rows("tracepoint:sched:sched_switch", target)
    assert ("filename", "__data_loc char[]", 8, 4, False) in rows("tracepoint:sched:sched_process_exec", target)


def test_a_functions_arguments_are_in_registers_and_on_the_stack(target):
    where = {f.name: f.where for f in fields("kprobe:arp_create", target)}
    assert where["type"] == "arg0 (di)"
    assert where["dest_hw"] == "arg5 (r9)"
    assert where["src_hw"] == "sarg0"
    assert where["target_hw"] == "sarg1"
    assert {f.offset for f in fields("kprobe:arp_create", target)} == {None}


def test_a_return_probe_carries_the_result(target):
    assert rows("kretprobe:vfs_read", target) == [("retval", "ssize_t", None, 8, True)]


def test_typed_probes_have_words_of_context(target):
    assert rows("rawtracepoint:sched_switch", target) == [
        ("preempt", "bool", 0, 1, False),
        ("prev", "struct task_struct *", 8, 8, None),
        ("next", "struct task_struct *", 16, 8, None),
        ("prev_state", "unsigned int", 24, 4, False),
    ]


def test_a_function_exits_with_its_arguments_and_its_result(target):
    (point,) = parse(["fexit", "vfs_read"])
    (probe,) = expand(point, target)
    assert [(f.name, f.offset) for f in record(probe, target)] == [
        ("file", 0), ("buf", 8), ("count", 16), ("pos", 24), ("retval", 32),
    ]  # fmt: skip


def test_what_no_type_information_describes_is_an_error(target):
    (point,) = parse(["kprobe", "asm_helper"])
    with pytest.raises(UnknownName, match="No BTF describes the function asm_helper"):
        record(point, target)


def test_a_clock_has_no_record(target):
    with pytest.raises(Unsupported, match="interval probes have no record"):
        fields("interval:s:1", target)


def test_a_tables_columns_are_as_wide_as_what_is_in_them(target):
    lines = list(table(fields("kprobe:vfs_fsync", target)))
    assert lines == [
        "FIELD     TYPE           OFFSET  SIZE  SIGNED  IN A SCRIPT",
        "file      struct file *             8          arg0 (di)",
        "datasync  int                       4  yes     arg1 (si)",
    ]
