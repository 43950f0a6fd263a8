"""Values whose bounds the kernel's verifier must know, and which register it learns them of (no pass itself).

A computed offset into memory and a number given to a helper must have bounds.  The verifier learns them of the register that
was compared, at that point: a number computed from it earlier keeps none (and one computed again behind the check has them),
and a comparison of something else, though equal, teaches it nothing.  So these values are merged and rewritten with care.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.type import DIRECT
from probee.compiler.ir.unit import Function, Value

_CALLS = frozenset((op.HELPER, op.CALL, op.KFUNC))
_COMPUTED = op.ARITHMETIC | op.CONVERSIONS


class Bounds:
    """`needed`: values that must have bounds, and what they are computed from; `compared`: what comparisons look at."""

    __slots__ = ("compared", "needed")

    def __init__(self, function: Function) -> None:
        self.needed: set[Value] = set()
        self.compared: set[Value] = set()
        work: list[Value] = []
        for block in function.blocks:
            for value in block.values:
                operation = value.op
                if operation == op.OFFSET:
                    if value.args[1].op != op.CONST and value.type.space in DIRECT:
                        self.needed.add(value)
                        work += value.args[1:]
                elif operation in _CALLS:
                    work += [arg for arg in value.args if arg.type.is_int and arg.op != op.CONST]
                elif operation in op.COMPARISONS:
                    self.compared.update(value.args)
        while work:
            value = work.pop()
            if value not in self.needed:
                self.needed.add(value)
                if value.op in _COMPUTED:
                    work += [arg for arg in value.args if arg.op != op.CONST]

    def is_checked(self, value: Value) -> bool:
        """Return whether a needed value is computed from one that was compared, so that it must stay computed from that."""
        return value in self.needed and any(arg in self.compared and arg.op != op.CONST for arg in value.args)

    def replaced(self, value: Value, new: Value) -> None:
        """What held of a value holds of the one that stands for it."""
        if value in self.needed:
            self.needed.add(new)
        if value in self.compared:
            self.compared.add(new)
