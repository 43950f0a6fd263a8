"""How many low bits of a value's register may be set, and which values must have clean upper bits.

A narrow integer lives in a 64-bit register.  It is *clean* when everything above its type's width is zero.  Loads,
32-bit arithmetic and masks are clean by nature; a truncation is free and leaves dirt.  Whoever needs a clean operand
(zero extension, unsigned division, right shift, comparison below 32 bits, a call) has it cleaned where it is defined, in
place, so that a comparison and a later use see one register: the verifier learns bounds of registers, not of values.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.type import I32, I64
from probee.compiler.ir.unit import Block, Value

_CALLS = frozenset((op.HELPER, op.CALL, op.KFUNC, op.RETURN))
_NARROW_CLEAN = frozenset((op.UDIV, op.UREM, op.EQ, op.NE, op.ULT, op.ULE, op.UGT, op.UGE))


def demanded_clean(blocks: list[Block]) -> set[Value]:
    """Return the narrow values that some use needs with clean upper bits."""
    demanded: set[Value] = set()
    for block in blocks:
        for value in block.values:
            operation = value.op
            if operation == op.ZEXT or operation in _CALLS:
                demanded.update(arg for arg in value.args if arg.type.bits < 64)
            elif operation in _NARROW_CLEAN:
                demanded.update(arg for arg in value.args if arg.type.bits < 32)
            elif operation == op.LSHR and value.type.bits < 32:
                demanded.add(value.args[0])
    return demanded


class Widths:
    """The width of every value, optimistic about phis: they start at nothing and grow until nothing changes."""

    __slots__ = ("_demanded", "of")

    def __init__(self, blocks: list[Block], demanded: set[Value]) -> None:
        self.of: dict[Value, int] = {}
        self._demanded = demanded
        phis = [value for block in blocks for value in block.values if value.op == op.PHI]
        self.of.update(dict.fromkeys(phis, 0))
        moving = self._first(blocks, set(phis))
        while True:
            grown = [phi for phi in phis if self._limited(phi, self._phi(phi)) > self.of[phi]]
            if not grown:
                return
            for phi in grown:  # in large steps, so that loops that count end at once
                width = self._phi(phi)
                steps = (phi.type.bits, I32.bits, I64.bits)
                self.of[phi] = self._limited(phi, next(step for step in steps if step >= width))
            for value in moving:
                self.of[value] = self._limited(value, self._natural(value))

    def _first(self, blocks: list[Block], moved: set[Value]) -> list[Value]:
        """Set the width of everything; return the values that are computed from phis."""
        of, demanded = self.of, self._demanded
        moving: list[Value] = []
        for block in blocks:
            for value in block.values:
                operation = value.op
                if operation == op.PHI:
                    continue
                rule = _RULES.get(operation)
                if rule is None:
                    width = value.type.bits if operation in _CLEAN else 64
                else:
                    width = rule(value, of)
                    if moved and not moved.isdisjoint(value.args):
                        moved.add(value)
                        moving.append(value)
                of[value] = min(width, value.type.bits) if value in demanded else width
        return moving

    def is_clean(self, value: Value) -> bool:
        return self.of[value] <= value.type.bits

    def natural(self, value: Value) -> int:
        """Return the width of what an instruction leaves in the register, before any cleaning."""
        return self._phi(value) if value.op == op.PHI else self._natural(value)

    def _limited(self, value: Value, width: int) -> int:
        return min(width, value.type.bits) if value in self._demanded else width

    def _phi(self, phi: Value) -> int:
        return max((self.of.get(arg, 64) for arg in phi.args), default=64)

    def _natural(self, value: Value) -> int:
        rule = _RULES.get(value.op)
        if rule is not None:
            return rule(value, self.of)
        return value.type.bits if value.op in _CLEAN else 64


_CLEAN = op.COMPARISONS | {
    op.LOAD, op.LOAD_CONTEXT, op.LOAD_TRUSTED, op.BSWAP, op.CHECK_NULL, op.CHECK_PACKET, op.UDIV, op.UREM, op.ATOMIC,
    op.COMPARE_EXCHANGE,
}  # fmt: skip


def _const(value: Value, of: dict[Value, int]) -> int:
    return int(value.attr).bit_length()


def _and(value: Value, of: dict[Value, int]) -> int:
    return min(of[value.args[0]], of[value.args[1]])


def _or(value: Value, of: dict[Value, int]) -> int:
    return min(_machine_width(value), max(of[value.args[0]], of[value.args[1]]))


def _add(value: Value, of: dict[Value, int]) -> int:
    return min(_machine_width(value), 1 + max(of[value.args[0]], of[value.args[1]]))


def _mul(value: Value, of: dict[Value, int]) -> int:
    return min(_machine_width(value), of[value.args[0]] + of[value.args[1]])


def _shl(value: Value, of: dict[Value, int]) -> int:
    count = value.args[1]
    if count.op != op.CONST:
        return _machine_width(value)
    shifted: int = count.attr % value.type.bits
    return min(_machine_width(value), of[value.args[0]] + shifted)


def _lshr(value: Value, of: dict[Value, int]) -> int:
    count = value.args[1]
    width = min(of[value.args[0]], _machine_width(value))
    shifted: int = count.attr % value.type.bits if count.op == op.CONST else 0
    return max(0, width - shifted)


def _zext(value: Value, of: dict[Value, int]) -> int:
    return min(of[value.args[0]], value.args[0].type.bits)


def _sext(value: Value, of: dict[Value, int]) -> int:
    source = value.args[0]
    return of[source] if of[source] < source.type.bits else _machine_width(value)


def _trunc(value: Value, of: dict[Value, int]) -> int:
    return of[value.args[0]]


def _machine(value: Value, of: dict[Value, int]) -> int:
    return _machine_width(value)


def _machine_width(value: Value) -> int:
    """Return the width of the arithmetic that computes the value: 32-bit operations clear the upper half."""
    return I64.bits if value.type.bits > I32.bits else I32.bits


_RULES = {
    op.CONST: _const, op.AND: _and, op.OR: _or, op.XOR: _or, op.ADD: _add, op.MUL: _mul, op.SHL: _shl, op.LSHR: _lshr,
    op.ZEXT: _zext, op.TRUNC: _trunc, op.SUB: _machine, op.ASHR: _machine, op.SDIV: _machine, op.SREM: _machine,
    op.SEXT: _sext,
}  # fmt: skip
