"""One BPF instruction, its symbolic references, and a constructor for every kind.

Mirrors struct bpf_insn (include/uapi/linux/bpf.h), except that the two slots of a 64-bit immediate load are one `Insn`
whose `imm` is the whole value, 0 to 2**64 - 1; any other `imm` is signed 32 bit.  Branch offsets count slots, from the
next instruction.  A `ref` names what the linker or the loader fills in; until then the field it fills is zero.
Constructors check nothing: encode.py refuses what does not fit.
"""

from __future__ import annotations

from probee.formats.insn import opcode as o
from probee.formats.insn.ref import BtfIdRef, ConstRef, FuncRef, MapRef, MapValueRef

U32 = 0xFFFF_FFFF
U64 = 0xFFFF_FFFF_FFFF_FFFF


class Insn:
    """One instruction.  `span` is its place in the source (probee.errors); it takes no part in equality."""

    __slots__ = ("dst", "imm", "off", "op", "ref", "span", "src")

    def __init__(
        self,
        op: int,
        dst: int = 0,
        src: int = 0,
        off: int = 0,
        imm: int = 0,
        span: int = 0,
        ref: object | None = None,
    ) -> None:
        self.op = op
        self.dst = dst
        self.src = src
        self.off = off
        self.imm = imm
        self.span = span
        self.ref = ref

    @property
    def n_slots(self) -> int:
        """How many 8-byte slots the instruction takes: 2 for a 64-bit immediate load, else 1."""
        return 2 if self.op == o.OP_LD_IMM64 else 1

    @property
    def branch(self) -> int | None:
        """The offset in slots that this instruction may jump by, None if it is no jump."""
        op = self.op
        if op == o.OP_GOTOL:
            return self.imm
        if op & 7 not in (o.JMP, o.JMP32) or op & 0xF0 in (o.CALL, o.EXIT):
            return None
        return self.off

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Insn):
            return NotImplemented
        return (self.op, self.dst, self.src, self.off, self.imm, self.ref) == (
            other.op,
            other.dst,
            other.src,
            other.off,
            other.imm,
            other.ref,
        )

    __hash__ = None  # type: ignore[assignment]  # mutable: passes patch offsets

    def __repr__(self) -> str:
        ref = f", ref={self.ref!r}" if self.ref is not None else ""
        return f"Insn({self.op:#04x}, dst={self.dst}, src={self.src}, off={self.off}, imm={self.imm}{ref})"


def slot_offsets(insns: list[Insn]) -> list[int]:
    """Return the slot that each instruction begins at, and at the end the number of slots of all."""
    offsets = [0]
    at = 0
    for insn in insns:
        at += 2 if insn.op == o.OP_LD_IMM64 else 1
        offsets.append(at)
    return offsets


def signed32(value: int) -> int:
    """Return the low 32 bits of `value` as a signed number."""
    return ((value & U32) ^ 0x8000_0000) - 0x8000_0000


# 1. Arithmetic.  `op` is opcode.ADD and so on; a 64-bit operation sign-extends its 32-bit immediate.


def alu64_imm(op: int, dst: int, imm: int, *, signed: bool = False) -> Insn:
    """`dst op= imm` in 64 bits; `signed` is for v4's DIV and MOD."""
    return Insn(o.ALU64 | o.K | op, dst, 0, int(signed), imm)


def alu64_reg(op: int, dst: int, src: int, *, signed: bool = False) -> Insn:
    return Insn(o.ALU64 | o.X | op, dst, src, int(signed))


def alu32_imm(op: int, dst: int, imm: int, *, signed: bool = False) -> Insn:
    """`dst op= imm` in 32 bits, upper half zeroed; `imm` may be given signed or unsigned."""
    return Insn(o.ALU | o.K | op, dst, 0, int(signed), signed32(imm))


def alu32_reg(op: int, dst: int, src: int, *, signed: bool = False) -> Insn:
    return Insn(o.ALU | o.X | op, dst, src, int(signed))


def mov64_imm(dst: int, imm: int) -> Insn:
    return Insn(o.ALU64 | o.K | o.MOV, dst, 0, 0, imm)


def mov64_reg(dst: int, src: int) -> Insn:
    return Insn(o.ALU64 | o.X | o.MOV, dst, src)


def mov32_imm(dst: int, imm: int) -> Insn:
    return Insn(o.ALU | o.K | o.MOV, dst, 0, 0, signed32(imm))


def mov32_reg(dst: int, src: int) -> Insn:
    return Insn(o.ALU | o.X | o.MOV, dst, src)


def movsx64(dst: int, src: int, bits: int) -> Insn:
    """Copy with sign extension from 8, 16 or 32 bits to 64 (v4)."""
    return Insn(o.ALU64 | o.X | o.MOV, dst, src, bits)


def movsx32(dst: int, src: int, bits: int) -> Insn:
    """Copy with sign extension from 8 or 16 bits to 32 (v4)."""
    return Insn(o.ALU | o.X | o.MOV, dst, src, bits)


def neg64(dst: int) -> Insn:
    return Insn(o.ALU64 | o.NEG, dst)


def neg32(dst: int) -> Insn:
    return Insn(o.ALU | o.NEG, dst)


neg = neg64


def endian(dst: int, bits: int, *, to_be: bool) -> Insn:
    """Convert the low `bits` (16, 32, 64) between host and big or little endian, zeroing the rest."""
    return Insn(o.ALU | o.END | (o.TO_BE if to_be else o.TO_LE), dst, 0, 0, bits)


def bswap(dst: int, bits: int) -> Insn:
    """Swap the bytes of the low `bits`, zeroing the rest (v4)."""
    return Insn(o.ALU64 | o.END, dst, 0, 0, bits)


# 2. 64-bit immediates


def ld_imm64(dst: int, imm: int) -> Insn:
    return Insn(o.OP_LD_IMM64, dst, 0, 0, imm & U64)


def ld_map(dst: int, name: str) -> Insn:
    return Insn(o.OP_LD_IMM64, dst, o.PSEUDO_MAP_FD, ref=MapRef(name))


def ld_map_value(dst: int, name: str, offset: int = 0) -> Insn:
    """Address of byte `offset` of a global-data map; the offset is already in the upper half of `imm`."""
    return Insn(o.OP_LD_IMM64, dst, o.PSEUDO_MAP_VALUE, imm=(offset & U32) << 32, ref=MapValueRef(name, offset))


def ld_const(dst: int, name: str) -> Insn:
    return Insn(o.OP_LD_IMM64, dst, ref=ConstRef(name))


def ld_func(dst: int, name: str) -> Insn:
    return Insn(o.OP_LD_IMM64, dst, o.PSEUDO_FUNC, ref=FuncRef(name))


def ld_btf_id(dst: int, name: str, kind: str = "var") -> Insn:
    return Insn(o.OP_LD_IMM64, dst, o.PSEUDO_BTF_ID, ref=BtfIdRef(name, kind))


# 3. Memory.  `size` is in bytes: 1, 2, 4 or 8.


def ldx(size: int, dst: int, src: int, off: int = 0) -> Insn:
    """`dst = *(size *)(src + off)`, zero-extended."""
    return Insn(o.LDX | o.MEM | o.SIZE_OF_BYTES[size], dst, src, off)


def ldsx(size: int, dst: int, src: int, off: int = 0) -> Insn:
    """`dst = *(size *)(src + off)`, sign-extended (v4)."""
    return Insn(o.LDX | o.MEMSX | o.SIZE_OF_BYTES[size], dst, src, off)


def stx(size: int, dst: int, src: int, off: int = 0) -> Insn:
    """`*(size *)(dst + off) = src`."""
    return Insn(o.STX | o.MEM | o.SIZE_OF_BYTES[size], dst, src, off)


def st_imm(size: int, dst: int, off: int, imm: int) -> Insn:
    """`*(size *)(dst + off) = imm`; eight bytes get it sign-extended."""
    return Insn(o.ST | o.MEM | o.SIZE_OF_BYTES[size], dst, 0, off, imm if size == 8 else signed32(imm))


def atomic(size: int, op: int, dst: int, src: int, off: int = 0) -> Insn:
    """Atomic `op` on 4 or 8 bytes at `dst + off`: ADD, OR, AND, XOR (perhaps `| FETCH`), XCHG or CMPXCHG (with r0)."""
    return Insn(o.STX | o.ATOMIC | o.SIZE_OF_BYTES[size], dst, src, off, op)


# 4. Control


def jmp_imm(op: int, dst: int, imm: int, off: int = 0) -> Insn:
    return Insn(o.JMP | o.K | op, dst, 0, off, imm)


def jmp_reg(op: int, dst: int, src: int, off: int = 0) -> Insn:
    return Insn(o.JMP | o.X | op, dst, src, off)


def jmp32_imm(op: int, dst: int, imm: int, off: int = 0) -> Insn:
    return Insn(o.JMP32 | o.K | op, dst, 0, off, signed32(imm))


def jmp32_reg(op: int, dst: int, src: int, off: int = 0) -> Insn:
    return Insn(o.JMP32 | o.X | op, dst, src, off)


def ja(off: int = 0) -> Insn:
    return Insn(o.OP_JA, 0, 0, off)


def gotol(off: int = 0) -> Insn:
    """Jump with a 32-bit offset (v4)."""
    return Insn(o.OP_GOTOL, imm=off)


def call(helper_id: int) -> Insn:
    return Insn(o.OP_CALL, imm=helper_id)


def call_func(name: str) -> Insn:
    return Insn(o.OP_CALL, 0, o.PSEUDO_CALL, ref=FuncRef(name))


def call_kfunc(name: str) -> Insn:
    return Insn(o.OP_CALL, 0, o.PSEUDO_KFUNC_CALL, ref=BtfIdRef(name, "func"))


def exit_() -> Insn:
    return Insn(o.OP_EXIT)
