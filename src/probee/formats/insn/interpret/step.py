"""One closure per instruction that computes: arithmetic and jumps.  memory_step.py has loads, stores and atomics.

A step reads and writes the register list it was made for and returns the slot of the next instruction.  Registers hold
unsigned 64-bit numbers or None while unset; arithmetic on None raises TypeError, which the machine reports.
"""

from __future__ import annotations

from collections.abc import Callable

from probee.formats.insn import opcode as o
from probee.formats.insn.insn import Insn
from probee.formats.insn.interpret import arithmetic
from probee.formats.insn.interpret.arithmetic import U32, U64

Step = Callable[[], int]
Registers = list[int]


def alu_step(r: Registers, insn: Insn, following: int) -> Step:
    """Return the step of an ALU or ALU64 instruction."""
    wide = insn.op & 7 == o.ALU64
    code = insn.op & 0xF0
    if code == o.END:
        return _endian(r, insn, following)
    if code == o.NEG:
        return _negate(r, insn.dst, U64 if wide else U32, following)
    if code == o.MOV:
        return _move(r, insn, wide, following)
    if wide and insn.off == 0:
        special = _frequent(r, insn, following)
        if special:
            return special
    table = arithmetic.ALU64 if wide else arithmetic.ALU32
    function = table[code, insn.off]
    if insn.op & o.X:
        return _with_register(r, insn, function, wide, following)
    return _with_immediate(r, insn, function, wide, following)


def _frequent(r: Registers, insn: Insn, following: int) -> Step | None:
    """Return a step without an inner call for the commonest 64-bit operations."""
    dst, src, code = insn.dst, insn.src, insn.op & 0xF8
    immediate = insn.imm & U64

    def add_immediate() -> int:
        r[dst] = (r[dst] + immediate) & U64
        return following

    def add_register() -> int:
        r[dst] = (r[dst] + r[src]) & U64
        return following

    def and_immediate() -> int:
        r[dst] &= immediate
        return following

    return {o.ADD | o.K: add_immediate, o.ADD | o.X: add_register, o.AND | o.K: and_immediate}.get(code)


def _with_register(r: Registers, insn: Insn, function: arithmetic.Binary, wide: bool, following: int) -> Step:
    dst, src = insn.dst, insn.src

    def step64() -> int:
        r[dst] = function(r[dst], r[src])
        return following

    def step32() -> int:
        r[dst] = function(r[dst] & U32, r[src] & U32)
        return following

    return step64 if wide else step32


def _with_immediate(r: Registers, insn: Insn, function: arithmetic.Binary, wide: bool, following: int) -> Step:
    dst = insn.dst
    immediate = insn.imm & (U64 if wide else U32)

    def step64() -> int:
        r[dst] = function(r[dst], immediate)
        return following

    def step32() -> int:
        r[dst] = function(r[dst] & U32, immediate)
        return following

    return step64 if wide else step32


def _move(r: Registers, insn: Insn, wide: bool, following: int) -> Step:
    dst, src, bits = insn.dst, insn.src, insn.off
    mask = U64 if wide else U32
    immediate = insn.imm & mask

    def immediate_step() -> int:
        r[dst] = immediate
        return following

    def register_step() -> int:
        r[dst] = r[src] & mask
        return following

    def extend_step() -> int:
        r[dst] = arithmetic.sign_extend(r[src], bits, 64 if wide else 32)
        return following

    if not insn.op & o.X:
        return immediate_step
    return extend_step if bits else register_step


def _negate(r: Registers, dst: int, mask: int, following: int) -> Step:
    def step() -> int:
        r[dst] = -r[dst] & mask
        return following

    return step


def _endian(r: Registers, insn: Insn, following: int) -> Step:
    """The host is little endian: to_le only cuts off, to_be and the unconditional swap are the same."""
    dst, bits = insn.dst, insn.imm
    mask = (1 << bits) - 1

    def cut() -> int:
        r[dst] &= mask
        return following

    def swap() -> int:
        r[dst] = arithmetic.swap(r[dst], bits)
        return following

    return swap if insn.op & 7 == o.ALU64 or insn.op & o.TO_BE else cut


def jump_step(r: Registers, insn: Insn, following: int) -> Step:
    """Return the step of a conditional or unconditional jump."""
    assert insn.branch is not None
    dst, src, target = insn.dst, insn.src, following + insn.branch
    if insn.op in (o.OP_JA, o.OP_GOTOL):
        return lambda: target
    if insn.op == o.OP_MAY_GOTO:  # leaves the loop only when the kernel loses patience
        return lambda: following
    wide = insn.op & 7 == o.JMP
    mask = U64 if wide else U32
    holds = (arithmetic.JMP64 if wide else arithmetic.JMP32)[insn.op & 0xF0]
    immediate = insn.imm & mask

    def register64() -> int:
        return target if holds(r[dst], r[src]) else following

    def register32() -> int:
        return target if holds(r[dst] & U32, r[src] & U32) else following

    def immediate64() -> int:
        return target if holds(r[dst], immediate) else following

    def immediate32() -> int:
        return target if holds(r[dst] & U32, immediate) else following

    if insn.op & o.X:
        return register64 if wide else register32
    return immediate64 if wide else immediate32


def constant_step(r: Registers, dst: int, value: int, following: int) -> Step:
    """Return the step that puts a resolved 64-bit constant into a register."""

    def step() -> int:
        r[dst] = value
        return following

    return step
