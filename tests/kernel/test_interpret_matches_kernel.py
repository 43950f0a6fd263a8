"""The interpreter against the running kernel: random programs must leave the same registers and memory in both.

The kernel runs them as socket filters or XDP programs by BPF_PROG_TEST_RUN: nothing is attached anywhere.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import pytest

from probee.formats.insn import insn as i
from probee.formats.insn import opcode as o
from probee.formats.insn.assemble import assemble
from probee.formats.insn.disassemble import disassemble
from probee.formats.insn.interpret import ArrayMap, Machine
from small_bpf import MAP_LOOKUP, MAP_UPDATE, XDP, Kernel, kernel_or_skip, link

pytestmark = pytest.mark.kernel


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    yield from kernel_or_skip()


# In random programs r9 points to a map value: inputs, outputs, and an area for loads, stores and atomics.

EDGES = [0, 1, 2, 7, 8, 31, 32, 33, 63, 64, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
EDGES += [1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, (1 << 64) - 2, (1 << 64) - (1 << 31)]
ALU = [o.ADD, o.SUB, o.MUL, o.DIV, o.OR, o.AND, o.LSH, o.RSH, o.MOD, o.XOR, o.MOV, o.ARSH]
COMPARE = [o.JEQ, o.JGT, o.JGE, o.JSET, o.JNE, o.JSGT, o.JSGE, o.JLT, o.JLE, o.JSLT, o.JSLE]
ATOMIC = [o.ADD, o.OR, o.AND, o.XOR, o.ADD | 1, o.OR | 1, o.AND | 1, o.XOR | 1, o.XCHG, o.CMPXCHG]
N_REGISTERS, VALUE_BYTES, AREA, OUT = 9, 512, 256, 128


def number(rng: random.Random) -> int:
    return rng.choice(EDGES) if rng.random() < 0.6 else rng.getrandbits(rng.choice([8, 16, 32, 64]))


def random_alu(rng: random.Random) -> i.Insn:
    op, dst, src = rng.choice(ALU), rng.randrange(N_REGISTERS), rng.randrange(N_REGISTERS)
    wide = rng.random() < 0.5
    signed = op in (o.DIV, o.MOD) and rng.random() < 0.5
    if rng.random() < 0.6:
        if op == o.MOV and rng.random() < 0.7:
            bits = rng.choice([8, 16, 32] if wide else [8, 16])
            return (i.movsx64 if wide else i.movsx32)(dst, src, bits)
        return (i.alu64_reg if wide else i.alu32_reg)(op, dst, src, signed=signed)
    imm = i.signed32(number(rng))
    if op in (o.LSH, o.RSH, o.ARSH):
        imm &= 63 if wide else 31  # the verifier refuses more in an immediate
    elif op in (o.DIV, o.MOD) and imm == 0:
        imm = 3  # and division by a constant zero
    return (i.alu64_imm if wide else i.alu32_imm)(op, dst, imm, signed=signed)


def random_unary(rng: random.Random) -> i.Insn:
    dst, bits = rng.randrange(N_REGISTERS), rng.choice([16, 32, 64])
    kind = rng.randrange(5)
    if kind < 2:
        return (i.neg64, i.neg32)[kind](dst)
    return i.bswap(dst, bits) if kind == 2 else i.endian(dst, bits, to_be=kind == 3)


def random_memory(rng: random.Random) -> i.Insn:
    dst, src, size = rng.randrange(N_REGISTERS), rng.randrange(N_REGISTERS), rng.choice([1, 2, 4, 8])
    base, off = rng.choice([(9, AREA + rng.randrange(8) * 8), (10, -8 * rng.randrange(1, 9))])
    off += rng.randrange(8 // size) * size
    kind = rng.randrange(5)
    if kind == 0:
        return i.ldx(size, dst, base, off)
    if kind == 1 and size < 8:
        return i.ldsx(size, dst, base, off)
    if kind == 2:
        return i.stx(size, base, src, off)
    if kind == 3:
        return i.st_imm(size, base, off, i.signed32(number(rng)))
    return i.atomic(max(size, 4), rng.choice(ATOMIC), base, src, off & ~7)


def version(insn: i.Insn) -> int:
    """Return 4 for an instruction of version 4, 3 for the atomics that came with Linux 5.12, else 2."""
    cls = insn.op & 7
    if insn.op & 0xE7 == o.STX | o.ATOMIC:
        return 2 if insn.imm == o.ADD else 3
    signed = cls in (o.ALU, o.ALU64) and insn.off != 0
    extending = cls == o.LDX and insn.op & 0xE0 == o.MEMSX
    return 4 if signed or extending or insn.op == o.ALU64 | o.END else 2


def newest_version(kernel: Kernel) -> int:
    """Return which of them the kernel takes."""
    for best, insn in ((4, i.bswap(0, 16)), (3, i.atomic(8, o.XCHG, 10, 0, -8))):
        try:
            kernel.run([i.mov64_imm(0, 0), i.st_imm(8, 10, -8, 0), insn, i.exit_()], [0])
        except AssertionError:
            continue
        return best
    return 2


def random_body(rng: random.Random, length: int, best: int) -> list[i.Insn]:
    """Return instructions of versions up to `best` whose jumps go forward, none beyond the end."""
    body: list[i.Insn] = []
    while len(body) < length:
        kind, room = rng.random(), length - len(body) - 1
        if kind < 0.12 and room:
            off, dst, op = rng.randrange(min(room, 6)), rng.randrange(N_REGISTERS), rng.choice(COMPARE)
            wide = rng.random() < 0.5
            if rng.random() < 0.5:
                body.append((i.jmp_reg if wide else i.jmp32_reg)(op, dst, rng.randrange(N_REGISTERS), off))
            else:
                body.append((i.jmp_imm if wide else i.jmp32_imm)(op, dst, i.signed32(number(rng)), off))
            continue
        insn = (random_memory if kind < 0.35 else random_unary if kind < 0.5 else random_alu)(rng)
        if version(insn) <= best:
            body.append(insn)
    return body


def random_program(rng: random.Random, best: int) -> list[i.Insn]:
    program = [i.ld_map_value(9, "data")]
    program += [i.stx(8, 10, 9, -72)] + [i.st_imm(8, 10, -8 * slot, slot) for slot in range(1, 9)]
    program += [i.ldx(8, register, 9, 8 * register) for register in range(N_REGISTERS)]
    program += random_body(rng, rng.randrange(5, 60), best)
    program += [i.stx(8, 9, register, OUT + 8 * register) for register in range(N_REGISTERS)]
    return [*program, i.mov64_reg(0, 0), i.exit_()]


@pytest.mark.parametrize("seed", range(12))
def test_random_programs_leave_the_same_registers_and_memory(kernel: Kernel, seed: int) -> None:
    rng = random.Random(seed)
    fd = kernel.create(2, 4, VALUE_BYTES, 1)
    best = newest_version(kernel)
    for _ in range(50):
        program = random_program(rng, best)
        before = b"".join(struct.pack("<Q", number(rng)) for _ in range(VALUE_BYTES // 8))
        model = ArrayMap(4, VALUE_BYTES, 1)
        machine = Machine(program, {"data": model})
        model.update(bytes(4), before)
        result = machine.run()
        kernel.element(MAP_UPDATE, fd, bytes(4), before)
        linked, starts = link(program, {}, {"data": fd})
        returned = kernel.run(linked, starts)
        after = kernel.element(MAP_LOOKUP, fd, bytes(4), bytes(VALUE_BYTES))
        assert model.get(bytes(4)) == after, disassemble(program)
        assert result.r0 & i.U32 == returned, disassemble(program)


def test_packet_program_reads_the_same_packet(kernel: Kernel) -> None:
    program = assemble(
        """
        r2 = *(u32 *)(r1 + 0)
        r3 = *(u32 *)(r1 + 4)
        r4 = r2
        r4 += 14
        r0 = 1
        if r4 > r3 goto end
        r0 = *(u16 *)(r2 + 12)
        r0 = be16 r0
        r3 -= r2
        r0 <<= 8
        r0 |= r3
        end:
        exit
        """
    )
    packet = bytes(12) + b"\x08\x06" + bytes(50)
    assert Machine(program).run(bytes(24), packet=packet).r0 == kernel.run(program, [0], XDP, packet) == 0x80640
