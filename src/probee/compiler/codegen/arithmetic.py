"""Selection of arithmetic and conversions.

64-bit types use 64-bit instructions, all narrower ones 32-bit instructions, which clear the upper half.  A machine
operation overwrites its left operand, so that it begins with a copy, which register allocation mostly removes.  x / 0 is
0 and x % 0 is x in eBPF as in the IR; only a constant 0 must not reach the verifier.
"""

from __future__ import annotations

from probee.compiler.codegen.machine import MOV32, MOV64
from probee.compiler.codegen.selector import Selector
from probee.compiler.ir import op
from probee.compiler.ir.unit import Value
from probee.formats.insn import opcode as o

_CODE = {
    op.ADD: o.ADD, op.SUB: o.SUB, op.MUL: o.MUL, op.AND: o.AND, op.OR: o.OR, op.XOR: o.XOR,
    op.SHL: o.LSH, op.LSHR: o.RSH, op.ASHR: o.ARSH, op.UDIV: o.DIV, op.UREM: o.MOD,
}  # fmt: skip


def alu(s: Selector, code: int, dst: int, right: Value, *, wide: bool) -> None:
    """`dst code= right`, with an immediate where one fits."""
    imm = s.immediate(right, wide=wide)
    kind = o.ALU64 if wide else o.ALU
    if imm is not None:
        s.put(kind | code | o.K, dst, imm=imm)
    else:
        s.put(kind | code | o.X, dst, s.reg(right))


def simple(s: Selector, value: Value) -> None:
    """Add, sub, mul, and, or, xor."""
    left, right = value.args
    wide = value.type.bits > 32
    if value.op in op.COMMUTATIVE and _better_swapped(s, left, right):
        left, right = right, left
    dst = s.define(value)
    if value.op == op.AND and wide and right.op == op.CONST and right.attr < 1 << 32:
        return _mask(s, dst, left, right)
    if value.op == op.SUB and left.op == op.CONST and left.attr == 0:
        s.into(dst, right)
        s.put((o.ALU64 if wide else o.ALU) | o.NEG, dst)
        return None
    s.into(dst, left)
    return alu(s, _CODE[value.op], dst, right, wide=wide)


def _better_swapped(s: Selector, left: Value, right: Value) -> bool:
    """Constants go right; and the operand that ends here goes left, since it is overwritten."""
    if left.op == op.CONST:
        return True
    return right.op != op.CONST and s.uses[right] == 1 and s.uses[left] > 1


def _mask(s: Selector, dst: int, left: Value, mask: Value) -> None:
    """A 64-bit `and` with a number below 2**32."""
    if mask.attr == 0xFFFF_FFFF:
        s.put(MOV32, dst, s.reg(left))
        return
    s.into(dst, left)
    alu(s, o.AND, dst, mask, wide=mask.attr < 1 << 31)


def shift(s: Selector, value: Value) -> None:
    """Shift counts are taken modulo the width: the machine does so for 32 and 64 bits."""
    left, count = value.args
    if value.op == op.SHL and left.op == op.ZEXT and left.args[0] in s.scaled:
        alias(s, value)  # a comparison that is made so
        return
    bits = value.type.bits
    dst = s.define(value)
    s.into(dst, left)
    extra = 0
    if value.op == op.ASHR and bits < 32 and s.widths.of[left] >= bits:
        s.put(o.ALU | o.LSH | o.K, dst, imm=32 - bits)
        extra = 32 - bits
    kind = (o.ALU64 if bits > 32 else o.ALU) | _CODE[value.op]
    if count.op == op.CONST:
        if count.attr % bits + extra:
            s.put(kind | o.K, dst, imm=count.attr % bits + extra)
        elif bits == 32:
            s.put(MOV32, dst, dst)
        return
    if extra:
        s.put(kind | o.K, dst, imm=extra)
    s.put(kind | o.X, dst, _shift_count(s, count))


def _shift_count(s: Selector, count: Value) -> int:
    if count.type.bits >= 32:
        return s.reg(count)
    register = s.new()
    s.into(register, count)
    s.put(o.ALU | o.AND | o.K, register, imm=count.type.bits - 1)
    return register


def unsigned_division(s: Selector, value: Value) -> None:
    left, right = value.args
    dst = s.define(value)
    if right.op == op.CONST and right.attr == 0:
        if value.op == op.UDIV:
            s.constant(dst, 0)
        else:
            copy_clean(s, dst, left)
        return
    s.into(dst, left)
    alu(s, _CODE[value.op], dst, right, wide=value.type.bits > 32)


def copy_clean(s: Selector, dst: int, value: Value) -> None:
    """Copy a value, and clear what is above its type's width."""
    bits = value.type.bits
    if s.widths.of[value] <= bits:
        s.into(dst, value)
    elif bits == 32:
        s.put(MOV32, dst, s.reg(value))
    else:
        s.into(dst, value)
        clean(s, dst, bits)


def clean(s: Selector, register: int, bits: int) -> None:
    """Clear what is above `bits`, in place.  `wN = wN` is no no-op: it must reach the verifier."""
    if bits == 32:
        s.put(MOV32, register, register)
    else:
        s.put(o.ALU | o.AND | o.K, register, imm=(1 << bits) - 1)


def signed_division(s: Selector, value: Value) -> None:
    """Signed division from unsigned: divide magnitudes, then give the result its sign.

    With m = x >> (width - 1), which is 0 or -1, (x ^ m) - m is the magnitude, and the same again negates.  There is no
    signed division before version 4 of the instruction set, and before Linux 6.12 (commit 7dd34d7b7dcf) that one traps
    on the smallest number divided by -1.
    """
    left, right = value.args
    bits = value.type.bits
    kind = o.ALU64 if bits > 32 else o.ALU
    dst = s.define(value)
    extend(s, dst, left, max(bits, 32))
    if right.op == op.CONST and right.attr == 0:
        if value.op == op.SDIV:
            s.constant(dst, 0)
        elif bits <= 32:
            s.put(MOV32, dst, dst)
        return
    sign = s.new()
    s.put(MOV64, sign, dst)
    s.put(kind | o.ARSH | o.K, sign, imm=max(bits, 32) - 1)
    _negate_if(s, kind, dst, sign)
    code = o.DIV if value.op == op.SDIV else o.MOD
    if right.op == op.CONST:
        negative = bool(right.attr >> (bits - 1))
        _divide_by(s, kind | code, dst, (1 << bits) - right.attr if negative else right.attr)
        if negative and value.op == op.SDIV:
            s.put(kind | o.XOR | o.K, sign, imm=-1)
    else:
        divisor, divisor_sign = s.new(), s.new()
        extend(s, divisor, right, max(bits, 32))
        s.put(MOV64, divisor_sign, divisor)
        s.put(kind | o.ARSH | o.K, divisor_sign, imm=max(bits, 32) - 1)
        _negate_if(s, kind, divisor, divisor_sign)
        s.put(kind | code | o.X, dst, divisor)
        if value.op == op.SDIV:
            s.put(kind | o.XOR | o.X, sign, divisor_sign)
    _negate_if(s, kind, dst, sign)


def _negate_if(s: Selector, kind: int, register: int, sign: int) -> None:
    """Negate where sign is -1, leave alone where it is 0."""
    s.put(kind | o.XOR | o.X, register, sign)
    s.put(kind | o.SUB | o.X, register, sign)


def _divide_by(s: Selector, opcode: int, dst: int, magnitude: int) -> None:
    if magnitude < 1 << 31:
        s.put(opcode | o.K, dst, imm=magnitude)
        return
    divisor = s.new()
    s.constant(divisor, magnitude)
    s.put(opcode | o.X, dst, divisor)


def extend(s: Selector, dst: int, value: Value, bits: int) -> None:
    """Copy a value with its sign extended to `bits` (32 or 64)."""
    own = value.type.bits
    if own >= bits:
        s.into(dst, value)
    elif value.op == op.CONST:
        number = value.attr - (1 << own) if value.attr >> (own - 1) else value.attr
        s.constant(dst, number & ((1 << bits) - 1))
    elif s.widths.of[value] < own:
        s.into(dst, value)
    elif "insn_v4" in s.features:
        s.put(MOV64 if bits > 32 else MOV32, dst, s.reg(value), own)
    else:
        kind = o.ALU64 if bits > 32 else o.ALU
        s.into(dst, value)
        s.put(kind | o.LSH | o.K, dst, imm=bits - own)
        s.put(kind | o.ARSH | o.K, dst, imm=bits - own)


def sign_extension(s: Selector, value: Value) -> None:
    source = value.args[0]
    if s.widths.of[source] < source.type.bits:
        s.alias[value] = source
    else:
        extend(s, s.define(value), source, max(value.type.bits, 32))


def truncation(s: Selector, value: Value) -> None:
    """Free, unless somebody needs it clean: then one instruction, in a register of its own."""
    source = value.args[0]
    if value not in s.demanded or s.widths.of[source] <= value.type.bits:
        s.alias[value] = source
        return
    dst = s.define(value)
    if value.type.bits == 32:
        s.put(MOV32, dst, s.reg(source))
    else:
        s.into(dst, source)
        clean(s, dst, value.type.bits)


def byte_swap(s: Selector, value: Value) -> None:
    """A conversion to big endian, which on a little-endian machine swaps, and clears the rest."""
    dst = s.define(value)
    s.into(dst, value.args[0])
    s.put(o.ALU | o.END | o.TO_BE, dst, imm=value.type.bits)


def alias(s: Selector, value: Value) -> None:
    """The same register under another type: zero extension (its operand is clean), address, pointer, non_null."""
    s.alias[value] = value.args[0]
