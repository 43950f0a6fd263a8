"""Files that just-in-time compilers write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from probee.kernel.symbols.perfmap import PerfMap


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "perf-1.map"


def test_code_is_found_by_address(path: Path) -> None:
    path.write_text("1000 10 first\n0x1010 0x20 LazyCompile:~fib /app.js:3\nnonsense\n2000 8\n")
    found = PerfMap(str(path))
    assert found.find(0x1000) == ("first", 0) and found.find(0x100F) == ("first", 15)
    assert found.find(0x102F) == ("LazyCompile:~fib /app.js:3", 31)
    assert found.find(0x1030) is None and found.find(0xFFF) is None and found.find(0x2000) is None


def test_what_is_appended_is_read_when_it_is_needed(path: Path) -> None:
    path.write_text("1000 10 first\n2000 1")
    found = PerfMap(str(path))
    assert found.find(0x2000) is None
    with path.open("a") as file:
        file.write("0 second\n")
    assert found.find(0x2000) == ("second", 0) and found.find(0x1000) == ("first", 0)


def test_the_last_code_at_an_address_counts(path: Path) -> None:
    path.write_text("1000 100 large\n1040 10 old\n1030 40 new\n")
    found = PerfMap(str(path))
    assert found.find(0x1045) == ("new", 0x15) and found.find(0x1020) == ("large", 0x20)
    assert found.find(0x1075) == ("large", 0x75)


def test_a_new_file_of_the_same_name_replaces_the_old_one(path: Path) -> None:
    path.write_text("1000 10 first\n")
    found = PerfMap(str(path))
    assert found.find(0x1000) == ("first", 0)
    os.rename(path, f"{path}.old")
    path.write_text("3000 10 other\n")
    assert found.find(0x3000) == ("other", 0) and found.find(0x1000) is None


def test_a_file_of_somebody_else_is_not_believed(path: Path) -> None:
    path.write_text("1000 10 first\n")
    assert PerfMap(str(path), (os.geteuid() + 1,)).find(0x1000) is None
    assert PerfMap(str(path), (os.geteuid(),)).find(0x1000) == ("first", 0)


def test_only_a_regular_file_is_read(path: Path, tmp_path: Path) -> None:
    assert PerfMap(str(path)).find(0x1000) is None
    os.mkfifo(path)
    assert PerfMap(str(path)).find(0x1000) is None
    path.unlink()
    (tmp_path / "real").write_text("1000 10 first\n")
    path.symlink_to(tmp_path / "real")
    assert PerfMap(str(path)).find(0x1000) is None
