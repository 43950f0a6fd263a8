"""Layout: blocks in order become one list of instructions with jump offsets.

Empty blocks are threaded through, equal ends become one, a jump to an exit becomes a copy of it, conditional jumps are
turned around where that lets the other way fall through, and what nothing reaches is left out: the verifier rejects dead
instructions.
"""

from __future__ import annotations

from itertools import pairwise

from probee.compiler.codegen.machine import MachineBlock, MachineFunction, MachineInsn
from probee.errors import ProbeeError
from probee.formats.insn import opcode as o

_INVERTED = {
    o.JEQ: o.JNE, o.JNE: o.JEQ, o.JGT: o.JLE, o.JLE: o.JGT, o.JGE: o.JLT, o.JLT: o.JGE,
    o.JSGT: o.JSLE, o.JSLE: o.JSGT, o.JSGE: o.JSLT, o.JSLT: o.JSGE,
}  # fmt: skip
_MERGED_LENGTH = 4
_END_LENGTH = 2  # instructions of an end that is copied rather than jumped to


def thread(function: MachineFunction) -> None:
    """Skip empty blocks, drop branches whose ways are one, and leave out what is not reached."""
    while _shorten(function):
        pass
    reached = _reached(function.blocks[0])
    function.blocks = [block for block in function.blocks if block in reached]


def _shorten(function: MachineFunction) -> bool:
    """Thread every jump once; True when a block has become empty by it."""
    emptied = False
    for block in function.blocks:
        last = block.insns[-1] if block.insns else None
        if block.next is not None:
            block.next = _through(block.next)
        if last is not None and last.target is not None:
            last.target = _through(last.target)
            if last.target is block.next:
                block.insns.pop()
                emptied = emptied or not block.insns
    return emptied


def merge_ends(function: MachineFunction) -> None:
    """Make one of short blocks that end the function in the same way: `r0 = 0; exit` and the like."""
    first: dict[tuple[object, ...], MachineBlock] = {}
    same: dict[MachineBlock, MachineBlock] = {}
    for block in function.blocks[1:]:
        if block.next is None and len(block.insns) <= _MERGED_LENGTH:
            kept = first.setdefault(_key(block.insns), block)
            if kept is not block:
                same[block] = kept
    for block in function.blocks:  # longer ones go on to a short one that they end with
        if block.next is None and len(block.insns) > _END_LENGTH:
            end = first.get(_key(block.insns[-_END_LENGTH:]))
            if end is not None and end is not block:
                del block.insns[-_END_LENGTH:]
                block.next = end
    for block in function.blocks if same else ():
        if block.next is not None:
            block.next = same.get(block.next, block.next)
        last = block.insns[-1] if block.insns else None
        if last is not None and last.target is not None:
            last.target = same.get(last.target, last.target)


def _key(insns: list[MachineInsn]) -> tuple[object, ...]:
    return tuple((i.op, i.dst, i.src, i.off, i.imm, i.ref, i.slot) for i in insns)


def _through(block: MachineBlock) -> MachineBlock:
    seen = {block}
    while not block.insns and block.next is not None and block.next not in seen:
        block = block.next
        seen.add(block)
    return block


def _reached(entry: MachineBlock) -> set[MachineBlock]:
    reached = {entry}
    work = [entry]
    while work:
        for successor in work.pop().successors:
            if successor not in reached:
                reached.add(successor)
                work.append(successor)
    return reached


_LONGEST_TEST = 2  # instructions that are repeated at a loop's end


def finish(function: MachineFunction) -> list[MachineInsn]:
    """Return the function's instructions with `off` of every jump filled in, in slots."""
    _move_ends(function)
    _gather_ends(function)
    _test_at_end(function)
    _copy_exits(function)
    blocks = function.blocks
    for block, following in zip(blocks, [*blocks[1:], None], strict=False):
        _end(block, following)
    code: list[MachineInsn] = []
    start: dict[MachineBlock, int] = {}
    slots: list[int] = []
    slot = 0
    for block in blocks:
        start[block] = slot
        for insn in block.insns:
            code.append(insn)
            slots.append(slot)
            slot += 2 if insn.op == o.OP_LD_IMM64 else 1
    for insn, at in zip(code, slots, strict=False):
        if insn.target is not None:
            insn.off = start[insn.target] - at - 1
            if not -0x8000 <= insn.off < 0x8000:
                raise ProbeeError(f"{function.name} is too large: a jump spans {abs(insn.off)} instructions; split the program")
    return code


def _move_ends(function: MachineFunction) -> None:
    """Put an end that follows a jump to it to the very end, where that jump cannot be turned around (`if r1 & 4`)."""
    blocks = function.blocks
    moved = [
        following
        for block, following in pairwise(blocks)
        if block.insns and block.insns[-1].target is following and following.next is None
        and block.insns[-1].op & 0xF0 not in _INVERTED
    ]  # fmt: skip
    for block in dict.fromkeys(moved):
        blocks.remove(block)
        blocks.append(block)


def _gather_ends(function: MachineFunction) -> None:
    """Put a short end behind the last block that goes on to it, where what comes before it can be turned around."""
    blocks = function.blocks
    for end in [block for block in blocks[1:] if _is_end(block)]:
        at = blocks.index(end)
        before, following = blocks[at - 1], blocks[at + 1] if at + 1 < len(blocks) else None
        last = before.insns[-1] if before.insns else None
        if before.next is end and not (
            last is not None and following is not None and last.target is following and last.op & 0xF0 in _INVERTED
        ):
            continue
        users = [block for block in blocks if block.next is end and (not block.insns or block.insns[-1].target is None)]
        if users:
            blocks.remove(end)
            blocks.insert(blocks.index(users[-1]) + 1, end)


def _test_at_end(function: MachineFunction) -> None:
    """Let a block test for itself what the block that it jumps to tests, above all the end of a loop what its head does.

    That saves a jump per turn; one of the ways must lead to what follows.
    """
    blocks = function.blocks
    seen: set[MachineBlock] = set()
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        seen.add(block)
        head = block.next
        if head is None or head is following or (block.insns and block.insns[-1].target is not None):
            continue
        if not head.insns or len(head.insns) > (_LONGEST_TEST if head in seen else 1):
            continue
        test = head.insns[-1]
        falls = head.next is following or (test.target is following and test.op & 0xF0 in _INVERTED)
        if test.target is not None and following is not None and falls:
            block.insns += [insn.copy() for insn in head.insns]
            block.next = head.next


def _copy_exits(function: MachineFunction) -> None:
    """Replace jumps to an end that is hardly longer than a jump, where the end does not follow anyway."""
    blocks = function.blocks
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        conditional = block.insns and block.insns[-1].target is not None
        if block.next is not None and block.next is not following and not conditional and _is_end(block.next):
            block.insns += [insn.copy() for insn in block.next.insns]
            block.next = None
    reached = _reached(blocks[0])
    function.blocks = [block for block in blocks if block in reached]


def _end(block: MachineBlock, following: MachineBlock | None) -> None:
    """Make the block's end fall through to the one that follows, with a jump where it must."""
    if block.next is None or (block.next is following and following is not None):
        return
    last = block.insns[-1] if block.insns else None
    if last is not None and last.target is following and following is not None and _invert(last):
        last.target = block.next
        return
    jump = MachineInsn(o.OP_JA, span=last.span if last is not None else 0)
    jump.target = block.next
    block.insns.append(jump)


def _invert(insn: MachineInsn) -> bool:
    operation = insn.op & 0xF0
    if operation not in _INVERTED:
        return False
    insn.op = insn.op & ~0xF0 | _INVERTED[operation]
    return True


def _is_end(block: MachineBlock) -> bool:
    """Return whether a copy of the block is as short as a jump to it, or one longer."""
    return block.next is None and len(block.insns) <= _END_LENGTH
