"""The stack frame: where each slot is, below r10.

The kernel allows 512 bytes for a program together with the deepest chain of functions that it calls, each frame rounded
up to 32 bytes (check_max_stack_depth in kernel/bpf/verifier.c).
"""

from __future__ import annotations

from probee.compiler.codegen.liveness import intersect
from probee.compiler.codegen.machine import FrameSlot, MachineFunction
from probee.errors import CompileError
from probee.formats.insn import opcode as o
from probee.formats.insn.ref import FuncRef


def lay_out(function: MachineFunction) -> None:
    """Give every slot its offset, as near to r10 as those that matter at the same time allow."""
    placed: list[FrameSlot] = []
    for slot in sorted(function.slots, key=lambda slot: -slot.size):
        slot.at = -_lowest(slot, [other for other in placed if _together(slot, other)])
        placed.append(slot)
    function.frame_size = -(-max((-slot.at for slot in placed), default=0) // 8) * 8
    if function.frame_size > o.STACK_BYTES:
        raise too_large(function.slots, function.frame_size, function.span)


def _lowest(slot: FrameSlot, neighbours: list[FrameSlot]) -> int:
    """Return the least distance below r10 at which a slot overlaps no neighbour."""
    alignment = _alignment(slot)
    below = -(-slot.size // alignment) * alignment
    for other in sorted(neighbours, key=lambda other: -other.at - other.size):
        if below - slot.size < -other.at and -other.at - other.size < below:
            below = -(-(-other.at + slot.size) // alignment) * alignment
    return below


def _together(left: FrameSlot, right: FrameSlot) -> bool:
    return left.ranges is None or right.ranges is None or intersect(left.ranges, right.ranges)


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
