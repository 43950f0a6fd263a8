"""Selection of calls, returns and parameters.

Arguments are copied into r1 to r5 one after another; allocation keeps a value out of an argument register that is
already written, because the register is then occupied until the call.
"""

from __future__ import annotations

from probee.compiler.codegen.machine import CALL_ARGUMENTS, MOV64
from probee.compiler.codegen.selector import INT_RESULT, Selector
from probee.compiler.ir.type import I64, VOID
from probee.compiler.ir.unit import Value
from probee.errors import ProbeeError
from probee.formats.insn import opcode as o
from probee.formats.insn.ref import BtfIdRef, FuncRef
from probee.model.helper import helper_id


def helper(s: Selector, value: Value) -> None:
    name: str = value.attr
    number = int(name[1:]) if name.startswith("#") else helper_id(name)
    if number is None:
        raise ProbeeError(f"internal error: no helper is called {value.attr!r}; please report it")
    _call(s, value, 0, number, None)
    if value.attr in INT_RESULT and value.type is I64 and s.uses.get(value) and value not in s.halves:
        s.put(o.ALU64 | o.LSH | o.K, s.regs[value], imm=32)
        s.put(o.ALU64 | o.ARSH | o.K, s.regs[value], imm=32)


def call(s: Selector, value: Value) -> None:
    _call(s, value, o.PSEUDO_CALL, 0, FuncRef(value.attr))


def kfunc(s: Selector, value: Value) -> None:
    _call(s, value, o.PSEUDO_KFUNC_CALL, 0, BtfIdRef(value.attr, "func"))


def _call(s: Selector, value: Value, kind: int, number: int, ref: object | None) -> None:
    for register, arg in zip(CALL_ARGUMENTS, value.args, strict=False):
        s.into(register, arg)
    s.put(o.OP_CALL, 0, kind, len(value.args), number, ref=ref)
    if value.type is not VOID:
        s.put(MOV64, s.define(value), 0)


def return_(s: Selector, value: Value) -> None:
    """Return a number; r0 is written even where nobody asked, since the verifier reads it."""
    if value.args:
        s.into(0, value.args[0])
    else:
        s.constant(0, 0)
    s.put(o.OP_EXIT)
    s.block.next = None


def parameters(s: Selector) -> None:
    """Copy the parameters that are used out of r1 to r5, first of all."""
    seen: dict[int, int] = {}
    for block in s.order.blocks:
        for value in block.values:
            if value.op == "param":
                if value.attr not in seen:
                    seen[value.attr] = s.new()
                    s.put(MOV64, seen[value.attr], value.attr + 1)
                s.regs[value] = seen[value.attr]
