"""The tiny programs that feature probes load, by hand: this wing has no assembler at hand and needs none.

struct bpf_insn of include/uapi/linux/bpf.h; opcodes as in Documentation/bpf/standardization/instruction-set.rst.
"""

from __future__ import annotations

from struct import pack


def _insn(code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    return pack("=BBhi", code, dst | src << 4, off, imm)


_EXIT = _insn(0x95)
_R0_ZERO = _insn(0xB7)
RETURN_ZERO = _R0_ZERO + _EXIT


def call_helper(number: int) -> bytes:
    """Return a program that calls a helper with whatever is in the registers."""
    return _insn(0x85, imm=number) + RETURN_ZERO


def call_kernel_function(type_id: int) -> bytes:
    """Return a program that calls a function of vmlinux with whatever is in the registers."""
    return _insn(0x85, src=2, imm=type_id) + RETURN_ZERO


SAMPLES = {
    # *(u64 *)(r10 - 8) = 0; r1 = 1; r1 = atomic_fetch_add((u64 *)(r10 - 8), r1)
    "atomic_fetch": _insn(0x7A, 10, off=-8) + _insn(0xB7, 1, imm=1) + _insn(0xDB, 10, 1, -8, 1) + RETURN_ZERO,
    # r0 = 3; r0 -= 1; if r0 != 0 goto -2
    "bounded_loop": _insn(0xB7, imm=3) + _insn(0x17, imm=1) + _insn(0x55, off=-2) + _EXIT,
    # if w0 == 0 goto +0
    "jmp32": _R0_ZERO + _insn(0x16) + _EXIT,
    # r0 = (s8)r0
    "movsx": _R0_ZERO + _insn(0xBF, off=8) + _R0_ZERO + _EXIT,
}
