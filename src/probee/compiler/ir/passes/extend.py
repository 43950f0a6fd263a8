"""Sign extensions of what a branch has shown not to be negative become zero extensions.

The kernel's verifier forgets what it knows of the low 32 bits of a register when they are extended with their sign, and so
refuses `if (i < 0 || i >= 4) return 0; … t[i]` of an int; through a zero extension it keeps their range.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.passes.fact import Facts
from probee.compiler.ir.passes.known import walk
from probee.compiler.ir.type import BOOL
from probee.compiler.ir.unit import Function, Unit, Value

_SIGN = "not negative"


class Signs(Facts):
    """Which numbers are not negative at the current place."""

    __slots__ = ("wider",)

    def __init__(self) -> None:
        super().__init__()
        self.wider: dict[Value, Value] = {}  # number → its sign extension that was compared

    def learn(self, condition: Value, holds: bool) -> None:
        operation, args = condition.op, condition.args
        if operation == op.XOR and args[1].op == op.CONST and condition.type is BOOL:
            self.learn(args[0], holds != bool(args[1].attr))
        elif operation == (op.AND if holds else op.OR) and condition.type is BOOL:
            for each in args:
                self.learn(each, holds)
        elif operation in op.COMPARISONS and args[0].type.is_int:
            left, right = args
            if left.op == op.CONST:
                left, right, operation = right, left, op.SWAPPED[operation]
            if right.op == op.CONST and _shows(operation if holds else op.NEGATED[operation], right.attr, left.type.bits):
                self._note((_SIGN, left), 1)
                if left.op == op.SEXT:
                    self._note((_SIGN, left.args[0]), 1)
                    self.wider[left.args[0]] = left

    def not_negative(self, value: Value) -> bool:
        if value.op == op.CONST:
            return not value.attr >> (value.type.bits - 1)
        return (_SIGN, value) in self._known


def _shows(operation: str, number: int, bits: int) -> bool:
    """Return whether `x operation number` says that x is not negative."""
    half = 1 << (bits - 1)
    signed = number - 2 * half if number & half else number
    return {
        op.SGE: signed >= 0, op.SGT: signed >= -1, op.EQ: signed >= 0, op.ULT: number <= half, op.ULE: number < half,
    }.get(operation, False)  # fmt: skip


def run(function: Function, unit: Unit) -> bool:
    """Replace them; return whether there were any."""
    signs = Signs()
    joined = _joined(function, signs)
    changed = False
    for block in walk(function, signs):
        for value in block.values:
            if value.op != op.SEXT or value.type.bits != 64:
                continue
            source = value.args[0]
            if signs.not_negative(source) or source in joined:
                value.op = op.ZEXT
                wider = signs.wider.get(source)
                if wider is not None and signs.not_negative(wider):
                    value.args[0] = wider
                changed = True
    return changed


def _joined(function: Function, signs: Signs) -> set[Value]:
    """Return the phis that are not negative whichever way one comes."""
    sure: dict[Value, int] = {}
    for block in walk(function, signs):
        last = block.values[-1]
        for successor in dict.fromkeys(block.successors):
            mark = signs.mark()
            if last.op == op.BRANCH and last.attr[0] is not last.attr[1]:
                signs.learn(last.args[0], last.attr[0] is successor)
            for index, predecessor in enumerate(successor.predecessors):
                if predecessor is block:
                    for phi in (value for value in successor.values if value.op == op.PHI):
                        sure[phi] = sure.get(phi, 0) + signs.not_negative(phi.args[index])
            signs.undo(mark)
    return {phi for phi, count in sure.items() if count == len(phi.args) and phi.type.is_int}
