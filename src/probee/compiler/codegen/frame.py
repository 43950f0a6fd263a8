"""The stack frame: where each slot is, below r10.

The kernel allows 512 bytes for a program together with the deepest chain of functions that it calls, each frame rounded
up to 32 bytes (check_max_stack_depth in kernel/bpf/verifier.c).
"""

from __future__ import annotations

from probee.compiler.codegen.machine import FrameSlot, MachineFunction
from probee.errors import CompileError
from probee.formats.insn import opcode as o
from probee.formats.insn.ref import FuncRef


def lay_out(function: MachineFunction) -> None:
    """Give every slot its offset; spill slots lie nearest to r10."""
    size = 0
    for slot in sorted(function.slots, key=lambda slot: bool(slot.name)):
        size = -(-(size + slot.size) // _alignment(slot)) * _alignment(slot)
        slot.at = -size
    function.frame_size = -(-size // 8) * 8
    if function.frame_size > o.STACK_BYTES:
        raise too_large(function.slots, function.frame_size, function.span)


def check_depth(functions: list[MachineFunction]) -> None:
    """Refuse a program whose deepest chain of calls needs more stack than there is; `functions` are all of one program."""
    by_name = {function.name: function for function in functions}
    for function in functions:
        depth = _deepest(function, by_name, ())
        if depth > o.STACK_BYTES:
            slots = [slot for each in functions for slot in each.slots]
            raise too_large(slots, depth, function.span)


def _deepest(function: MachineFunction, by_name: dict[str, MachineFunction], chain: tuple[str, ...]) -> int:
    """Return the bytes that a function and the deepest chain below it take; the kernel allows 8 frames."""
    if function.name in chain or len(chain) >= 8:
        raise CompileError(f"{function.name} is called too deep: the kernel allows 8 nested calls, no recursion", function.span)
    own = max(-(-function.frame_size // 32) * 32, 32)
    chain = (*chain, function.name)
    return own + max((_deepest(by_name[name], by_name, chain) for name in sorted(callees(function))), default=0)


def callees(function: MachineFunction) -> set[str]:
    """Return the names of the functions that a function calls or takes the address of."""
    return {insn.ref.name for block in function.blocks for insn in block.insns if isinstance(insn.ref, FuncRef)}


def _alignment(slot: FrameSlot) -> int:
    return max(slot.align, 8 if slot.size >= 8 else 1)


def too_large(slots: list[FrameSlot], size: int, span: int) -> CompileError:
    """Return the error that names the largest variables."""
    largest = sorted(slots, key=lambda slot: -slot.size)[:4]
    names = ", ".join(f"{slot.name or 'a temporary'} ({slot.size} bytes)" for slot in largest)
    place = next((slot.span for slot in largest if slot.span), span)
    return CompileError(
        f"local variables need {size} bytes, the kernel allows {o.STACK_BYTES}: {names}", place,
        hint="make strings or structures smaller, or keep them in a map",
    )  # fmt: skip
