"""Removal of spill stores whose slot already holds the value on every path.

A store or a load makes slot and register equal; a write to the register, or a branch that reads it (the verifier learns
from it, and the slot should know), ends that, as does any other value stored to the slot.
"""

from __future__ import annotations

from probee.compiler.codegen.machine import FrameSlot, MachineBlock, MachineFunction, MachineInsn, operands
from probee.formats.insn import opcode as o

_STORE = o.STX | o.MEM | o.DW
_LOAD = o.LDX | o.MEM | o.DW
Known = dict[FrameSlot, int]  # slot → the register that holds the same


def remove_known_stores(function: MachineFunction, slots: set[FrameSlot]) -> None:
    """Walk the blocks until what is known at their starts no longer shrinks, then drop the stores of what is known."""
    entering: dict[MachineBlock, Known | None] = dict.fromkeys(function.blocks)
    entering[function.blocks[0]] = {}
    work = [function.blocks[0]]
    while work:
        block = work.pop()
        known = dict(entering[block] or {})
        for insn in block.insns:
            _step(insn, known, slots)
        for successor in block.successors:
            before = entering[successor]
            after = dict(known) if before is None else {slot: r for slot, r in before.items() if known.get(slot) == r}
            if before is None or len(after) < len(before):
                entering[successor] = after
                work.append(successor)
    for block in function.blocks:
        known = dict(entering[block] or {})
        kept = []
        for insn in block.insns:
            if not (insn.op == _STORE and insn.slot in slots and known.get(insn.slot) == insn.src):
                kept.append(insn)
            _step(insn, known, slots)
        block.insns = kept


def _step(insn: MachineInsn, known: Known, slots: set[FrameSlot]) -> None:
    """Apply one instruction to what is known."""
    slot = insn.slot
    if slot is not None and slot in slots:
        if insn.op == _STORE:
            known[slot] = insn.src
        elif insn.op == _LOAD:
            _forget(known, (insn.dst,))
            known[slot] = insn.dst
        return
    if insn.target is not None:
        _forget(known, (insn.dst, insn.src) if insn.op & o.X else (insn.dst,))
        return
    _forget(known, operands(insn)[1])


def _forget(known: Known, registers: tuple[int, ...]) -> None:
    for slot in [slot for slot, register in known.items() if register in registers]:
        del known[slot]
