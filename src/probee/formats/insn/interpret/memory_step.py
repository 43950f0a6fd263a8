"""One closure per instruction that touches memory: loads, stores, atomics.

Accesses to the stack and all atomics must be aligned, as the verifier demands on every architecture.  A load from a
kernel address where nothing is mapped reads zero if the machine was told so: that is what a load through a BTF-typed
pointer does in the kernel (its fault is handled by an exception table).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from probee.formats.insn import opcode as o
from probee.formats.insn.insn import Insn
from probee.formats.insn.interpret.arithmetic import ALU32, ALU64, U64, sign_extend
from probee.formats.insn.interpret.memory import INTEGER, WINDOW_BITS, InterpretError, Memory
from probee.formats.insn.interpret.step import Registers, Step


def load_step(r: Registers, memory: Memory, insn: Insn, following: int, *, faults_read_zero: bool) -> Step:
    """Return the step of `dst = *(size *)(src + off)`."""
    dst, src, off, size = insn.dst, insn.src, insn.off, o.SIZE_BYTES[insn.op & 0x18]
    unpack, windows, mask = INTEGER[size].unpack_from, memory.kernel, size - 1

    def step() -> int:
        address = (r[src] + off) & U64
        try:
            region = windows[address >> WINDOW_BITS]
            r[dst] = unpack(region.data, address - region.base)[0]
        except KeyError:
            if not faults_read_zero:
                raise memory.fault(address, size, "read") from None
            r[dst] = 0
            return following
        except struct.error:
            raise memory.fault(address, size, "read") from None
        if address & mask and region.kind == "stack":
            raise _misaligned(address, size)
        if region.pointers and size == 4:
            r[dst] = region.pointers.get(address - region.base, r[dst])
        return following

    if insn.op & 0xE0 == o.MEMSX:
        return _extending(r, dst, 8 * size, step)
    return step


def _extending(r: Registers, dst: int, bits: int, load: Step) -> Step:
    def step() -> int:
        following = load()
        r[dst] = sign_extend(r[dst], bits, 64)
        return following

    return step


def store_step(r: Registers, memory: Memory, insn: Insn, following: int) -> Step:
    """Return the step of `*(size *)(dst + off) = src` or an immediate."""
    dst, src, off, size = insn.dst, insn.src, insn.off, o.SIZE_BYTES[insn.op & 0x18]
    keep = (1 << 8 * size) - 1
    immediate = insn.imm & keep
    store = _storer(memory, size)

    def from_register() -> int:
        store((r[dst] + off) & U64, r[src] & keep)
        return following

    def from_immediate() -> int:
        store((r[dst] + off) & U64, immediate)
        return following

    return from_register if insn.op & 7 == o.STX else from_immediate


def _storer(memory: Memory, size: int) -> Callable[[int, int], None]:
    pack, windows, mask = INTEGER[size].pack_into, memory.kernel, size - 1

    def store(address: int, value: int) -> None:
        try:
            region = windows[address >> WINDOW_BITS]
            pack(region.data, address - region.base, value)
        except (KeyError, struct.error, TypeError):
            raise memory.fault(address, size, "write") from None
        if address & mask and region.kind == "stack":
            raise _misaligned(address, size)

    return store


def _misaligned(address: int, size: int) -> InterpretError:
    return InterpretError(f"access of {size} bytes at {address:#x} is not aligned")


def atomic_step(r: Registers, memory: Memory, insn: Insn, following: int) -> Step:
    """Return the step of an atomic operation."""
    size = o.SIZE_BYTES[insn.op & 0x18]
    dst, src, off, keep = insn.dst, insn.src, insn.off, (1 << 8 * size) - 1
    if insn.imm == o.STORE_REL:
        return store_step(r, memory, Insn(o.STX | o.MEM | insn.op & 0x18, dst, src, off), following)
    if insn.imm == o.LOAD_ACQ:
        load = Insn(o.LDX | o.MEM | insn.op & 0x18, dst, src, off)
        return load_step(r, memory, load, following, faults_read_zero=False)
    if insn.imm == o.CMPXCHG:
        return _compare_exchange(r, memory, insn, size, following)
    result = _atomic_function(insn.imm, size)
    store, fetch = _storer(memory, size), insn.imm & o.FETCH

    def step() -> int:
        address = (r[dst] + off) & U64
        if address & (size - 1):
            raise _misaligned(address, size)
        operand = r[src] & keep
        old = int.from_bytes(memory.read(address, size), "little")
        store(address, result(old, operand))
        if fetch:
            r[src] = old
        return following

    return step


def _atomic_function(op: int, size: int) -> Callable[[int, int], int]:
    if op == o.XCHG:
        return lambda old, operand: operand
    return (ALU64 if size == 8 else ALU32)[op & ~o.FETCH, 0]


def _compare_exchange(r: Registers, memory: Memory, insn: Insn, size: int, following: int) -> Step:
    dst, src, off, keep = insn.dst, insn.src, insn.off, (1 << 8 * size) - 1
    store = _storer(memory, size)

    def step() -> int:
        address = (r[dst] + off) & U64
        if address & (size - 1):
            raise _misaligned(address, size)
        old = int.from_bytes(memory.read(address, size), "little")
        store(address, r[src] & keep if old == r[0] & keep else old)
        r[0] = old
        return following

    return step
