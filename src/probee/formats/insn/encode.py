"""Instructions to bytes and back: struct bpf_insn, little-endian, 8 bytes a slot.

`decode` accepts exactly what legal.py calls an instruction, so that encode(decode(data)) == data.  Symbolic references
have no bytes: `encode` writes the numbers as they are, and `relocations` says what belongs into which slot.
"""

from __future__ import annotations

import struct

from probee.errors import FormatError
from probee.formats.insn import opcode as o
from probee.formats.insn.insn import U32, U64, Insn, signed32

_SLOT = struct.Struct("<BBhi")
SLOT_BYTES = 8


def encode(insns: list[Insn]) -> bytes:
    """Return the bytes of a program.  FormatError if a number does not fit into its field."""
    pack = _SLOT.pack
    parts = []
    for index, insn in enumerate(insns):
        op, dst, src, imm = insn.op, insn.dst, insn.src, insn.imm
        if not (0 <= dst <= o.R10 and 0 <= src <= o.R10):
            raise FormatError(f"instruction {index}: register out of range in {insn!r}")
        try:
            if op == o.OP_LD_IMM64:
                parts.append(pack(op, dst | src << 4, insn.off, signed32(imm)))
                parts.append(pack(0, 0, 0, _high(imm)))
            else:
                parts.append(pack(op, dst | src << 4, insn.off, imm))
        except struct.error:
            raise FormatError(f"instruction {index}: number out of range in {insn!r}") from None
    return b"".join(parts)


def _high(value: int) -> int:
    """Return the upper half of a 64-bit value, given as signed or unsigned, as a signed number."""
    if not -(1 << 63) <= value <= U64:
        raise struct.error
    return signed32(value >> 32)


def relocations(insns: list[Insn]) -> list[tuple[int, object]]:
    """Return (slot, reference) of every instruction that has one, in order."""
    result = []
    slot = 0
    for insn in insns:
        if insn.ref is not None:
            result.append((slot, insn.ref))
        slot += 2 if insn.op == o.OP_LD_IMM64 else 1
    return result


def decode(data: bytes | bytearray | memoryview) -> list[Insn]:
    """Return the instructions of a program.  FormatError names the byte offset of what is no instruction."""
    from probee.formats.insn.legal import complaint

    if len(data) % SLOT_BYTES:
        raise FormatError(f"a BPF program is a multiple of 8 bytes long, this one has {len(data)}")
    insns = []
    slots = enumerate(_SLOT.iter_unpack(data))
    for slot, (op, registers, off, imm) in slots:
        dst, src = registers & 15, registers >> 4
        problem = complaint(op, dst, src, off, imm)
        if problem:
            raise FormatError(f"offset {slot * SLOT_BYTES:#x}: {problem}")
        if op == o.OP_LD_IMM64:
            imm = imm & U32 | _second_half(next(slots, None), slot) << 32
        insns.append(Insn(op, dst, src, off, imm))
    return insns


def _second_half(entry: tuple[int, tuple[int, ...]] | None, slot: int) -> int:
    if entry is None:
        raise FormatError(f"offset {slot * SLOT_BYTES:#x}: the second half of a 64-bit immediate is missing")
    op, registers, off, imm = entry[1]
    if op or registers or off:
        raise FormatError(f"offset {entry[0] * SLOT_BYTES:#x}: not the second half of a 64-bit immediate")
    return imm & U32
