"""What arithmetic and comparisons of constants give: eBPF's semantics on unsigned numbers of `bits` bits (op.py, group 3)."""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.ir import op


def evaluate(operation: str, left: int, right: int, bits: int) -> int:
    """Return `left operation right`, unsigned; 0 or 1 for a comparison."""
    return EVALUATE[operation](left, right, bits) & ((1 << bits) - 1)


def signed(number: int, bits: int) -> int:
    """Return an unsigned number of `bits` bits as a signed one."""
    return number - (1 << bits) if number >> (bits - 1) else number


def _signed_division(left: int, right: int, bits: int) -> int:
    """Rounds toward zero; the smallest number divided by -1 wraps."""
    if not right:
        return 0
    a, b = signed(left, bits), signed(right, bits)
    magnitude = abs(a) // abs(b)
    return magnitude if (a < 0) == (b < 0) else -magnitude


def _signed_remainder(left: int, right: int, bits: int) -> int:
    """Has the sign of the left operand."""
    if not right:
        return left
    a = signed(left, bits)
    magnitude = abs(a) % abs(signed(right, bits))
    return magnitude if a >= 0 else -magnitude


EVALUATE: dict[str, Callable[[int, int, int], int]] = {
    op.ADD: lambda a, b, bits: a + b,
    op.SUB: lambda a, b, bits: a - b,
    op.MUL: lambda a, b, bits: a * b,
    op.UDIV: lambda a, b, bits: a // b if b else 0,
    op.UREM: lambda a, b, bits: a % b if b else a,
    op.SDIV: _signed_division,
    op.SREM: _signed_remainder,
    op.AND: lambda a, b, bits: a & b,
    op.OR: lambda a, b, bits: a | b,
    op.XOR: lambda a, b, bits: a ^ b,
    op.SHL: lambda a, b, bits: a << b % bits,
    op.LSHR: lambda a, b, bits: a >> b % bits,
    op.ASHR: lambda a, b, bits: signed(a, bits) >> b % bits,
    op.EQ: lambda a, b, bits: a == b,
    op.NE: lambda a, b, bits: a != b,
    op.ULT: lambda a, b, bits: a < b,
    op.ULE: lambda a, b, bits: a <= b,
    op.UGT: lambda a, b, bits: a > b,
    op.UGE: lambda a, b, bits: a >= b,
    op.SLT: lambda a, b, bits: signed(a, bits) < signed(b, bits),
    op.SLE: lambda a, b, bits: signed(a, bits) <= signed(b, bits),
    op.SGT: lambda a, b, bits: signed(a, bits) > signed(b, bits),
    op.SGE: lambda a, b, bits: signed(a, bits) >= signed(b, bits),
}
