"""Leads jumps past branches that they decide: `phi(0, x) != 0` is false for who comes with the 0.

A block qualifies when all it does is to compute its own condition, so that nothing is duplicated and nothing behind it
misses a value.  Loop headers stay as they are, and so do branches that prove something.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.passes.constant import evaluate, signed
from probee.compiler.ir.passes.dominance import loop_headers, reverse_postorder
from probee.compiler.ir.passes.simplify import remove_edge
from probee.compiler.ir.unit import Block, Function, Unit, Value, connect

_PLAIN = op.ARITHMETIC | op.COMPARISONS | frozenset((op.ZEXT, op.SEXT, op.TRUNC))
_FAR_UP = 4  # blocks to look up for a branch on the same condition


def run(function: Function, unit: Unit) -> bool:
    """Thread every jump that can be; return whether there was one."""
    connect(function)
    candidates = [block for block in function.blocks if len(block.predecessors) > 1 and _decides_only(block)]
    if not candidates:
        return False
    headers = loop_headers(reverse_postorder(function))
    threading = _Threading(function)
    changed = False
    for block in candidates:
        if block not in headers and not any(value in threading.outside for value in block.values):
            changed |= threading.thread(block)
    if changed:
        connect(function)
    return changed


def _decides_only(block: Block) -> bool:
    last = block.values[-1]
    if last.op != op.BRANCH or last.attr[0] is last.attr[1] or block in last.attr:
        return False
    return all(value.op == op.PHI or value.op in _PLAIN for value in block.values[:-1]) and last.args[0].op not in op.PROVABLE


class _Threading:
    def __init__(self, function: Function) -> None:
        self.outside: set[Value] = set()  # values with a use beyond their block and the phis behind it
        self._constants: list[Value] = []
        home = {value: block for block in function.blocks for value in block.values}
        for block in function.blocks:
            for value in block.values:
                if value.op == op.PHI:
                    self.outside.update(
                        arg for arg, before in zip(value.args, block.predecessors, strict=True) if home[arg] is not before
                    )
                else:
                    self.outside.update(arg for arg in value.args if home[arg] is not block)

    def thread(self, block: Block) -> bool:
        """Take the edges into a block one by one, the last first."""
        changed = False
        for index in reversed(range(len(block.predecessors))):
            if len(block.predecessors) > 1:
                changed |= self._thread_edge(block, index)
        return changed

    def _thread_edge(self, block: Block, index: int) -> bool:
        before = block.predecessors[index]
        last = block.values[-1]
        number = _on_edge(last.args[0], block, index)
        if number is None:
            number = _decided_above(last.args[0], block, before)
        if number is None or block.predecessors.count(before) > 1:
            return False
        target: Block = last.attr[0 if number else 1]
        phis = [value for value in target.values if value.op == op.PHI]
        if phis and before in target.predecessors:
            return False
        position = target.predecessors.index(block)
        args = [_arg_on_edge(phi.args[position], block, index) for phi in phis]
        if not all(args):
            return False
        for phi, arg in zip(phis, args, strict=True):
            assert arg is not None
            phi.args = [*phi.args, arg]
            self.outside.add(arg)
        target.predecessors = [*target.predecessors, before]
        jump = before.values[-1]
        jump.attr = target if jump.op == op.JUMP else tuple(target if way is block else way for way in jump.attr)
        remove_edge(block, index)
        return True


def _arg_on_edge(value: Value, block: Block, index: int) -> Value | None:
    """Return what a phi behind the block gets from an edge that no longer goes through it."""
    if value not in block.values:
        return value
    return value.args[index] if value.op == op.PHI else None


def _on_edge(value: Value, block: Block, index: int) -> int | None:
    """Return a value's number for who comes through one edge, None when it is not constant."""
    if value.op == op.CONST:
        return int(value.attr)
    if value not in block.values:
        return None
    if value.op == op.PHI:
        arg = value.args[index]
        return int(arg.attr) if arg.op == op.CONST else None
    numbers = [_on_edge(arg, block, index) for arg in value.args]
    if any(number is None for number in numbers):
        return None
    own, source = value.type.bits, value.args[0].type.bits
    first = numbers[0]
    assert first is not None
    if value.op in (op.ZEXT, op.TRUNC):
        return first & ((1 << own) - 1)
    if value.op == op.SEXT:
        return signed(first, source) & ((1 << own) - 1)
    second = numbers[1]
    assert second is not None
    return evaluate(value.op, first, second, source)


def _decided_above(test: Value, block: Block, before: Block) -> int | None:
    """Return what a branch on the same condition, on the only way to this edge, says."""
    if test.op == op.PHI and test in block.values:
        return None
    behind = block
    for _ in range(_FAR_UP):
        last = before.values[-1]
        if last.op == op.BRANCH and last.args[0] is test and last.attr[0] is not last.attr[1]:
            return int(last.attr[0] is behind)
        if len(before.predecessors) != 1:
            return None
        behind, before = before, before.predecessors[0]
    return None
