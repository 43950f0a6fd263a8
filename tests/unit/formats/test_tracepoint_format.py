"""Parsing tracefs format files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probee.errors import FormatError
from probee.formats.tracepoint import parse_format, split_declaration
from target_fixture import tracepoint_formats

SWITCH = """name: sched_switch
ID: 326
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:char prev_comm[16];\toffset:8;\tsize:16;\tsigned:0;
\tfield:pid_t prev_pid;\toffset:24;\tsize:4;\tsigned:1;
\tfield:__data_loc char[] cmd;\toffset:28;\tsize:4;\tsigned:0;
\tfield:__rel_loc u8[] raw;\toffset:32;\tsize:4;\tsigned:0;

print fmt: "prev_comm=%s; x:%d", REC->prev_comm, REC->prev_pid
"""


def test_fields_keep_their_declaration_and_place() -> None:
    found = parse_format("sched", SWITCH)
    assert (found.category, found.name, found.id) == ("sched", "sched_switch", 326)
    assert [(f.name, f.declaration, f.offset, f.size, f.signed) for f in found.fields] == [
        ("common_type", "unsigned short common_type", 0, 2, False),
        ("common_pid", "int common_pid", 4, 4, True),
        ("prev_comm", "char prev_comm[16]", 8, 16, False),
        ("prev_pid", "pid_t prev_pid", 24, 4, True),
        ("cmd", "__data_loc char[] cmd", 28, 4, False),
        ("raw", "__rel_loc u8[] raw", 32, 4, False),
    ]


def test_located_fields_say_which_way() -> None:
    found = parse_format("sched", SWITCH)
    rows = [(f.name, f.type_name, f.data_loc, f.relative) for f in found.fields[2:]]
    assert rows == [
        ("prev_comm", "char[16]", False, False),
        ("prev_pid", "pid_t", False, False),
        ("cmd", "char[]", True, False),
        ("raw", "u8[]", True, True),
    ]


def test_print_format_is_everything_after_its_heading() -> None:
    assert parse_format("sched", SWITCH).print_format == '"prev_comm=%s; x:%d", REC->prev_comm, REC->prev_pid'


@pytest.mark.parametrize(
    ("declaration", "name", "type_name"),
    [
        ("int a", "a", "int"),
        ("const char * filename", "filename", "const char *"),
        ("const char *const * argv", "argv", "const char *const *"),
        ("char *name", "name", "char *"),
        ("unsigned long args[6]", "args", "unsigned long[6]"),
        ("char comm[TASK_COMM_LEN]", "comm", "char[TASK_COMM_LEN]"),
        ("int grid[2][3]", "grid", "int[2][3]"),
        ("char name [16]", "name", "char[16]"),
        ("void (*fn)(int a)", "fn", "void (*)(int a)"),
        ("__data_loc char[] cmd", "cmd", "__data_loc char[]"),
        ("", "", ""),
        ("[]", "", "[]"),
    ],
)
def test_declaration_splits_into_name_and_type(declaration: str, name: str, type_name: str) -> None:
    assert split_declaration(declaration) == (name, type_name)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ID: 326", "ID: x", "line 2: 'x' is not a number"),
        ("ID: 326\n", "", "without a name or an ID"),
        ("offset:24;", "", "line 8: field 'pid_t prev_pid' has no offset"),
        ("size:16", "size:-1", "line 7: '-1' is not a number"),
        ("pid_t prev_pid", "*", r"line 8: '\*' declares no name"),
        ("format:", "what is this", "line 3: neither a field nor a heading"),
    ],
)
def test_malformed_text_names_the_line(old: str, new: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        parse_format("sched", SWITCH.replace(old, new))


def test_every_format_of_the_fixture_is_parsed() -> None:
    for full, text in tracepoint_formats().items():
        category, _, name = full.partition(":")
        found = parse_format(category, text)
        assert found.name == name
        assert [f.offset for f in found.fields] == sorted(f.offset for f in found.fields)


@given(st.data())
def test_mutated_text_parses_or_is_our_error(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(SWITCH)))
    removed = data.draw(st.integers(0, 12))
    inserted = data.draw(st.text(alphabet=":;[]()* \t\nfield:0aé²", max_size=5))
    try:
        found = parse_format("sched", SWITCH[:at] + inserted + SWITCH[at + removed :])
    except FormatError as error:
        assert "tracepoint format" in str(error)
    else:
        assert all(field.name and field.size >= 0 for field in found.fields)
