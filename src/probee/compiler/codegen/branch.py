"""Selection of comparisons, branches, phis and what the verifier wants to see as a comparison and a branch.

A comparison is fused into every branch on it, on the registers that hold its operands, and has a 0 or 1 of its own only
for other uses.  Phis are registers that predecessors write: at their end where they end in a jump, in a block of its
own on the edge where they branch.  Nothing is turned into a select: BPF has none.
"""

from __future__ import annotations

from probee.compiler.codegen.machine import MOV64, MachineBlock
from probee.compiler.codegen.selector import Selector
from probee.compiler.ir import op
from probee.compiler.ir.unit import Block, Value
from probee.formats.insn import opcode as o
from probee.formats.insn.insn import signed32

CODE = {
    op.EQ: o.JEQ, op.NE: o.JNE, op.ULT: o.JLT, op.ULE: o.JLE, op.UGT: o.JGT, op.UGE: o.JGE,
    op.SLT: o.JSLT, op.SLE: o.JSLE, op.SGT: o.JSGT, op.SGE: o.JSGE,
}  # fmt: skip
_SIGNED = frozenset((op.SLT, op.SLE, op.SGT, op.SGE))
CONDITIONS = op.COMPARISONS | {op.CHECK_NULL, op.CHECK_PACKET}


def comparison(s: Selector, value: Value) -> None:
    """A comparison used as a number: 1, shifted where it is only wanted so, and 0 unless it holds."""
    if s.uses.get(value, 0) == 0 or value in s.fused:
        return
    dst = s.define(value)
    s.put(o.ALU64 | o.MOV | o.K, dst, imm=1 << s.scaled.get(value, 0))
    otherwise, join = s.split(), s.split()
    condition(s, value, join)
    s.block.next = otherwise
    s.start(otherwise)
    s.put(o.ALU64 | o.MOV | o.K, dst, imm=0)
    otherwise.next = join
    s.start(join)


def condition(s: Selector, value: Value, target: MachineBlock) -> None:
    """Jump to `target` where the bool holds, else fall through."""
    if value.op == op.CHECK_NULL:
        s.put(o.JMP | o.JNE | o.K, s.reg(value.args[0]), imm=0).target = target
    elif value.op == op.CHECK_PACKET:
        end = s.new()
        s.into(end, value.args[0])
        s.put(o.ALU64 | o.ADD | o.K, end, imm=value.attr)
        s.put(o.JMP | o.JLE | o.X, end, s.reg(value.args[1])).target = target
    elif value.op in op.COMPARISONS:
        _compare(s, value, target)
    else:
        s.put(o.JMP | o.JNE | o.K, s.reg(value), imm=0).target = target


def _compare(s: Selector, value: Value, target: MachineBlock) -> None:
    left, right = value.args
    operation = value.op
    if left.op == op.CONST and right.op != op.CONST:
        left, right, operation = right, left, op.SWAPPED[operation]
    bits = left.type.bits
    if operation in _SIGNED and bits < 32:
        _compare_narrow_signed(s, operation, left, right, target)
        return
    wide = bits > 32 or (operation not in _SIGNED and s.widths.is_clean(left) and s.widths.is_clean(right))
    kind = o.JMP if wide and left not in s.halves else o.JMP32
    imm = s.immediate(right, wide=wide)
    if imm is None and bits == 32:
        kind, imm = o.JMP32, s.immediate(right, wide=False)
    if imm is not None:
        s.put(kind | CODE[operation] | o.K, s.reg(left), imm=imm).target = target
    else:
        s.put(kind | CODE[operation] | o.X, s.reg(left), s.reg(right)).target = target


def _compare_narrow_signed(s: Selector, operation: str, left: Value, right: Value, target: MachineBlock) -> None:
    """Compare 8 or 16 bits with sign: shifted to the top of 32 bits, nothing needs extending."""
    bits = left.type.bits
    up = s.new()
    s.into(up, left)
    s.put(o.ALU | o.LSH | o.K, up, imm=32 - bits)
    if right.op == op.CONST:
        s.put(o.JMP32 | CODE[operation] | o.K, up, imm=signed32(right.attr << (32 - bits))).target = target
        return
    other = s.new()
    s.into(other, right)
    s.put(o.ALU | o.LSH | o.K, other, imm=32 - bits)
    s.put(o.JMP32 | CODE[operation] | o.X, up, other).target = target


def bound(s: Selector, value: Value) -> None:
    """min(value, max) in a register that the verifier sees compared with max."""
    dst = s.define(value)
    s.into(dst, value.args[0])
    cut, join = s.split(), s.split()
    if value.attr < 1 << 31:
        s.put(o.JMP | o.JLE | o.K, dst, imm=value.attr).target = join
    else:
        maximum = s.new()
        s.constant(maximum, value.attr)
        s.put(o.JMP | o.JLE | o.X, dst, maximum).target = join
    s.block.next = cut
    s.start(cut)
    s.constant(dst, value.attr)
    cut.next = join
    s.start(join)


def jump(s: Selector, value: Value) -> None:
    target: Block = value.attr
    here = s.ir_block
    phi_moves(s, target, target.predecessors.index(here))
    s.block.next = s.heads[target]


def branch(s: Selector, value: Value) -> None:
    test = s.root(value.args[0])
    then, otherwise = value.attr
    if test.op == op.CONST:
        taken = then if test.attr else otherwise
        index = taken.predecessors.index(s.ir_block) if then is not otherwise or test.attr else _second(s, otherwise)
        phi_moves(s, taken, index)
        s.block.next = s.heads[taken]
        return
    masked = _bit_test(s, test)
    if masked is not None and test.op == op.EQ:  # there is a jump where bits are set, none where they are not
        then, otherwise = otherwise, then
    yes = _edge(s, then, then.predecessors.index(s.ir_block))
    no = _edge(s, otherwise, _second(s, otherwise) if then is otherwise else otherwise.predecessors.index(s.ir_block))
    here = s.block
    if masked is not None:
        _jump_if_set(s, masked, yes[0])
    else:
        condition(s, test, yes[0])
    here.next = no[0]
    for edge, target, index in (no, yes):
        if edge is not s.heads[target]:
            s.start(edge)
            phi_moves(s, target, index)
            edge.next = s.heads[target]


def _bit_test(s: Selector, test: Value) -> Value | None:
    """Return the `and` that a comparison with 0 looks at, where the machine can test bits without computing it."""
    if test.op not in (op.EQ, op.NE) or test.args[1].op != op.CONST or test.args[1].attr:
        return None
    masked = test.args[0]
    if masked.op != op.AND or s.uses[masked] > 1 or s.is_made(s.root(masked.args[0])):
        return None
    bits = masked.type.bits
    if masked.args[1].op != op.CONST:
        return masked if bits >= 32 else None  # above a narrow register's width there may be dirt
    return masked if s.immediate(masked.args[1], wide=bits > 32) is not None else None


def _jump_if_set(s: Selector, masked: Value, target: MachineBlock) -> None:
    left, right = masked.args
    imm = s.immediate(right, wide=masked.type.bits > 32)
    kind = (o.JMP if masked.type.bits > 32 else o.JMP32) | o.JSET
    if imm is not None:
        s.put(kind | o.K, s.reg(left), imm=imm).target = target
    else:
        s.put(kind | o.X, s.reg(left), s.reg(right)).target = target


def _second(s: Selector, target: Block) -> int:
    """Return the index of the second edge from the current block, where both ways of a branch go to one block."""
    first = target.predecessors.index(s.ir_block)
    return target.predecessors.index(s.ir_block, first + 1)


def _edge(s: Selector, target: Block, index: int) -> tuple[MachineBlock, Block, int]:
    head = s.heads[target]
    if target.values[0].op != op.PHI:
        return head, target, index
    return MachineBlock(min(s.block.depth, head.depth)), target, index


def phi_moves(s: Selector, target: Block, index: int) -> None:
    """Write the phis of `target` for its predecessor number `index`, all at once."""
    pending: dict[int, int] = {}
    made: list[tuple[int, Value]] = []
    for phi in target.values:
        if phi.op != op.PHI:
            break
        source = s.root(phi.args[index])
        register = s.regs.get(source)
        if register is None:
            made.append((s.regs[phi], source))
        elif register != s.regs[phi]:
            pending[s.regs[phi]] = register
    parallel_moves(s, pending)
    for dst, source in made:
        s.into(dst, source)


def parallel_moves(s: Selector, pending: dict[int, int]) -> None:
    """Emit `dst = src` for all pairs as if at once; a cycle costs one temporary."""
    while pending:
        sources = set(pending.values())
        ready = [dst for dst in pending if dst not in sources]
        for dst in ready:
            s.put(MOV64, dst, pending.pop(dst))
        if not ready:
            dst = next(iter(pending))
            spare = s.new()
            s.put(MOV64, spare, dst)
            for other, source in pending.items():
                if source == dst:
                    pending[other] = spare
