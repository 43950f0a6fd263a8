"""Clears slots that are read at a variable distance and never written as a whole: a string in a longer one, looked through.

The program stops at the end of what it wrote, but the kernel's verifier cannot know: before Linux 6.3 (commit 6715df8d5d24
"bpf: Allow reads from uninit stack") it refuses, and later where a pointer lay there before.  What other writes make
superfluous of it, deadstore takes away again.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.passes.effect import WRITES, locate
from probee.compiler.ir.passes.region import where_needed
from probee.compiler.ir.type import VOID
from probee.compiler.ir.unit import Function, Unit, Value

_LEADING = (op.PHI, op.ALLOCA, op.PARAM)


def run(function: Function, unit: Unit) -> bool:
    """Clear such slots before their first use, outside of loops; return whether there were any."""
    indexed = _indexed(function)
    if not indexed:
        return False
    indexed -= _written_whole(function, indexed)
    partly = [slot for slot in function.entry.values if slot in indexed]
    for slot in partly:
        block, _ = where_needed(function, {slot}, release=False)
        at = next(index for index, value in enumerate(block.values) if value.op not in _LEADING)
        block.values.insert(at, Value(op.ZERO, VOID, [slot], (0, slot.attr.size), slot.span))
    return bool(partly)


def _indexed(function: Function) -> set[Value]:
    """Return the slots with a pointer at a distance that is not constant."""
    found: set[Value] = set()
    for block in function.blocks:
        for value in block.values:
            if value.op == op.OFFSET and value.type.space == "stack" and value.args[1].op != op.CONST:
                root = locate(value)[0]
                if isinstance(root, Value) and root.op == op.ALLOCA:
                    found.add(root)
    return found


def _written_whole(function: Function, slots: set[Value]) -> set[Value]:
    """Return the slots that something writes from the first byte to the last, as far as the verifier sees."""
    found: set[Value] = set()
    for block in function.blocks:
        for value in block.values:
            if value.op == op.ZERO:
                pointer, size = value.args[0], value.attr[1]
            elif value.op == op.COPY:
                pointer, size = value.args[0], value.attr[2]
            elif value.op == op.HELPER and WRITES.get(value.attr) == 0 and value.args[1].op == op.CONST:
                pointer, size = value.args[0], value.args[1].attr
            else:
                continue
            root = locate(pointer)[0]
            if root in slots and isinstance(root, Value) and size >= root.attr.size:
                found.add(root)
    return found
