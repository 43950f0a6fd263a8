"""lookup: a key whose value was just read is not looked up again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ir_passes import Draft, assert_same, each
from probee.compiler.ir import op
from probee.compiler.ir.passes import dce, lookup, number, promote, simplify
from probee.compiler.ir.type import I32, I64, pointer
from probee.compiler.ir.unit import Value


def key(d: Draft, number: Value) -> Value:
    slot = d.alloca(8)
    d.store(slot, number)
    return slot


def predicate(between: Callable[[Draft], object] | None = None, *, other_key: bool = False, other_field: bool = False) -> Draft:
    """if (@x[k]) { …; return @x[k]; }"""
    d = Draft(pointer("context"), I64, I64)
    k = d.param(1)
    first = d.lookup(key(d, k))

    def body() -> None:
        d.load(d.non_null(first), I64)
        if between is not None:
            between(d)
        second = d.lookup(key(d, d.param(2) if other_key else k))
        d.diamond(d.check_null(second), lambda: d.return_(d.load(d.non_null(second), I64, 8 * other_field)))

    d.diamond(d.check_null(first), body)
    return d


def lookups(d: Draft) -> int:
    """Return how many lookups are left when everything is cleaned up."""
    d.run(lookup.run)
    for one in (number.run, simplify.run, dce.run):
        d.run(one)
    return sum(value.attr == lookup.LOOKUP for value in d.all(op.HELPER))


def test_the_body_uses_what_the_predicate_read() -> None:
    d = predicate()
    assert lookups(d) == 1
    assert len(d.all(op.CHECK_NULL)) == 1
    assert len(d.all(op.LOAD)) == 1


@pytest.mark.parametrize("helper", ["ktime_get_ns", "get_current_pid_tgid"])
def test_helpers_that_touch_no_map_do_not_matter(helper: str) -> None:
    assert lookups(predicate(lambda d: d.helper(helper))) == 1


def test_another_key_is_looked_up() -> None:
    assert lookups(predicate(other_key=True)) == 2


def test_a_field_that_was_not_read_is_looked_up() -> None:
    assert lookups(predicate(other_field=True)) == 2


@pytest.mark.parametrize("name", ["map_update_elem", "map_delete_elem", "for_each_map_elem", "some_new_helper"])
def test_the_map_may_have_changed(name: str) -> None:
    def change(d: Draft) -> None:
        slot = key(d, d.const(1))
        d.helper(name, d.map("table"), slot, slot, d.const(0))

    assert lookups(predicate(change)) == 2


def test_a_store_through_a_pointer_into_the_map_changes_it() -> None:
    def change(d: Draft) -> None:
        found = d.lookup(key(d, d.const(1)))
        d.diamond(d.check_null(found), lambda: None)
        d.store(d.map_value("table"), d.const(1))

    assert lookups(predicate(change)) >= 2


def test_a_pointer_that_is_written_through_is_looked_up() -> None:
    d = Draft(pointer("context"), I64)
    first = d.lookup(key(d, d.param(1)))

    def body() -> None:
        d.load(d.non_null(first), I64)
        second = d.lookup(key(d, d.param(1)))
        d.diamond(d.check_null(second), lambda: d.atomic("add", d.non_null(second), d.const(1)))

    d.diamond(d.check_null(first), body)
    assert lookups(d) == 2


def test_a_key_whose_bytes_are_not_all_known_is_looked_up() -> None:
    d = Draft(pointer("context"), I64)

    def half() -> Value:
        slot = d.alloca(8)
        d.helper("get_current_comm", slot, d.const(8))
        d.store(slot, d.const(1, I32))
        return slot

    first = d.lookup(half())

    def body() -> None:
        d.load(d.non_null(first), I64)
        second = d.lookup(half())
        d.diamond(d.check_null(second), lambda: d.return_(d.load(d.non_null(second), I64)))

    d.diamond(d.check_null(first), body)
    assert lookups(d) == 2


def test_where_two_ways_join_nothing_is_known() -> None:
    d = Draft(pointer("context"), I64)
    first = d.lookup(key(d, d.param(1)))
    d.diamond(d.check_null(first), lambda: d.load(d.non_null(first), I64))
    second = d.lookup(key(d, d.param(1)))
    d.diamond(d.check_null(second), lambda: d.return_(d.load(d.non_null(second), I64)))
    assert not d.run(lookup.run)


@pytest.mark.parametrize("seed", range(40))
def test_random_programs_stay_the_same(seed: int) -> None:
    assert_same(seed, each(promote.run, lookup.run, number.run, simplify.run, dce.run))
