"""demote: numbers that wait long are stored and loaded again."""

from __future__ import annotations

from ir_passes import Draft, assert_same, each
from probee.compiler.ir import op
from probee.compiler.ir.passes import dce, demote, number, promote, simplify
from probee.compiler.ir.passes.demote import PATIENCE
from probee.compiler.ir.type import I64, pointer
from probee.compiler.ir.unit import Function, Unit, Value, connect


def waiting(n_calls: int) -> Draft:
    """A number that is used again after some calls."""
    d = Draft()
    data = d.helper("ktime_get_ns")
    d.helper("send_signal", d.const(1))
    for _ in range(n_calls - 1):
        d.helper("ktime_get_ns")
    d.return_(d.add(data, 1))
    return d


def test_a_number_that_waits_is_loaded_where_it_is_used() -> None:
    d = waiting(PATIENCE + 1)
    assert d.run(demote.run)
    store, load = d.one(op.STORE), d.one(op.LOAD)
    assert store.args == [d.one(op.ALLOCA), d.all(op.HELPER)[0]]
    assert d.one(op.ADD).args[0] is load


def test_a_number_that_is_used_soon_stays_where_it_is() -> None:
    assert not waiting(PATIENCE).run(demote.run)


def test_what_needs_bounds_stays_where_it_is() -> None:
    d = Draft(pointer("context"), I64)
    size = d.and_(d.param(1), 63)
    for _ in range(PATIENCE + 2):
        d.helper("ktime_get_ns")
    d.helper("perf_event_output", d.param(0), d.map("table"), d.const(0), d.alloca(64), size)
    d.run(demote.run)
    assert d.all(op.HELPER)[-1].args[-1] is size


def test_a_phi_of_a_loop_may_wait() -> None:
    d = Draft()
    counter = d.alloca(8)
    d.store(counter, d.const(0))
    head, body, out = d.new_block(), d.new_block(), d.new_block()
    d.jump(head)
    d.at(head)
    d.branch(d.compare(op.ULT, d.load(counter, I64), 9), body, out)
    d.at(body)
    for _ in range(PATIENCE + 1):
        d.helper("ktime_get_ns")
    d.store(counter, d.add(d.load(counter, I64), 1))
    d.jump(head)
    d.at(out)
    d.run(promote.run)
    assert d.run(demote.run)
    assert isinstance(d.one(op.PHI), Value)
    assert d.one(op.ADD).args[0] is d.one(op.LOAD)


def test_random_programs_do_the_same_with_numbers_in_memory() -> None:
    n_demoted = 0

    def run(function: Function, unit: Unit) -> bool:
        nonlocal n_demoted
        connect(function)
        changed = demote.run(function, unit)
        n_demoted += changed
        return changed

    for seed in range(120):
        assert_same(seed, each(promote.run, number.run, simplify.run, dce.run, run))
    assert n_demoted > 40
