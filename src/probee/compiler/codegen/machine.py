"""Machine code before it is bytes: instructions over virtual registers, in blocks.

Registers 0 to 10 are the machine's, those from FIRST_VIRTUAL on are virtual and may be written many times (this is not
SSA: a phi is a register that each predecessor writes).  An instruction has the kernel's opcode; two pseudo opcodes
exist: FRAME (the address of a stack slot) and nothing else.  A block ends in an optional conditional jump to `target`,
and then goes on to `next`, or, where `next` is None, its last instruction is an exit.
"""

from __future__ import annotations

from probee.compiler.ir.unit import FieldAccess
from probee.formats.insn import opcode as o
from probee.formats.insn.insn import Insn

FIRST_VIRTUAL = 16
FRAME = 0x100  # dst = address of `slot` + off
CALL_ARGUMENTS = (1, 2, 3, 4, 5)
CALLER_SAVED = (0, 1, 2, 3, 4, 5)
CALLEE_SAVED = (6, 7, 8, 9)

# What an instruction does with its register fields
READ_DST, WRITE_DST, READ_SRC, SPECIAL, IMPURE = 1, 2, 4, 8, 16


class FrameSlot:
    """A piece of the stack frame: an alloca, or a place to spill a register to.  `at` is its offset from r10.

    `ranges` are the positions (liveness.py) at which it is in use; None means always.
    """

    __slots__ = ("align", "at", "name", "ranges", "size", "span")

    def __init__(self, size: int, align: int, name: str = "", span: int = 0) -> None:
        self.size = size
        self.align = align
        self.name = name
        self.span = span
        self.at = 0
        self.ranges: list[tuple[int, int]] | None = None


class MachineInsn(Insn):
    """An instruction on its way.  `slot` makes r10-relative offsets relative to a FrameSlot; `target` is a jump's block.

    A call's `off` is the number of arguments it reads, until it is emitted.  Equal is only what is the same.
    """

    __slots__ = ("field", "slot", "target")

    def __init__(
        self,
        op: int,
        dst: int = 0,
        src: int = 0,
        off: int = 0,
        imm: int = 0,
        span: int = 0,
        ref: object | None = None,
        slot: FrameSlot | None = None,
    ) -> None:
        self.op = op
        self.dst = dst
        self.src = src
        self.off = off
        self.imm = imm
        self.span = span
        self.ref = ref
        self.slot = slot
        self.field: FieldAccess | None = None
        self.target: MachineBlock | None = None

    __eq__ = object.__eq__
    __hash__ = object.__hash__  # type: ignore[assignment]  # Insn has none

    def copy(self) -> MachineInsn:
        new = MachineInsn(self.op, self.dst, self.src, self.off, self.imm, self.span, self.ref, self.slot)
        new.field, new.target = self.field, self.target
        return new

    def __repr__(self) -> str:
        return f"<{self.op:#x} dst={self.dst} src={self.src} off={self.off} imm={self.imm} {self.ref or ''}>"


class MachineBlock:
    """Instructions, the last of which may be a conditional jump; `depth` is the number of loops around it."""

    __slots__ = ("depth", "insns", "next", "number")

    def __init__(self, depth: int = 0) -> None:
        self.insns: list[MachineInsn] = []
        self.next: MachineBlock | None = None
        self.depth = depth
        self.number = 0

    @property
    def successors(self) -> tuple[MachineBlock, ...]:
        target = self.insns[-1].target if self.insns else None
        if self.next is None:
            return ()
        return (self.next,) if target is None else (self.next, target)


class MachineFunction:
    """One function: `blocks` in the order in which they will be laid out, entry first."""

    __slots__ = ("blocks", "frame_size", "n_registers", "name", "slots", "span")

    def __init__(self, name: str, span: int = 0) -> None:
        self.name = name
        self.span = span
        self.blocks: list[MachineBlock] = []
        self.n_registers = FIRST_VIRTUAL
        self.slots: list[FrameSlot] = []
        self.frame_size = 0

    def new_register(self) -> int:
        self.n_registers += 1
        return self.n_registers - 1


def _effects() -> list[int]:
    """Return, per opcode, how it uses its register fields."""
    table = [SPECIAL | IMPURE] * 257
    for operation in range(0, 0xD0, 0x10):
        for kind in (o.ALU, o.ALU64):
            table[kind | operation | o.K] = READ_DST | WRITE_DST
            table[kind | operation | o.X] = READ_DST | WRITE_DST | READ_SRC
    for kind in (o.ALU, o.ALU64):
        table[kind | o.MOV | o.K] = WRITE_DST
        table[kind | o.MOV | o.X] = WRITE_DST | READ_SRC
        table[kind | o.NEG] = table[kind | o.END | o.K] = table[kind | o.END | o.X] = READ_DST | WRITE_DST
    for operation in range(0x10, 0xE0, 0x10):
        if operation not in (o.CALL, o.EXIT):
            for kind in (o.JMP, o.JMP32):
                table[kind | operation | o.K] = READ_DST | IMPURE
                table[kind | operation | o.X] = READ_DST | READ_SRC | IMPURE
    for size in (o.B, o.H, o.W, o.DW):
        table[o.LDX | o.MEM | size] = table[o.LDX | o.MEMSX | size] = WRITE_DST | READ_SRC
        table[o.STX | o.MEM | size] = READ_DST | READ_SRC | IMPURE
        table[o.ST | o.MEM | size] = READ_DST | IMPURE
    table[o.OP_LD_IMM64] = table[FRAME] = WRITE_DST
    return table


EFFECTS = _effects()
MOV64 = o.ALU64 | o.MOV | o.X
MOV32 = o.ALU | o.MOV | o.X


def is_no_copy(insn: MachineInsn) -> bool:
    """Return whether an instruction copies a register to itself, which does nothing."""
    return insn.dst == insn.src and insn.op == MOV64 and not insn.off


def operands(insn: MachineInsn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return (registers read, registers written); r10 is listed like any other."""
    effects = EFFECTS[insn.op]
    if effects & SPECIAL:
        return _special(insn)
    reads: tuple[int, ...]
    if effects & READ_DST:
        reads = (insn.dst, insn.src) if effects & READ_SRC else (insn.dst,)
    else:
        reads = (insn.src,) if effects & READ_SRC else ()
    return reads, ((insn.dst,) if effects & WRITE_DST else ())


def _special(insn: MachineInsn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Calls, exits and atomics."""
    if insn.op == o.OP_CALL:
        return CALL_ARGUMENTS[: insn.off], CALLER_SAVED
    if insn.op == o.OP_EXIT:
        return (0,), ()
    if insn.imm == o.CMPXCHG:
        return (insn.dst, insn.src, 0), (0,)
    return (insn.dst, insn.src), ((insn.src,) if insn.imm & o.FETCH else ())
