"""Algebra on conversions and pointers, and the one table of all rules; see fold.py for what a rule is."""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.passes.compare import comparison
from probee.compiler.ir.passes.constant import signed
from probee.compiler.ir.passes.fold import Rule, arithmetic, mask
from probee.compiler.ir.type import I64, Type
from probee.compiler.ir.unit import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from probee.compiler.ir.passes.fold import Maker


def zext(m: Maker, value: Value) -> Value | None:
    source = value.args[0]
    if source.op == op.CONST:
        return m.const(source.attr, value.type)
    if source.op == op.ZEXT:
        return m.make(op.ZEXT, value.type, list(source.args))
    if source.op == op.TRUNC:
        whole = source.args[0]
        if m.width[whole] <= source.type.bits:  # nothing was cut off
            return _resized(m, whole, value.type)
    return None


def _resized(m: Maker, value: Value, type: Type) -> Value:
    """Return a number that fits a type in that type."""
    if value.type is type:
        return value
    return m.make(op.TRUNC if value.type.bits > type.bits else op.ZEXT, type, [value])


def sext(m: Maker, value: Value) -> Value | None:
    source = value.args[0]
    if source.op == op.CONST:
        return m.const(signed(source.attr, source.type.bits), value.type)
    if source.op == op.SEXT:
        return m.make(op.SEXT, value.type, list(source.args))
    if m.width[source] < source.type.bits:
        return m.make(op.ZEXT, value.type, list(value.args))
    return None


def trunc(m: Maker, value: Value) -> Value | None:
    source = value.args[0]
    if source.op == op.CONST:
        return m.const(source.attr, value.type)
    if source.op in (op.TRUNC, op.ZEXT, op.SEXT):
        inner = source.args[0]
        if inner.type is value.type:
            return inner
        if inner.type.bits < value.type.bits:
            return m.make(source.op, value.type, [inner])
        return m.make(op.TRUNC, value.type, [inner])
    if source.op == op.AND and source.args[1].op == op.CONST and not ~source.args[1].attr & mask(value.type.bits):
        return m.make(op.TRUNC, value.type, [source.args[0]])
    return None


def bswap(m: Maker, value: Value) -> Value | None:
    source = value.args[0]
    if source.op == op.CONST:
        size = value.type.size
        return m.const(int.from_bytes(source.attr.to_bytes(size, "little"), "big"), value.type)
    return source.args[0] if source.op == op.BSWAP else None


def address(m: Maker, value: Value) -> Value | None:
    source = value.args[0]
    if source.op == op.POINTER:
        return source.args[0]
    distance = 0
    while source.op in (op.OFFSET, op.NON_NULL):  # &((struct s *)0)->member
        if source.op == op.OFFSET:
            if source.args[1].op != op.CONST or source in m.fields:
                return None
            distance += source.args[1].attr
        source = source.args[0]
    if source.op == op.POINTER:
        source = source.args[0]
    return m.const(source.attr + distance, I64) if source.op == op.CONST else None


def pointer(m: Maker, value: Value) -> Value | None:
    source = value.args[0]
    return source.args[0] if source.op == op.ADDRESS and source.args[0].type is value.type else None


_ADDED = frozenset(("stack", "map", "ringbuf", "kernel", "user"))  # in other spaces, sums stay as they were proved


def offset(m: Maker, value: Value) -> Value | None:
    base, by = value.args
    if by.op != op.CONST or value in m.fields or base.type.space not in _ADDED:
        return None
    if by.attr == 0:
        return base
    if base.op == op.OFFSET and base not in m.fields and base.args[1].op == op.CONST:
        return m.make(op.OFFSET, value.type, [base.args[0], m.const(base.args[1].attr + by.attr, I64)])
    return None


RULES: dict[str, Rule] = {
    **dict.fromkeys(op.ARITHMETIC, arithmetic),
    **dict.fromkeys(op.COMPARISONS, comparison),
    op.ZEXT: zext, op.SEXT: sext, op.TRUNC: trunc, op.BSWAP: bswap,
    op.ADDRESS: address, op.POINTER: pointer, op.OFFSET: offset,
}  # fmt: skip
