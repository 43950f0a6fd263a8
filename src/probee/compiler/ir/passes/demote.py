"""Puts numbers that wait long into slots, which `scratch` may move: only where code generation found the stack too small.

A number that is used far behind where it was computed is stored at once and loaded for each use; registers then hold it for no
longer than that.  Numbers that need bounds stay as they are: the kernel's verifier learns bounds of registers.  A pointer at a
constant distance from another is computed for each use.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.dominance import reverse_postorder
from probee.compiler.ir.passes.bounds import Bounds
from probee.compiler.ir.type import DIRECT, VOID, pointer
from probee.compiler.ir.unit import Block, Function, Slot, Unit, Value

PATIENCE = 3  # calls that a number may wait in a register
_CALLS = frozenset((op.HELPER, op.CALL, op.KFUNC))
_MADE = frozenset((op.CONST, op.LATE))


def run(function: Function, unit: Unit) -> bool:
    """Demote every number that waits longer than PATIENCE; return whether there was one."""
    instead = {value: Value(op.ALLOCA, pointer("stack"), [], Slot(8, 8, "a number")) for value in _waiting(function)}
    for block in function.blocks:
        _Rewriting(block, instead).run()
    function.entry.values[:0] = instead.values()
    return bool(instead)


def _waiting(function: Function) -> list[Value]:
    """Return the numbers with more calls between them and their last use, in the order of the code, than is good."""
    kept = Bounds(function).needed
    order = reverse_postorder(function)
    made: dict[Value, int] = {}
    last: dict[Value, int] = {}
    calls = 0
    for block in order:
        for value in block.values:
            if value.op != op.PHI:
                last.update(dict.fromkeys(value.args, calls))
            calls += value.op in _CALLS
            if value.type.is_int and value.op not in _MADE and value not in kept:
                made[value] = calls
        for successor in block.successors:
            for phi in successor.values:
                if phi.op != op.PHI:
                    break
                last.update(dict.fromkeys(phi.args, calls))
    return [value for value, at in made.items() if last.get(value, at) - at > PATIENCE]


class _Rewriting:
    """Stores what a block computes, loads what it uses; a number that is in a register is used as long as PATIENCE lasts."""

    def __init__(self, block: Block, instead: dict[Value, Value]) -> None:
        self.block = block
        self.instead = instead
        self.calls = 0
        self.out: list[Value] = []
        self.held: dict[Value, tuple[Value, int]] = {}  # number → what holds it, the calls until then

    def run(self) -> None:
        phis = [value for value in self.block.values if value.op == op.PHI]
        self.out += phis
        for value in phis:
            self._store(value)
        for value in self.block.values[len(phis) :]:
            if value.op in op.TERMINATORS:
                self._load_for_phis()
            value.args = [self._use(arg) for arg in value.args]
            self.calls += value.op in _CALLS
            self.out.append(value)
            self._store(value)
        self.block.values = self.out

    def _store(self, value: Value) -> None:
        if value in self.instead:
            self.out.append(Value(op.STORE, VOID, [self.instead[value], value], 0, value.span))
            self.held[value] = value, self.calls

    def _use(self, value: Value) -> Value:
        if value.op == op.OFFSET and value.args[1].op == op.CONST and value.type.space in DIRECT:
            value = Value(op.OFFSET, value.type, value.args, None, value.span)  # as good as the one above, and short-lived
            self.out.append(value)
        if value not in self.instead:
            return value
        holder, since = self.held.get(value, (value, -PATIENCE - 1))
        if self.calls - since > PATIENCE:
            holder = Value(op.LOAD, value.type, [self.instead[value]], 0, value.span)
            self.out.append(holder)
            self.held[value] = holder, self.calls
        return holder

    def _load_for_phis(self) -> None:
        for successor in self.block.successors:
            for phi in successor.values:
                if phi.op != op.PHI:
                    break
                for index, before in enumerate(successor.predecessors):
                    if before is self.block:
                        phi.args[index] = self._use(phi.args[index])
