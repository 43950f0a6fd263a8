"""Late constants."""

from __future__ import annotations

import os

import pytest

from probee.errors import Source, UnknownName, UsageError, make_span
from probee.model.spec import LateConstant
from probee.runtime.constants import Run, resolve_constants


class Symbols:
    def address(self, name):
        return {"jiffies": 0xFFFF_8000_0000_1000}.get(name)


def value(kind: str, argument: str = "", run: Run | None = None) -> int:
    return resolve_constants([LateConstant("c", kind, argument, span=make_span(2, 5))], run or Run())["c"]


def test_symbols_are_addresses():
    assert value("kaddr", "jiffies", Run(symbols=Symbols())) == 0xFFFF_8000_0000_1000


def test_a_symbol_that_is_not_there_is_an_error_at_its_place():
    run = Run(symbols=Symbols(), source=Source("stdin", "a kaddr"))
    with pytest.raises(UnknownName) as caught:
        value("kaddr", "asdf", run)
    assert caught.value.report().startswith("stdin:1:3-6: ERROR: Failed to resolve kernel symbol: asdf\n")


@pytest.mark.parametrize("argument, number", [("1", 5), ("2", 255), ("3", 0), ("4", 2**64 - 3)])
def test_parameters_are_numbers_and_missing_ones_zero(argument, number):
    run = Run(parameters=["5", "0xff"] if argument != "4" else ["", "", "", "-3"])
    assert value("param", argument, run) == number


def test_a_parameter_that_is_no_number_is_named():
    with pytest.raises(UsageError, match=r"\$1 must be a number here, not 'abc'"):
        value("param", "1", Run(parameters=["abc"]))


def test_processes_and_namespaces():
    run = Run(child_pid=7, filter_pid=8)
    assert value("self_pid") == os.getpid()
    assert (value("child_pid", run=run), value("filter_pid", run=run)) == (7, 8)
    assert value("self_pidns_ino") == os.stat("/proc/self/ns/pid").st_ino


def test_one_run_has_one_start_time():
    run = Run()
    assert value("start_boot_ns", run=run) == value("start_boot_ns", run=run) > 0


def test_the_id_of_a_cgroup_is_its_inode(tmp_path):
    assert value("cgroup_id", str(tmp_path)) == tmp_path.stat().st_ino
    with pytest.raises(UnknownName, match="missing"):
        value("cgroup_id", str(tmp_path / "missing"))


def test_a_constant_of_an_unknown_kind_is_refused():
    with pytest.raises(UsageError, match="new_kind"):
        value("new_kind")
