"""Which field of an instruction its opcode uses: the instruction set of RFC 9669 plus the legacy packet loads.

One table from opcode byte to the fields that may be non-zero, and a check of the values that select a variant (signed
division, width of a byte swap, atomic operation).  It says what is an instruction, not what the verifier allows.
"""

from __future__ import annotations

from probee.formats.insn import opcode as o

DST, SRC, OFF, IMM = 1, 2, 4, 8
ATOMIC_OPS = frozenset({o.ADD, o.OR, o.AND, o.XOR, o.ADD | 1, o.OR | 1, o.AND | 1, o.XOR | 1, o.XCHG, o.CMPXCHG})

_BINARY = (o.ADD, o.SUB, o.MUL, o.DIV, o.OR, o.AND, o.LSH, o.RSH, o.MOD, o.XOR, o.MOV, o.ARSH)
_COMPARE = (o.JEQ, o.JGT, o.JGE, o.JSET, o.JNE, o.JSGT, o.JSGE, o.JLT, o.JLE, o.JSLT, o.JSLE)


def _fields() -> dict[int, int]:
    table = {
        o.OP_LD_IMM64: DST | SRC | IMM,
        o.OP_JA: OFF,
        o.OP_GOTOL: IMM,
        o.OP_CALL: SRC | OFF | IMM,  # off: which module's BTF a kfunc is in
        o.OP_EXIT: 0,
        o.OP_MAY_GOTO: OFF,
        o.ALU64 | o.NEG: DST,
        o.ALU | o.NEG: DST,
        o.ALU | o.END | o.TO_LE: DST | IMM,
        o.ALU | o.END | o.TO_BE: DST | IMM,
        o.ALU64 | o.END: DST | IMM,
    }
    for cls in (o.ALU, o.ALU64):
        for op in _BINARY:
            off = OFF if op in (o.DIV, o.MOD) else 0
            table[cls | o.K | op] = DST | IMM | off
            table[cls | o.X | op] = DST | SRC | (OFF if op == o.MOV else off)
    for cls in (o.JMP, o.JMP32):
        for op in _COMPARE:
            table[cls | o.K | op] = DST | OFF | IMM
            table[cls | o.X | op] = DST | SRC | OFF
    for size in (o.B, o.H, o.W, o.DW):
        table[o.LDX | o.MEM | size] = DST | SRC | OFF
        table[o.STX | o.MEM | size] = DST | SRC | OFF
        table[o.ST | o.MEM | size] = DST | OFF | IMM
        if size != o.DW:
            table[o.LDX | o.MEMSX | size] = DST | SRC | OFF
            table[o.LD | o.ABS | size] = IMM
            table[o.LD | o.IND | size] = SRC | IMM
        table[o.STX | o.ATOMIC | size] = DST | SRC | OFF | IMM
    return table


FIELDS = _fields()


def _check_atomic(op: int, imm: int) -> str:
    wide = op & 0x18 in (o.W, o.DW)
    if imm in (o.LOAD_ACQ, o.STORE_REL) or (wide and imm in ATOMIC_OPS):
        return ""
    return f"no atomic operation {imm:#x} of {o.SIZE_BYTES[op & 0x18]} bytes"


def complaint(op: int, dst: int, src: int, off: int, imm: int) -> str:
    """Return what is wrong with an instruction, an empty string if nothing is."""
    fields = FIELDS.get(op)
    if fields is None:
        return f"opcode {op:#04x} does not exist"
    if dst > o.R10 or src > o.R10:
        return f"register r{max(dst, src)} does not exist"
    unused = (not fields & DST and dst) or (not fields & SRC and src) or (not fields & OFF and off)
    if unused or (not fields & IMM and imm):
        return f"opcode {op:#04x} with a field that must be zero"
    cls, code = op & 7, op & 0xF0
    if cls in (o.ALU, o.ALU64):
        if code in (o.DIV, o.MOD) and off not in (0, o.SIGNED):
            return f"offset {off} in a division"
        if code == o.MOV and off not in ((0, 8, 16) if cls == o.ALU else (0, 8, 16, 32)):
            return f"no move with sign extension from {off} bits"
        if code == o.END and imm not in (16, 32, 64):
            return f"no byte swap of {imm} bits"
    if op & 0xE7 == o.STX | o.ATOMIC:
        return _check_atomic(op, imm)
    if op == o.OP_LD_IMM64 and src > o.PSEUDO_MAP_IDX_VALUE:
        return f"no 64-bit immediate of kind {src}"
    if op == o.OP_CALL and (src > o.PSEUDO_KFUNC_CALL or (off and src != o.PSEUDO_KFUNC_CALL)):
        return f"no call of kind {src}, offset {off}"
    return ""
