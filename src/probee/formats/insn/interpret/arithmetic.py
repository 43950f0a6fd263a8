"""What BPF arithmetic and comparisons mean, as functions of two numbers (RFC 9669, section 4).

Operands and results are unsigned; a 32-bit function gets the low halves already cut off.  Division by zero is 0, modulo
zero leaves the dividend, shift counts wrap.
"""

from __future__ import annotations

from collections.abc import Callable

from probee.formats.insn import opcode as o

U32 = 0xFFFF_FFFF
U64 = 0xFFFF_FFFF_FFFF_FFFF
Binary = Callable[[int, int], int]
Compare = Callable[[int, int], object]


def _signed(value: int, bits: int) -> int:
    half = 1 << (bits - 1)
    return ((value & (2 * half - 1)) ^ half) - half


def _divide_signed(a: int, b: int, bits: int) -> int:
    """Quotient that truncates towards zero; the one that overflows wraps to the smallest number."""
    a, b = _signed(a, bits), _signed(b, bits)
    if b == 0:
        return 0
    quotient = abs(a) // abs(b)
    return (-quotient if (a < 0) != (b < 0) else quotient) & ((1 << bits) - 1)


def _modulo_signed(a: int, b: int, bits: int) -> int:
    """Remainder with the sign of the dividend."""
    x, y = _signed(a, bits), _signed(b, bits)
    if y == 0:
        return a
    remainder = abs(x) % abs(y)
    return (-remainder if x < 0 else remainder) & ((1 << bits) - 1)


def _binary(bits: int) -> dict[tuple[int, int], Binary]:
    """Return the functions of one width by (operation, is it signed)."""
    mask, shift, top = (1 << bits) - 1, bits - 1, 1 << (bits - 1)
    return {
        (o.ADD, 0): lambda a, b: (a + b) & mask,
        (o.SUB, 0): lambda a, b: (a - b) & mask,
        (o.MUL, 0): lambda a, b: a * b & mask,
        (o.DIV, 0): lambda a, b: a // b if b else 0,
        (o.DIV, 1): lambda a, b: _divide_signed(a, b, bits),
        (o.OR, 0): lambda a, b: a | b,
        (o.AND, 0): lambda a, b: a & b,
        (o.LSH, 0): lambda a, b: a << (b & shift) & mask,
        (o.RSH, 0): lambda a, b: a >> (b & shift),
        (o.MOD, 0): lambda a, b: a % b if b else a,
        (o.MOD, 1): lambda a, b: _modulo_signed(a, b, bits),
        (o.XOR, 0): lambda a, b: a ^ b,
        (o.ARSH, 0): lambda a, b: (((a ^ top) - top) >> (b & shift)) & mask,
    }


ALU64 = _binary(64)
ALU32 = _binary(32)


def sign_extend(value: int, bits: int, width: int) -> int:
    """Return the low `bits` of a value sign-extended to `width` bits."""
    return _signed(value, bits) & ((1 << width) - 1)


def swap(value: int, bits: int) -> int:
    """Return the low `bits` of a value with their bytes in reverse."""
    size = bits // 8
    return int.from_bytes((value & ((1 << bits) - 1)).to_bytes(size, "little"), "big")


def _compare(bits: int) -> dict[int, Compare]:
    """Return the conditions of one width.  Subtraction in place of equality makes an unset register an error."""
    top = 1 << (bits - 1)
    return {
        o.JEQ: lambda a, b: not a - b,
        o.JNE: lambda a, b: a - b,
        o.JGT: lambda a, b: a > b,
        o.JGE: lambda a, b: a >= b,
        o.JLT: lambda a, b: a < b,
        o.JLE: lambda a, b: a <= b,
        o.JSET: lambda a, b: a & b,
        o.JSGT: lambda a, b: (a ^ top) > (b ^ top),
        o.JSGE: lambda a, b: (a ^ top) >= (b ^ top),
        o.JSLT: lambda a, b: (a ^ top) < (b ^ top),
        o.JSLE: lambda a, b: (a ^ top) <= (b ^ top),
    }


JMP64 = _compare(64)
JMP32 = _compare(32)
