"""The state of instruction selection for one function, and how operands are found.

The rules (arithmetic.py, pointer.py, branch.py, call.py) are functions `rule(selector, value)` that append instructions;
select.py drives them.  Constants, map handles and frame addresses have no register: they are made at each use, in the
register where they are wanted.  Values that are another value's register under a new type (non_null, a zero extension
of something clean, a truncation) are aliases and cost nothing.
"""

from __future__ import annotations

from probee.compiler.codegen.machine import FRAME, MOV64, FrameSlot, MachineBlock, MachineFunction, MachineInsn
from probee.compiler.codegen.order import Order
from probee.compiler.codegen.width import Widths, demanded_clean
from probee.compiler.ir import op
from probee.compiler.ir.unit import Block, FieldAccess, Function, Slot, Value
from probee.errors import ProbeeError
from probee.formats.insn import opcode as o
from probee.formats.insn.insn import signed32
from probee.formats.insn.ref import BtfIdRef, ConstRef, FuncRef, MapRef, MapValueRef

_ALWAYS_MADE = frozenset((op.CONST, op.ALLOCA, op.MAP, op.CALLBACK, op.UNDEF))
_MADE_ONCE = frozenset((op.LATE, op.MAP_VALUE, op.KSYM))

# Before Linux 6.4 these return an int, and the upper half of r0 is anything.  Linux commit d7ba4cc900bf "bpf: return long
# from bpf_map_ops funcs" (in v6.4).
INT_RESULT = frozenset((
    "map_update_elem", "map_delete_elem", "map_push_elem", "map_pop_elem", "map_peek_elem", "for_each_map_elem",
))  # fmt: skip


class Place:
    """A memory operand: base register (10 with a slot), slot, and byte offset; `field` when the offset comes from BTF."""

    __slots__ = ("base", "field", "off", "slot")

    def __init__(self, base: int, off: int, slot: FrameSlot | None, field: FieldAccess | None) -> None:
        self.base = base
        self.off = off
        self.slot = slot
        self.field = field


class Selector:
    def __init__(self, function: Function, features: frozenset[str]) -> None:
        self.source = function
        self.features = features
        self.machine = MachineFunction(function.name, function.span)
        self.order = Order(function)
        self.demanded = demanded_clean(self.order.blocks)
        self.widths = Widths(self.order.blocks, self.demanded)
        self.uses = _count_uses(self.order.blocks)
        self.fused = _only_branched_on(self.order.blocks)
        self.halves = _halves(self.order.blocks)
        self.scaled = _scaled(self.order.blocks, self.uses)
        self.ir_block = function.entry
        self.alias: dict[Value, Value] = {}
        self.regs: dict[Value, int] = {}
        self.slots: dict[Value, FrameSlot] = {}
        self.heads = {block: MachineBlock(depth) for block, depth in zip(self.order.blocks, self.order.depth, strict=False)}
        self.span = 0
        self.block = MachineBlock()

    # -- writing

    def start(self, block: MachineBlock) -> None:
        """Go on in `block`, which is laid out next."""
        self.machine.blocks.append(block)
        self.block = block

    def split(self) -> MachineBlock:
        """Make an empty block for later, as deep in loops as the current one."""
        return MachineBlock(self.block.depth)

    def put(
        self, opcode: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0, *,
        ref: object | None = None, slot: FrameSlot | None = None,
    ) -> MachineInsn:  # fmt: skip
        insn = MachineInsn(opcode, dst, src, off, imm, self.span, ref, slot)
        self.block.insns.append(insn)
        return insn

    def new(self) -> int:
        return self.machine.new_register()

    def define(self, value: Value) -> int:
        """Give a value its register."""
        register = self.regs[value] = self.machine.new_register()
        return register

    # -- reading

    def root(self, value: Value) -> Value:
        alias = self.alias
        while value in alias:
            value = alias[value]
        return value

    def reg(self, value: Value) -> int:
        """Return a register that holds the value; made for this use when the value has none."""
        value = self.root(value)
        register = self.regs.get(value)
        if register is None:
            register = self.machine.new_register()
            self.make(value, register)
        return register

    def into(self, dst: int, value: Value) -> None:
        """Put the value into a register of the caller's choice."""
        value = self.root(value)
        register = self.regs.get(value)
        if register is None:
            self.make(value, dst)
        elif register != dst:
            self.put(MOV64, dst, register)

    def is_made(self, value: Value) -> bool:
        """Return whether the value has no register and is made at each use."""
        if value.op in _ALWAYS_MADE:
            return True
        if value.op in _MADE_ONCE:
            return self.uses.get(value, 0) < 2
        return value.op == op.OFFSET and self._frame_place(value) is not None

    def constant(self, dst: int, number: int) -> None:
        """Put an unsigned 64-bit number into a register, in one slot where possible."""
        if number < 1 << 31 or number >= (1 << 64) - (1 << 31):
            self.put(o.ALU64 | o.MOV | o.K, dst, imm=signed32(number))
        elif number < 1 << 32:
            self.put(o.ALU | o.MOV | o.K, dst, imm=signed32(number))
        else:
            self.put(o.OP_LD_IMM64, dst, imm=number)

    def immediate(self, value: Value, *, wide: bool) -> int | None:
        """Return a constant as an instruction's immediate, None when it is no constant or does not fit."""
        if value.op != op.CONST:
            return None
        number: int = value.attr
        if wide and (1 << 31) <= number < (1 << 64) - (1 << 31):
            return None
        return signed32(number)

    def place(self, pointer: Value, offset: int) -> Place:
        """Return where `pointer + offset` is, constant offsets folded in as long as they fit 16 bits."""
        field = None
        value = self.root(pointer)
        while value.op == op.OFFSET and value.args[1].op == op.CONST:
            further = offset + signed64(value.args[1].attr)
            own = self.source.fields.get(value)
            if not -0x8000 <= further < 0x8000 or (own is not None and field is not None):
                break
            field = own or field
            offset = further
            value = self.root(value.args[0])
        if value.op == op.ALLOCA:
            return Place(o.R10, offset, self.slot(value), field)
        if not -0x8000 <= offset < 0x8000:
            base = self.new()
            self.into(base, value)
            self.put(o.ALU64 | o.ADD | o.K, base, imm=offset)
            return Place(base, 0, None, field)
        return Place(self.reg(value), offset, None, field)

    def slot(self, alloca: Value) -> FrameSlot:
        slot = self.slots.get(alloca)
        if slot is None:
            reserved: Slot = alloca.attr
            slot = self.slots[alloca] = FrameSlot(reserved.size, reserved.align, reserved.name, alloca.span)
            self.machine.slots.append(slot)
        return slot

    def _frame_place(self, value: Value) -> tuple[Value, int] | None:
        """Return (alloca, offset) of a pointer at a known place in the frame."""
        offset = 0
        while True:
            value = self.root(value)
            if value.op == op.ALLOCA:
                return value, offset
            if value.op != op.OFFSET or value.args[1].op != op.CONST:
                return None
            offset += signed64(value.args[1].attr)
            value = value.args[0]

    def make(self, value: Value, dst: int) -> None:
        """Compute a value that has no register into `dst`."""
        operation = value.op
        if operation == op.CONST:
            self.constant(dst, value.attr)
        elif operation in (op.ALLOCA, op.OFFSET):
            frame = self._frame_place(value)
            assert frame is not None
            self.put(FRAME, dst, off=frame[1], slot=self.slot(frame[0]))
        elif operation == op.UNDEF:
            self.constant(dst, 0)
        elif operation == op.MAP:
            self.put(o.OP_LD_IMM64, dst, o.PSEUDO_MAP_FD, ref=MapRef(value.attr))
        elif operation == op.MAP_VALUE:
            name, offset = value.attr
            self.put(o.OP_LD_IMM64, dst, o.PSEUDO_MAP_VALUE, ref=MapValueRef(name, offset), imm=offset << 32)
        elif operation == op.LATE:
            self.put(o.OP_LD_IMM64, dst, ref=ConstRef(value.attr))
        elif operation == op.KSYM:
            self.put(o.OP_LD_IMM64, dst, o.PSEUDO_BTF_ID, ref=BtfIdRef(value.attr, "var"))
        elif operation == op.CALLBACK:
            self.put(o.OP_LD_IMM64, dst, o.PSEUDO_FUNC, ref=FuncRef(value.attr))
        else:
            raise ProbeeError(f"internal error: {value!r} in {self.source.name} is used before it is made; please report it")


def signed64(number: int) -> int:
    """Return an unsigned 64-bit number as a signed one."""
    return number - (1 << 64) if number >> 63 else number


def _count_uses(blocks: list[Block]) -> dict[Value, int]:
    uses: dict[Value, int] = {}
    for block in blocks:
        for value in block.values:
            for arg in value.args:
                uses[arg] = uses.get(arg, 0) + 1
    return uses


def _only_branched_on(blocks: list[Block]) -> set[Value]:
    """Return the bools that nothing but branches reads."""
    branched: set[Value] = set()
    otherwise: set[Value] = set()
    for block in blocks:
        for value in block.values:
            (branched if value.op == op.BRANCH else otherwise).update(value.args)
    return branched - otherwise


def _scaled(blocks: list[Block], uses: dict[Value, int]) -> dict[Value, int]:
    """Return the comparisons that are numbers only to be shifted to the left by a constant, and by how much."""
    found: dict[Value, int] = {}
    for block in blocks:
        for value in block.values:
            if value.op == op.SHL and value.args[1].op == op.CONST and (number := value.args[0]).op == op.ZEXT:
                test, by = number.args[0], value.args[1].attr
                once = uses[number] == 1 and uses[test] == 1
                if once and test.op in op.COMPARISONS and by < min(31, value.type.bits):
                    found[test] = by
    return found


def _halves(blocks: list[Block]) -> set[Value]:
    """Return the int results of helpers of which only the lower half is looked at: compared with small constants, cut off."""
    found = {
        value
        for block in blocks
        for value in block.values
        if value.op == op.HELPER and value.attr in INT_RESULT and value.type.bits == 64
    }
    if found:
        for block in blocks:
            for value in block.values:
                if not found.isdisjoint(value.args) and not _compares_half(value):
                    found.difference_update(value.args)
    return found


def _compares_half(value: Value) -> bool:
    if value.op == op.TRUNC:
        return True
    if value.op not in (op.EQ, op.NE, op.SLT, op.SLE, op.SGT, op.SGE) or value.args[1].op != op.CONST:
        return False
    return -(1 << 31) <= signed64(value.args[1].attr) < 1 << 31
