"""Histograms are printed as bcc prints them, column for column."""

from __future__ import annotations

import ctypes as ct
from typing import Any

import pytest

from probee.bcc import histogram
from probee.bcc.mapping import TableBase


class Table:
    """What a histogram needs of a table."""

    def __init__(self, key: Any, rows: list[tuple[Any, int]]) -> None:
        self.Key = key
        self._rows = rows

    def items(self) -> list[tuple[Any, Any]]:
        return [(key, ct.c_ulonglong(count)) for key, count in self._rows]

    print_log2_hist = TableBase.print_log2_hist
    print_linear_hist = TableBase.print_linear_hist
    print_json_hist = TableBase.print_json_hist


def plain(counts: dict[int, int]) -> Any:
    return Table(ct.c_int, [(ct.c_int(slot), count) for slot, count in counts.items()])


class Key(ct.Structure):
    _fields_ = (("name", ct.c_char * 4), ("__pad_1", ct.c_char * 4), ("slot", ct.c_ulonglong))


def sections(rows: list[tuple[bytes, int, int]]) -> Any:
    return Table(Key, [(Key(name, b"", slot), count) for name, slot, count in rows])


def test_powers_of_two_have_bars_to_scale(capsys: pytest.CaptureFixture[str]) -> None:
    plain({1: 4, 3: 10}).print_log2_hist("usecs")
    assert capsys.readouterr().out.splitlines() == [
        "     usecs               : count     distribution",
        "         0 -> 1          : 4        |****************                        |",
        "         2 -> 3          : 0        |                                        |",
        "         4 -> 7          : 10       |****************************************|",
    ]


def test_large_numbers_make_wide_columns_and_short_bars(capsys: pytest.CaptureFixture[str]) -> None:
    plain({33: 2}).print_log2_hist("nsecs")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "               nsecs                         : count     distribution"
    assert lines[-1] == "          4294967296 -> 8589934591           : 2        |********************|"


def test_leading_zeros_can_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    plain({3: 1}).print_log2_hist("x", strip_leading_zero=True)
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_an_empty_table_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    plain({}).print_log2_hist()
    plain({}).print_linear_hist()
    assert capsys.readouterr().out == ""


def test_numbers_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    plain({0: 1, 2: 2}).print_linear_hist("runqlen")
    assert capsys.readouterr().out.splitlines() == [
        "     runqlen       : count     distribution",
        "        0          : 1        |********************                    |",
        "        1          : 0        |                                        |",
        "        2          : 2        |****************************************|",
    ]


def test_a_number_without_a_row_is_an_index_error() -> None:
    with pytest.raises(IndexError, match=r"Index in print_linear_hist\(\) of 1025 exceeds max of 1025\."):
        plain({1025: 1}).print_linear_hist()


def test_each_first_member_of_a_key_has_a_histogram(capsys: pytest.CaptureFixture[str]) -> None:
    sections([(b"sda", 1, 1), (b"sdb", 2, 1)]).print_log2_hist("x", "disk")
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("disk")] == ["disk = b'sda'", "disk = b'sdb'"]
    assert lines[0] == ""


def test_sections_are_named_put_together_and_sorted_as_asked(capsys: pytest.CaptureFixture[str]) -> None:
    table = sections([(b"sda", 1, 1), (b"sdb", 2, 1), (b"vdc", 1, 7)])
    table.print_log2_hist(
        "x", "kind", section_print_fn=bytes.decode, bucket_fn=lambda name: name[:2],
        bucket_sort_fn=lambda keys: sorted(keys)[::-1],
    )  # fmt: skip
    assert [line for line in capsys.readouterr().out.splitlines() if "kind" in line] == ["kind = vd", "kind = sd"]


def test_json_has_a_row_for_each_range_up_to_the_last(capsys: pytest.CaptureFixture[str]) -> None:
    found = histogram.json_histogram([0, 4, 0, 10, 0], "usecs", ("disk", "sda"))
    assert found["data"] == [
        {"interval-start": 0, "interval-end": 1, "count": 4},
        {"interval-start": 2, "interval-end": 3, "count": 0},
        {"interval-start": 4, "interval-end": 7, "count": 10},
    ]
    assert list(found) == ["ts", "val_type", "data", "disk"]
    plain({1: 1}).print_json_hist("usecs")
    assert "'val_type': 'usecs'" in capsys.readouterr().out
