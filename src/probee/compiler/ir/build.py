"""Builder: how front ends write IR.  One method per operation, a current block, a current span.

Folds only what costs nothing to see (constants in arithmetic); everything else is the passes' work.  Mutable scalars are
allocas that are loaded and stored; the pass `promote` turns them into values.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.type import BOOL, FUNCTION, I64, MAP, VOID, Type, pointer
from probee.compiler.ir.unit import Block, FieldAccess, Function, Slot, Value

MASKS = {1: 1, 8: 0xFF, 16: 0xFFFF, 32: 0xFFFF_FFFF, 64: 0xFFFF_FFFF_FFFF_FFFF}


class Builder:
    """Writes one function.  `span` is put on every value made; set it as the walk proceeds."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.span = function.span
        if not function.blocks:
            function.blocks.append(Block())
        self.block = function.blocks[0]
        self._placed = {id(block) for block in function.blocks}
        self._n_allocas = 0

    # -- blocks
    def new_block(self) -> Block:
        """Return a new block, to be placed when `at` moves there."""
        return Block()

    def at(self, block: Block) -> None:
        """Continue in `block`."""
        self.block = block
        if id(block) not in self._placed:
            self._placed.add(id(block))
            self.function.blocks.append(block)

    @property
    def terminated(self) -> bool:
        """True when the current block already ends."""
        values = self.block.values
        return bool(values) and values[-1].op in op.TERMINATORS

    def emit(self, operation: str, type: Type, args: list[Value], attr: object = None) -> Value:
        value = Value(operation, type, args, attr, self.span)
        self.block.values.append(value)
        return value

    # -- 1. constants and names
    def const(self, number: int, type: Type = I64) -> Value:
        return self.emit(op.CONST, type, [], number & MASKS[type.bits])

    def null(self, space: str) -> Value:
        return self.emit(op.CONST, pointer(space, nullable=True), [], 0)

    def map(self, name: str) -> Value:
        return self.emit(op.MAP, MAP, [], name)

    def map_value(self, name: str, offset: int = 0) -> Value:
        return self.emit(op.MAP_VALUE, pointer("map"), [], (name, offset))

    def late(self, name: str) -> Value:
        return self.emit(op.LATE, I64, [], name)

    def callback(self, name: str) -> Value:
        return self.emit(op.CALLBACK, FUNCTION, [], name)

    def ksym(self, name: str, space: str = "percpu") -> Value:
        return self.emit(op.KSYM, pointer(space), [], name)

    # -- 2. parameters
    def param(self, index: int) -> Value:
        return self.emit(op.PARAM, self.function.parameters[index], [], index)

    # -- 3–4. arithmetic and comparison
    def binary(self, operation: str, left: Value, right: Value) -> Value:
        return self.emit(operation, left.type, [left, right])

    def add(self, left: Value, right: Value | int) -> Value:
        return self.binary(op.ADD, left, self._number(right, left.type))

    def sub(self, left: Value, right: Value | int) -> Value:
        return self.binary(op.SUB, left, self._number(right, left.type))

    def mul(self, left: Value, right: Value | int) -> Value:
        return self.binary(op.MUL, left, self._number(right, left.type))

    def and_(self, left: Value, right: Value | int) -> Value:
        return self.binary(op.AND, left, self._number(right, left.type))

    def or_(self, left: Value, right: Value | int) -> Value:
        return self.binary(op.OR, left, self._number(right, left.type))

    def xor(self, left: Value, right: Value | int) -> Value:
        return self.binary(op.XOR, left, self._number(right, left.type))

    def shl(self, left: Value, right: Value | int) -> Value:
        return self.binary(op.SHL, left, self._number(right, left.type))

    def lshr(self, left: Value, right: Value | int) -> Value:
        return self.binary(op.LSHR, left, self._number(right, left.type))

    def ashr(self, left: Value, right: Value | int) -> Value:
        return self.binary(op.ASHR, left, self._number(right, left.type))

    def compare(self, operation: str, left: Value, right: Value | int) -> Value:
        return self.emit(operation, BOOL, [left, self._number(right, left.type)])

    def _number(self, value: Value | int, type: Type) -> Value:
        return self.const(value, type) if isinstance(value, int) else value

    # -- 5. conversions
    def zext(self, value: Value, type: Type) -> Value:
        return value if value.type is type else self.emit(op.ZEXT, type, [value])

    def sext(self, value: Value, type: Type) -> Value:
        return value if value.type is type else self.emit(op.SEXT, type, [value])

    def trunc(self, value: Value, type: Type) -> Value:
        return value if value.type is type else self.emit(op.TRUNC, type, [value])

    def resize(self, value: Value, type: Type, *, signed: bool) -> Value:
        """Truncate or extend an int to `type`."""
        if value.type.bits > type.bits:
            return self.trunc(value, type)
        return self.sext(value, type) if signed and value.type is not BOOL else self.zext(value, type)

    def bswap(self, value: Value) -> Value:
        return self.emit(op.BSWAP, value.type, [value])

    # -- 6. pointers
    def offset(self, base: Value, by: Value | int) -> Value:
        if isinstance(by, int) and by == 0 and not base.type.nullable:
            return base
        return self.emit(op.OFFSET, pointer(base.type.space), [base, self._number(by, I64)])

    def address(self, value: Value) -> Value:
        return self.emit(op.ADDRESS, I64, [value])

    def pointer(self, value: Value, space: str, *, nullable: bool = False) -> Value:
        return self.emit(op.POINTER, pointer(space, nullable=nullable), [value])

    # -- 7. memory
    def alloca(self, size: int, align: int = 8, name: str = "") -> Value:
        """Reserve memory in the frame; it is placed at the head of the entry block wherever it is asked for."""
        value = Value(op.ALLOCA, pointer("stack"), [], Slot(size, align, name), self.span)
        self.function.entry.values.insert(self._n_allocas, value)
        self._n_allocas += 1
        return value

    def load(self, base: Value, type: Type, offset: int = 0, *, field: FieldAccess | None = None) -> Value:
        value = self.emit(op.LOAD, type, [base], offset)
        if field is not None:
            self.function.fields[value] = field
        return value

    def store(self, base: Value, value: Value, offset: int = 0) -> Value:
        return self.emit(op.STORE, VOID, [base, value], offset)

    def copy(self, to: Value, source: Value, size: int, *, to_offset: int = 0, from_offset: int = 0) -> Value | None:
        return self.emit(op.COPY, VOID, [to, source], (to_offset, from_offset, size)) if size else None

    def zero(self, base: Value, size: int, offset: int = 0) -> None:
        if size:
            self.emit(op.ZERO, VOID, [base], (offset, size))

    def atomic(self, operation: str, base: Value, value: Value, offset: int = 0, *, fetch: bool = False) -> Value:
        return self.emit(op.ATOMIC, value.type if fetch else VOID, [base, value], (operation, offset, fetch))

    def compare_exchange(self, base: Value, expected: Value, new: Value, offset: int = 0) -> Value:
        return self.emit(op.COMPARE_EXCHANGE, new.type, [base, expected, new], offset)

    # -- 8. provable
    def load_context(self, context: Value, type: Type, offset: int) -> Value:
        return self.emit(op.LOAD_CONTEXT, type, [context], offset)

    def store_context(self, context: Value, value: Value, offset: int) -> None:
        self.emit(op.STORE_CONTEXT, VOID, [context, value], offset)

    def load_trusted(self, base: Value, type: Type, offset: int, *, field: FieldAccess | None = None) -> Value:
        value = self.emit(op.LOAD_TRUSTED, type, [base], offset)
        if field is not None:
            self.function.fields[value] = field
        return value

    def check_packet(self, start: Value, end: Value, size: int) -> Value:
        return self.emit(op.CHECK_PACKET, BOOL, [start, end], size)

    def check_null(self, value: Value) -> Value:
        return self.emit(op.CHECK_NULL, BOOL, [value])

    def non_null(self, value: Value) -> Value:
        return self.emit(op.NON_NULL, pointer(value.type.space), [value])

    def claim_non_null(self, value: Value) -> Value:
        """Return a pointer that the program takes for not null; the kernel's verifier has the last word."""
        return self.emit(op.NON_NULL, pointer(value.type.space), [value], op.CLAIMED) if value.type.nullable else value

    def bound(self, value: Value, maximum: int) -> Value:
        return self.emit(op.BOUND, I64, [value], maximum)

    # -- 9. calls
    def helper(self, name: str, *args: Value, type: Type = I64) -> Value:
        return self.emit(op.HELPER, type, list(args), name)

    def call(self, name: str, *args: Value, type: Type = I64) -> Value:
        return self.emit(op.CALL, type, list(args), name)

    def kfunc(self, name: str, *args: Value, type: Type = I64) -> Value:
        return self.emit(op.KFUNC, type, list(args), name)

    # -- 10. control
    def jump(self, target: Block) -> None:
        self.emit(op.JUMP, VOID, [], target)

    def branch(self, condition: Value, then: Block, otherwise: Block) -> None:
        self.emit(op.BRANCH, VOID, [condition], (then, otherwise))

    def unroll(self, *, must: bool) -> None:
        """Ask for the innermost loop around the current block to be written out; `must`: an error where it cannot be."""
        self.emit(op.UNROLL, VOID, [], must)

    def return_(self, value: Value | None = None) -> None:
        self.emit(op.RETURN, VOID, [value] if value is not None else [])
