"""Instruction selection: IR of one function → machine code over virtual registers.

Walks the blocks in layout order and applies one rule per operation.  Operations whose values are made at each use, and
comparisons that only branches look at, select nothing where they stand.
"""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.codegen import arithmetic, branch, call, pointer
from probee.compiler.codegen.machine import MachineFunction
from probee.compiler.codegen.selector import Selector
from probee.compiler.ir import op
from probee.compiler.ir.unit import Block, Function, Value, connect
from probee.errors import ProbeeError


def select(function: Function, features: frozenset[str]) -> MachineFunction:
    """Return the function's machine code; its IR is only renumbered."""
    connect(function)
    selector = Selector(function, features)
    for block in selector.order.blocks:
        for value in block.values:
            if value.op != op.PHI:
                break
            selector.define(value)
    for block in selector.order.blocks:
        _select_block(selector, block)
    return selector.machine


def _select_block(s: Selector, block: Block) -> None:
    s.ir_block = block
    s.start(s.heads[block])
    if block is s.source.entry:
        call.parameters(s)
    for value in block.values:
        s.span = value.span
        RULES[value.op](s, value)
        if value in s.demanded and value in s.regs and value.op != op.TRUNC and s.widths.natural(value) > value.type.bits:
            arithmetic.clean(s, s.regs[value], value.type.bits)


def _nothing(s: Selector, value: Value) -> None:
    """Made at each use, or defined elsewhere."""


def _made_or_defined(s: Selector, value: Value) -> None:
    """A late constant or an address in a map's value: in a register when it is used more than once."""
    if not s.is_made(value):
        s.make(value, s.define(value))


def _refused(s: Selector, value: Value) -> None:
    raise ProbeeError(f"internal error: {value.op} from {value.args[0].type} reached code generation; please report it")


def _memory(rule: Callable[[Selector, Value], None], n_pointers: int) -> Callable[[Selector, Value], None]:
    """Wrap a rule so that it refuses memory that no plain instruction reaches."""

    def checked(s: Selector, value: Value) -> None:
        if any(arg.type.space in ("kernel", "user", "percpu", "context") for arg in value.args[:n_pointers]):
            _refused(s, value)
        rule(s, value)

    return checked


RULES: dict[str, Callable[[Selector, Value], None]] = {
    op.CONST: _nothing, op.MAP: _nothing, op.CALLBACK: _nothing, op.UNDEF: _nothing, op.ALLOCA: _nothing,
    op.PARAM: _nothing, op.PHI: _nothing, op.UNROLL: _nothing, op.MAP_VALUE: _made_or_defined, op.LATE: _made_or_defined,
    op.KSYM: _made_or_defined,
    op.ADD: arithmetic.simple, op.SUB: arithmetic.simple, op.MUL: arithmetic.simple,
    op.AND: arithmetic.simple, op.OR: arithmetic.simple, op.XOR: arithmetic.simple,
    op.SHL: arithmetic.shift, op.LSHR: arithmetic.shift, op.ASHR: arithmetic.shift,
    op.UDIV: arithmetic.unsigned_division, op.UREM: arithmetic.unsigned_division,
    op.SDIV: arithmetic.signed_division, op.SREM: arithmetic.signed_division,
    **dict.fromkeys(branch.CONDITIONS, branch.comparison),
    op.ZEXT: arithmetic.alias, op.SEXT: arithmetic.sign_extension, op.TRUNC: arithmetic.truncation,
    op.BSWAP: arithmetic.byte_swap, op.ADDRESS: arithmetic.alias, op.POINTER: arithmetic.alias,
    op.NON_NULL: arithmetic.alias, op.OFFSET: pointer.offset, op.DISTANCE: pointer.distance,
    op.LOAD: _memory(pointer.load, 1), op.STORE: _memory(pointer.store, 1), op.COPY: _memory(pointer.copy, 2),
    op.ZERO: _memory(pointer.zero, 1), op.ATOMIC: _memory(pointer.atomic, 1),
    op.COMPARE_EXCHANGE: _memory(pointer.compare_exchange, 1),
    op.LOAD_CONTEXT: pointer.load, op.LOAD_TRUSTED: pointer.load,
    op.STORE_CONTEXT: pointer.store_context, op.BOUND: branch.bound,
    op.HELPER: call.helper, op.CALL: call.call, op.KFUNC: call.kfunc,
    op.JUMP: branch.jump, op.BRANCH: branch.branch, op.RETURN: call.return_,
}  # fmt: skip
