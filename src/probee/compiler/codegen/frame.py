"""The stack frame: where each slot is, below r10.

The kernel allows 512 bytes for a program together with the deepest chain of functions that it calls, each frame rounded
up to 32 bytes (check_max_stack_depth in kernel/bpf/verifier.c).
"""

from __future__ import annotations

from probee.compiler.codegen.liveness import Ranges, intersect
from probee.compiler.codegen.machine import FrameSlot, MachineFunction
from probee.errors import CompileError
from probee.formats.insn import opcode as o
from probee.formats.insn.ref import FuncRef


def lay_out(function: MachineFunction) -> None:
    """Give every slot its offset, as near to r10 as those that matter at the same time allow."""
    placed: list[_Column] = []
    for column in sorted(_columns(function.slots), key=lambda column: -column.size):
        below = _lowest(column, [other for other in placed if _together(column.ranges, other.ranges)])
        column.below = below
        for slot in column.slots:
            slot.at = -below
        placed.append(column)
    function.frame_size = max((column.below for column in placed), default=0)
    if function.frame_size > o.STACK_BYTES:
        raise too_large(function.slots, function.frame_size, function.span)


class _Column:
    """Slots of one size that take turns in one place, `below` bytes under r10."""

    __slots__ = ("below", "ranges", "size", "slots")

    def __init__(self, slot: FrameSlot, size: int) -> None:
        self.size = size
        self.slots = [slot]
        self.ranges = slot.ranges[:] if slot.ranges is not None else None
        self.below = 0


def _columns(slots: list[FrameSlot]) -> list[_Column]:
    """Put each slot behind one of its size that is over before it begins, else into a column of its own.

    Sizes are rounded up to 8 bytes, which also aligns everything.
    """
    by_size: dict[int, list[_Column]] = {}
    always = [slot for slot in slots if slot.ranges is None]
    columns = [_Column(slot, -(-slot.size // 8) * 8) for slot in always]
    for slot in sorted(slots, key=lambda slot: slot.ranges[0][0] if slot.ranges else -1):
        if not slot.ranges:  # matters always, or never
            continue
        size = -(-slot.size // 8) * 8
        same = by_size.setdefault(size, [])
        column = next((column for column in same if column.ranges and column.ranges[-1][1] <= slot.ranges[0][0]), None)
        if column is None:
            same.append(_Column(slot, size))
            columns.append(same[-1])
        else:
            assert column.ranges is not None
            column.slots.append(slot)
            column.ranges += slot.ranges
    return columns


def _lowest(column: _Column, neighbours: list[_Column]) -> int:
    """Return the least distance below r10 at which a column overlaps no neighbour."""
    below = column.size
    for other in sorted(neighbours, key=lambda other: other.below - other.size):
        if below - column.size < other.below and other.below - other.size < below:
            below = other.below + column.size
    return below


def _together(left: Ranges | None, right: Ranges | None) -> bool:
    return left is None or right is None or intersect(left, right)


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


class StackExceeded(CompileError):
    """A program's frames do not fit the stack: compile.py tries again with fewer values in registers."""


def too_large(slots: list[FrameSlot], size: int, span: int) -> CompileError:
    """Return the error that names the largest variables."""
    largest = sorted(slots, key=lambda slot: -slot.size)[:4]
    names = ", ".join(f"{slot.name or 'a temporary'} ({slot.size} bytes)" for slot in largest)
    place = next((slot.span for slot in largest if slot.span), span)
    return StackExceeded(
        f"local variables need {size} bytes, the kernel allows {o.STACK_BYTES}: {names}", place,
        hint="make strings or structures smaller, or keep them in a map",
    )  # fmt: skip
