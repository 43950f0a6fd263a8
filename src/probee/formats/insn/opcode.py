"""Opcode bits of BPF instructions, as in include/uapi/linux/bpf.h and bpf_common.h.

An opcode byte is `class | source | operation` for arithmetic and jumps (3 + 1 + 4 bits) and `class | size | mode` for
loads and stores (3 + 2 + 3 bits).  Names keep the kernel's spelling without the BPF_ prefix.  Operations of the fourth
version of the instruction set (marked v4) can be written here; whether a kernel takes them is a feature's question.
"""

from __future__ import annotations

# 1. Instruction classes, op & 7
LD, LDX, ST, STX, ALU, JMP, JMP32, ALU64 = range(8)

# 2. Source of the second operand, op & 8
K = 0x00
X = 0x08

# 3. Sizes of loads and stores, op & 0x18
W, H, B, DW = 0x00, 0x08, 0x10, 0x18
SIZE_BYTES = {B: 1, H: 2, W: 4, DW: 8}
SIZE_OF_BYTES = {1: B, 2: H, 4: W, 8: DW}

# 4. Modes of loads and stores, op & 0xe0
IMM = 0x00
ABS = 0x20
IND = 0x40
MEM = 0x60
MEMSX = 0x80  # v4: sign-extending load
ATOMIC = 0xC0

# 5. Arithmetic, op & 0xf0
ADD, SUB, MUL, DIV = 0x00, 0x10, 0x20, 0x30
OR, AND, LSH, RSH = 0x40, 0x50, 0x60, 0x70
NEG, MOD, XOR, MOV = 0x80, 0x90, 0xA0, 0xB0
ARSH, END = 0xC0, 0xD0
SIGNED = 1  # v4: `off` of a signed DIV or MOD
TO_LE, TO_BE = 0x00, 0x08  # source bit of END in class ALU; in class ALU64 END is an unconditional swap (v4)

# 6. Jumps, op & 0xf0
JA, JEQ, JGT, JGE = 0x00, 0x10, 0x20, 0x30
JSET, JNE, JSGT, JSGE = 0x40, 0x50, 0x60, 0x70
CALL, EXIT, JLT, JLE = 0x80, 0x90, 0xA0, 0xB0
JSLT, JSLE, JCOND = 0xC0, 0xD0, 0xE0  # JCOND: may_goto, v4

# 7. Atomic operations, in `imm` of an ATOMIC store; ADD, OR, AND, XOR above, perhaps with FETCH
FETCH = 0x01
XCHG = 0xE0 | FETCH
CMPXCHG = 0xF0 | FETCH
LOAD_ACQ = 0x100  # v4
STORE_REL = 0x110  # v4

# 8. Whole opcodes that are spoken of by name
OP_LD_IMM64 = LD | DW | IMM  # 0x18, the one instruction of two slots
OP_JA = JMP | JA  # 0x05, offset in `off`
OP_GOTOL = JMP32 | JA  # 0x06, v4: offset in `imm`
OP_CALL = JMP | CALL  # 0x85
OP_EXIT = JMP | EXIT  # 0x95
OP_MAY_GOTO = JMP | JCOND  # 0xe5

# 9. What `src` says about the 64-bit immediate of OP_LD_IMM64
PSEUDO_MAP_FD = 1
PSEUDO_MAP_VALUE = 2
PSEUDO_BTF_ID = 3
PSEUDO_FUNC = 4
PSEUDO_MAP_IDX = 5
PSEUDO_MAP_IDX_VALUE = 6

# 10. What `src` says about the callee of OP_CALL; 0 is a helper's number
PSEUDO_CALL = 1
PSEUDO_KFUNC_CALL = 2

# 11. Limits
N_REGISTERS = 11
R10 = 10  # the frame pointer, read only
STACK_BYTES = 512
