"""The signs of BPF assembly, shared by assembler and disassembler.

The notation is that of the kernel's verifier log (kernel/bpf/disasm.c): C-like assignments, `r` for 64-bit and `w` for
32-bit registers, `s` before an operator that is signed.
"""

from __future__ import annotations

from probee.formats.insn import opcode as o

ALU_SIGN = {
    o.ADD: "+=",
    o.SUB: "-=",
    o.MUL: "*=",
    o.DIV: "/=",
    o.OR: "|=",
    o.AND: "&=",
    o.LSH: "<<=",
    o.RSH: ">>=",
    o.MOD: "%=",
    o.XOR: "^=",
    o.MOV: "=",
    o.ARSH: "s>>=",
}
JMP_SIGN = {
    o.JEQ: "==",
    o.JGT: ">",
    o.JGE: ">=",
    o.JSET: "&",
    o.JNE: "!=",
    o.JSGT: "s>",
    o.JSGE: "s>=",
    o.JLT: "<",
    o.JLE: "<=",
    o.JSLT: "s<",
    o.JSLE: "s<=",
}
SIZE_TYPE = {o.B: "u8", o.H: "u16", o.W: "u32", o.DW: "u64"}
SIGNED_TYPE = {o.B: "s8", o.H: "s16", o.W: "s32"}
ATOMIC_SIGN = {o.ADD: "+=", o.OR: "|=", o.AND: "&=", o.XOR: "^="}
ATOMIC_NAME = {
    o.ADD | o.FETCH: "fetch_add",
    o.OR | o.FETCH: "fetch_or",
    o.AND | o.FETCH: "fetch_and",
    o.XOR | o.FETCH: "fetch_xor",
    o.XCHG: "xchg",
    o.CMPXCHG: "cmpxchg",
}
PSEUDO_NAME = {
    o.PSEUDO_MAP_FD: "map",
    o.PSEUDO_MAP_VALUE: "map_value",
    o.PSEUDO_BTF_ID: "btf",
    o.PSEUDO_FUNC: "func",
    o.PSEUDO_MAP_IDX: "map_idx",
    o.PSEUDO_MAP_IDX_VALUE: "map_idx_value",
}
