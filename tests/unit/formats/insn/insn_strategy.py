"""Hypothesis strategies that draw any legal instruction; a test module of this folder imports them."""

from __future__ import annotations

from hypothesis import strategies as st

from probee.formats.insn import legal
from probee.formats.insn import opcode as o
from probee.formats.insn.insn import U64, Insn

REGISTERS = st.integers(0, 10)
S16 = st.integers(-(1 << 15), (1 << 15) - 1)
S32 = st.integers(-(1 << 31), (1 << 31) - 1)


@st.composite
def any_insn(draw: st.DrawFn) -> Insn:
    """Draw one instruction that legal.complaint accepts."""
    op = draw(st.sampled_from(sorted(legal.FIELDS)))
    fields = legal.FIELDS[op]
    cls, code = op & 7, op & 0xF0
    insn = Insn(op)
    if fields & legal.DST:
        insn.dst = draw(REGISTERS)
    if fields & legal.SRC:
        insn.src = draw(REGISTERS)
    if fields & legal.OFF:
        insn.off = draw(S16)
    if fields & legal.IMM:
        insn.imm = draw(S32)
    if cls in (o.ALU, o.ALU64):
        if code in (o.DIV, o.MOD):
            insn.off = draw(st.integers(0, 1))
        elif code == o.MOV and op & o.X:
            insn.off = draw(st.sampled_from((0, 8, 16) if cls == o.ALU else (0, 8, 16, 32)))
        elif code == o.END:
            insn.imm = draw(st.sampled_from((16, 32, 64)))
    elif op == o.OP_LD_IMM64:
        insn.src = draw(st.integers(0, 6))
        insn.imm = draw(st.integers(0, U64))
    elif op == o.OP_CALL:
        insn.src = draw(st.integers(0, 2))
        insn.off = insn.off if insn.src == o.PSEUDO_KFUNC_CALL else 0
    elif op & 0xE7 == o.STX | o.ATOMIC:
        wide = op & 0x18 in (o.W, o.DW)
        insn.imm = draw(st.sampled_from([*(sorted(legal.ATOMIC_OPS) if wide else []), o.LOAD_ACQ, o.STORE_REL]))
    return insn
