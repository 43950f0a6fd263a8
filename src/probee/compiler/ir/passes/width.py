"""How many low bits of a value can be set (no pass itself): 0 for a constant 0, 1 for a bool, at most the type's width.

Only as far as the kernel's verifier sees it, too: what is dropped because of this may be what bounds an index.  Quotients,
remainders and what is shifted by a variable are anything to it (kernel/bpf/verifier.c, adjust_scalar_min_max_vals() marks them
unknown), so `x % 3 & 3` stays.
"""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.ir import op
from probee.compiler.ir.unit import Value

Widths = dict[Value, int]


def width_of(value: Value, width: Widths) -> int:
    """Return a value's width, given those of its arguments."""
    rule = _RULES.get(value.op)
    bits = value.type.bits
    return min(bits, rule(value, width)) if rule is not None else bits


def _most(value: Value, width: Widths) -> int:
    """or, xor, phi: the widest argument; a phi's argument that is not known yet may be anything."""
    return max(width.get(arg, 64) for arg in value.args)


def _shl(value: Value, width: Widths) -> int:
    left, count = value.args
    return width[left] + count.attr % value.type.bits if count.op == op.CONST else 64


def _lshr(value: Value, width: Widths) -> int:
    left, count = value.args
    return max(0, width[left] - count.attr % value.type.bits) if count.op == op.CONST else 64


def _ashr(value: Value, width: Widths) -> int:
    left, count = value.args
    return width[left] if width[left] < value.type.bits and count.op == op.CONST else 64


def _sext(value: Value, width: Widths) -> int:
    source = value.args[0]
    return width[source] if width[source] < source.type.bits else 64


_RULES: dict[str, Callable[[Value, Widths], int]] = {
    op.CONST: lambda value, width: value.attr.bit_length(),
    op.AND: lambda value, width: min(width[value.args[0]], width[value.args[1]]),
    op.OR: _most, op.XOR: _most, op.PHI: _most,
    op.ADD: lambda value, width: 1 + max(width[value.args[0]], width[value.args[1]]),
    op.MUL: lambda value, width: width[value.args[0]] + width[value.args[1]],
    op.SHL: _shl, op.LSHR: _lshr, op.ASHR: _ashr,
    op.ZEXT: lambda value, width: width[value.args[0]],
    op.TRUNC: lambda value, width: width[value.args[0]],
    op.SEXT: _sext,
    op.BOUND: lambda value, width: min(width[value.args[0]], value.attr.bit_length()),
}  # fmt: skip
