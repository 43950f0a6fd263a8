"""What tests of passes share: IR that is run in the IR interpreter before and after, and judged by verify.py."""

from __future__ import annotations

import random
from collections.abc import Callable

from ir_generator import random_input, random_unit
from ir_interpreter import IrMachine
from probee.compiler.ir.build import Builder
from probee.compiler.ir.type import I64, Type, pointer
from probee.compiler.ir.unit import Function, Program, Unit, Value, connect
from probee.compiler.ir.verify import verify
from probee.model.spec import MapSpec, MapType, ProgramType

ZERO = bytes(4)
FunctionPass = Callable[[Function, Unit], bool]
Outcome = tuple[int, object, object]
Write = Callable[[], object]


def run_random(unit: Unit, seed: int) -> Outcome:
    """Return what a random unit leaves: its result, and the contents of its maps."""
    machine = IrMachine(unit.programs[0].functions, unit.maps)
    machine.set("data", ZERO, random_input(random.Random(seed)))
    if "far" in unit.maps:
        machine.set("far", ZERO, random_input(random.Random(seed + 1))[: unit.maps["far"].value_size])
    result = machine.run(bytes(64))
    return result, machine.get("data", ZERO), {key: machine.get("table", key) for key in machine.maps["table"].entries}


def each(*passes: FunctionPass) -> Callable[[Unit], Unit]:
    """Return passes over functions as one pass over a unit."""

    def run(unit: Unit) -> Unit:
        for program in unit.programs:
            for function in program.functions:
                connect(function)
                for one in passes:
                    one(function, unit)
        return unit

    return run


def assert_same(seed: int, run: Callable[[Unit], Unit], *, far: bool = False) -> Unit:
    """Check that a pass leaves a random unit legal and doing what it did; returns the unit after the pass."""
    before = random_unit(seed, size=10 + seed % 50, far=far)
    want = run_random(before, seed)
    after = verify(run(random_unit(seed, size=10 + seed % 50, far=far)))
    assert run_random(after, seed) == want
    return after


def ops(function: Function) -> list[str]:
    """Return the operations of a function, without constants, in the order of the text."""
    return [value.op for block in function.blocks for value in block.values if value.op != "const"]


def only(function: Function, operation: str) -> Value:
    """Return the one value of an operation."""
    found = [value for block in function.blocks for value in block.values if value.op == operation]
    assert len(found) == 1, f"{len(found)} of {operation}"
    return found[0]


class Draft(Builder):
    """A builder of one function `f` in a unit with the maps `table` (8-byte keys, 16-byte values) and `ring`."""

    def __init__(self, *parameters: Type) -> None:
        super().__init__(Function("f", parameters or (pointer("context"),), I64))
        self.unit = Unit()
        self.unit.features = frozenset(("atomic_fetch", "probe_read_kernel"))
        self.unit.maps["table"] = MapSpec("table", MapType.HASH, 8, 16, 8)
        self.unit.maps["ring"] = MapSpec("ring", MapType.RINGBUF, 0, 0, 4096)
        self.unit.programs.append(Program("f", ProgramType.KPROBE, [self.function]))

    def run(self, one: FunctionPass) -> bool:
        """Run a pass, with a return added where there is none, and check the result."""
        if not self.terminated:
            self.return_(self.const(0))
        verify(self.unit)
        changed = one(self.function, self.unit)
        verify(self.unit)
        return changed

    def lookup(self, key: Value) -> Value:
        return self.helper("map_lookup_elem", self.map("table"), key, type=pointer("map", nullable=True))

    def diamond(self, condition: Value, then: Write | None = None, otherwise: Write | None = None) -> None:
        """if … else …, and go on where both join."""
        yes, no, join = self.new_block(), self.new_block(), self.new_block()
        self.branch(condition, yes, no)
        for block, fill in ((yes, then), (no, otherwise)):
            self.at(block)
            if fill is not None:
                fill()
            if not self.terminated:
                self.jump(join)
        self.at(join)

    def all(self, operation: str) -> list[Value]:
        return [value for block in self.function.blocks for value in block.values if value.op == operation]

    def one(self, operation: str) -> Value:
        """Return the one value of an operation."""
        return only(self.function, operation)
