"""scratch: what does not fit the stack moves to a per-CPU map, claimed and given back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ir_generator import random_unit
from ir_interpreter import IrMachine
from ir_passes import Draft, run_random
from probee.compiler.ir import op
from probee.compiler.ir.build import Builder
from probee.compiler.ir.passes import scratch as module
from probee.compiler.ir.passes.claim import NO_SCRATCH, VALUE_BYTES
from probee.compiler.ir.passes.scratch import scratch
from probee.compiler.ir.type import I64, VOID, pointer
from probee.compiler.ir.unit import Function, Unit, Value
from probee.compiler.ir.verify import verify
from probee.errors import CompileError
from probee.model.spec import MapSpec, MapType

ZERO = bytes(4)


def loss() -> MapSpec:
    return MapSpec("loss", MapType.PERCPU_ARRAY, 4, 8, 3, role="loss")


def draft(*sizes: int, nesting: int = 1) -> tuple[Draft, list[Value]]:
    """Return a function that needs all of its slots at once."""
    d = Draft()
    d.unit.maps["loss"] = loss()
    d.unit.programs[0].nesting = nesting
    slots = [d.alloca(size, name=f"slot{size}") for size in sizes]
    for slot in slots:
        d.store(slot, d.const(slot.attr.size))
    total = d.const(0)
    for slot in slots:
        d.helper("trace_printk", slot, d.const(8))
        total = d.add(total, d.load(slot, I64))
    d.return_(total)
    verify(d.unit)
    return d, slots


def test_what_fits_stays() -> None:
    d, slots = draft(64, 128)
    verify(scratch(d.unit))
    assert d.all(op.ALLOCA) == slots
    assert "scratch" not in d.unit.maps


@pytest.mark.parametrize(("option", "moves"), [("", False), ("roomy", True), ("tight", True)])
def test_a_further_attempt_leaves_more_room_for_what_is_in_registers(option: str, moves: bool) -> None:
    d, _ = draft(440)
    d.unit.options = {option: True}
    verify(scratch(d.unit))
    assert ("scratch" in d.unit.maps) == moves


def test_the_largest_moves_first() -> None:
    d, slots = draft(64, 400, 128)
    verify(scratch(d.unit))
    left = d.all(op.ALLOCA)
    assert slots[0] in left
    assert slots[2] in left
    assert slots[1] not in left
    assert d.unit.maps["scratch"].value_size == 400
    assert d.unit.maps["scratch"].max_entries == 1


@pytest.mark.parametrize("nesting", [1, 3])
def test_the_program_does_what_it_did_and_gives_its_frame_back(nesting: int) -> None:
    d, _ = draft(64, 400, 300, nesting=nesting)
    verify(scratch(d.unit))
    machine = Machine(d.unit)
    for _ in range(5):
        assert machine.run(bytes(64)) == 764
    spec = d.unit.maps["scratch"]
    assert spec.max_entries == nesting
    if nesting > 1:
        frames = [machine.get("scratch", key) for key in machine.maps["scratch"].entries]
        assert all(frame is not None and frame[:8] == bytes(8) for frame in frames)


def test_a_run_that_finds_no_free_frame_is_counted_and_returns() -> None:
    d, _ = draft(400, 300, nesting=2)
    verify(scratch(d.unit))
    machine = Machine(d.unit)
    taken = (1).to_bytes(8, "little")
    for key, address in machine.maps["scratch"].entries.items():
        machine.write(address, taken)
        assert machine.get("scratch", key) is not None
    assert machine.run(bytes(64)) == 0
    assert machine.get("loss", NO_SCRATCH.to_bytes(4, "little")) == taken


def test_nothing_is_claimed_before_the_predicate_has_said_yes() -> None:
    d = Draft(pointer("context"), I64)
    d.unit.maps["loss"] = loss()
    slot = d.alloca(600)
    d.diamond(d.compare(op.EQ, d.param(1), 1), None, lambda: d.return_(d.const(0)))
    d.helper("trace_printk", slot, d.const(8))
    d.return_(d.const(1))
    verify(scratch(d.unit))
    assert not any(value.op == op.HELPER for value in d.function.entry.values)


def test_a_slot_that_holds_pointers_stays() -> None:
    d = Draft()
    holder, large = d.alloca(440, name="holder"), d.alloca(40)
    d.store(holder, large)
    d.helper("trace_printk", holder, d.const(8))
    d.helper("trace_printk", large, d.const(8))
    d.return_(d.const(0))
    verify(scratch(d.unit))
    assert holder in d.all(op.ALLOCA)


def test_more_than_a_map_value_can_hold_is_an_error_that_names_the_variable() -> None:
    d, _ = draft(VALUE_BYTES + 8)
    with pytest.raises(CompileError, match=f"slot{VALUE_BYTES + 8}"):
        scratch(d.unit)


@pytest.mark.parametrize(("size", "moves"), [(120, False), (240, True)])
def test_a_callee_uses_the_stack_of_its_caller(size: int, moves: bool) -> None:
    d, _ = draft(size)
    callee, _ = draft(size)
    callee.function.name, callee.function.kind, callee.function.parameters = "g", "subprogram", (I64,)
    d.unit.programs[0].functions.append(callee.function)
    call = Value(op.CALL, I64, [d.one(op.RETURN).args[0]], "g")
    d.function.blocks[-1].values[-1:] = [call, Value(op.RETURN, VOID, [call])]
    verify(scratch(verify(d.unit)))
    assert ("scratch" in d.unit.maps) == moves


@pytest.mark.parametrize("kernel", ["5.10", "5.12"])
def test_an_array_with_a_variable_index_moves_where_the_stack_has_none(kernel: str) -> None:
    d = Draft(pointer("context"), I64)
    d.unit.maps["loss"] = loss()
    d.unit.features = frozenset(("atomic_fetch",) if kernel == "5.12" else ())
    array, other = d.alloca(32, name="array"), d.alloca(8)
    d.zero(array, 32)
    d.store(other, d.const(2))
    at = d.shl(d.bound(d.load(other, I64), 3), 3)
    d.store(d.offset(array, at), d.const(9))
    d.return_(d.add(d.load(d.offset(array, at), I64), d.load(array, I64, 8)))
    verify(scratch(d.unit))
    assert (array in d.all(op.ALLOCA)) == (kernel == "5.12")
    assert other in d.all(op.ALLOCA)
    assert Machine(d.unit).run(bytes(64)) == 9


def passed_on(write: Callable[[Builder], object]) -> Draft:
    """Return a function that gives 600 bytes to another, which does something with them."""
    d = Draft()
    d.unit.maps["loss"] = loss()
    text = d.alloca(600, name="text")
    d.store(text, d.const(40))
    inner = Builder(Function("inner", (pointer("stack"),), I64, kind="subprogram"))
    write(inner)
    inner.return_(inner.load(inner.param(0), I64))
    d.unit.programs[0].functions.append(inner.function)
    d.return_(d.add(d.call("inner", text), d.load(text, I64)))
    verify(d.unit)
    return d


def test_what_is_passed_to_a_function_moves_too() -> None:
    d = passed_on(lambda inner: inner.store(inner.param(0), inner.const(41)))
    verify(scratch(d.unit))
    assert not [slot for slot in d.all(op.ALLOCA) if slot.attr.size > 8]
    assert Machine(d.unit).run(bytes(64)) == 82


def test_what_the_function_keeps_a_pointer_in_stays() -> None:
    d = passed_on(lambda inner: inner.store(inner.param(0), inner.alloca(8), 8))
    verify(scratch(d.unit))
    assert [slot.attr.size for slot in d.all(op.ALLOCA)] == [600]


class Machine(IrMachine):
    """The interpreter, with a helper whose only effect is to read."""

    def __init__(self, unit: Unit) -> None:
        super().__init__(unit.programs[0].functions, unit.maps)

    def helper_trace_printk(self, text: int, size: int) -> int:
        self.read(text, size)
        return 0


def small_stack(seed: int, nesting: int) -> Unit:
    unit = random_unit(seed, size=10 + seed % 30)
    unit.maps["loss"] = loss()
    unit.programs[0].nesting = nesting
    return unit


@pytest.mark.parametrize("nesting", [1, 2])
@pytest.mark.parametrize("seed", range(25))
def test_random_programs_stay_the_same_in_a_small_stack(seed: int, nesting: int, monkeypatch: pytest.MonkeyPatch) -> None:
    want = run_random(small_stack(seed, nesting), seed)
    monkeypatch.setattr(module, "STACK_BYTES", 96)
    unit = verify(scratch(small_stack(seed, nesting)))
    assert "scratch" in unit.maps
    assert run_random(unit, seed) == want
