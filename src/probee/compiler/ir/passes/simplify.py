"""Simplifies control flow: branches that are decided, blocks that only jump on, blocks with one way in and out.

Nothing is duplicated and no branch is turned into a select.  The edge that proves a pointer (a branch on check_null) keeps
a block of its own where a loop begins behind it, since `non_null` must be dominated by it.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.dominance import loop_headers, reverse_postorder
from probee.compiler.ir.type import VOID, Type
from probee.compiler.ir.unit import Block, Function, Unit, Value, connect, replace


def run(function: Function, unit: Unit) -> bool:
    """Simplify until nothing changes; return whether anything did."""
    changed = False
    while _simplify(function) or _skip_joins(function):
        changed = True
    if changed:
        connect(function)
    return changed


def _simplify(function: Function) -> bool:
    return _decide_branches(function) | _drop_single_phis(function) | _skip_empty_blocks(function) | _merge_blocks(function)


def _decide_branches(function: Function) -> bool:
    """Branches on a constant, with both ways the same, or on a negated bool."""
    changed = False
    for block in function.blocks:
        last = block.values[-1]
        while last.op == op.BRANCH and (positive := _negation_of(last.args[0])) is not None:
            last.args = [positive]
            last.attr = (last.attr[1], last.attr[0])
            changed = True
        if last.op != op.BRANCH:
            continue
        then, otherwise = last.attr
        if last.args[0].op == op.CONST and then is not otherwise:
            taken, other = (then, otherwise) if last.args[0].attr else (otherwise, then)
            remove_edge(other, other.predecessors.index(block))
        elif then is otherwise and _same_arguments(then, block):
            taken = then
            remove_edge(then, then.predecessors.index(block))
        else:
            continue
        block.values[-1] = Value(op.JUMP, VOID, [], taken, last.span)
        changed = True
    if changed:
        connect(function)
    return changed


def _negation_of(value: Value) -> Value | None:
    """Return b of `b xor true`, None for anything else."""
    if value.op != op.XOR:
        return None
    left, right = value.args
    if left.op == op.CONST:
        left, right = right, left
    return left if right.op == op.CONST and right.attr == 1 else None


def remove_edge(target: Block, index: int) -> None:
    """Forget predecessor number `index` of a block, and its phi arguments."""
    target.predecessors = target.predecessors[:index] + target.predecessors[index + 1 :]
    for value in target.values:
        if value.op != op.PHI:
            break
        value.args = value.args[:index] + value.args[index + 1 :]


def _same_arguments(target: Block, source: Block) -> bool:
    """Return whether every phi has one argument for all edges from `source`."""
    indices = [index for index, before in enumerate(target.predecessors) if before is source]
    for phi in target.values:
        if phi.op != op.PHI:
            return True
        if any(phi.args[index] is not phi.args[indices[0]] for index in indices):
            return False
    return True


def _drop_single_phis(function: Function) -> bool:
    """Phis of one value, or of one value and themselves, and those that another of the block says already."""
    changes: dict[Value, Value] = {}
    for block in function.blocks:
        alike: dict[tuple[Type | Value, ...], Value] = {}
        for phi in block.values:
            if phi.op != op.PHI:
                break
            others = {arg for arg in phi.args if arg is not phi}
            if len(others) == 1:
                same = others.pop()
                while same in changes:
                    same = changes[same]
                if same is not phi and same.type is phi.type:
                    changes[phi] = same
                    continue
            first = alike.setdefault((phi.type, *phi.args), phi)
            if first is not phi:
                changes[phi] = first
    if not changes:
        return False
    for block in function.blocks:
        if block.values[0].op == op.PHI:
            block.values = [value for value in block.values if value.op != op.PHI or value not in changes]
    replace(function, changes)
    return True


def _skip_empty_blocks(function: Function) -> bool:
    """Lead the predecessors of a block that only jumps to where it jumps."""
    empty = [b for b in function.blocks if len(b.values) == 1 and b.values[0].op == op.JUMP and b is not function.entry]
    return bool(empty) and _skip(function, empty)


def _skip_joins(function: Function) -> bool:
    """The same for blocks that also have phis, where all of these are for the phis of the next block."""
    joins = [block for block in function.blocks if block.values[-1].op == op.JUMP and block.values[-2:][0].op == op.PHI]
    if not joins:
        return False
    needed = _phis_used_elsewhere(function, joins)
    return _skip(function, [block for block in joins if not needed.intersection(block.values)])


def _skip(function: Function, blocks: list[Block]) -> bool:
    headers = loop_headers(reverse_postorder(function))
    changed = False
    for block in blocks:
        target: Block = block.values[-1].attr
        if target is not block and block.predecessors and not (target in headers and _is_proof(block)):
            changed |= _lead_past(block, target)
    return changed


def _phis_used_elsewhere(function: Function, blocks: list[Block]) -> set[Value]:
    """Return the phis of blocks that jump which anything but the phis of their targets, coming from there, uses."""
    home = {phi: block for block in blocks for phi in block.values[:-1]}
    used: set[Value] = set()
    if home:
        for block in function.blocks:
            for value in block.values:
                for index, arg in enumerate(value.args):
                    if arg in home and (value.op != op.PHI or block.predecessors[index] is not home[arg]):
                        used.add(arg)
    return used


def _is_proof(block: Block) -> bool:
    """Return whether a branch that could prove a pointer leads here."""
    for before in block.predecessors:
        last = before.values[-1]
        if last.op == op.BRANCH and (last.args[0].op in op.PROVABLE or any(a.type.is_pointer for a in last.args[0].args)):
            return True
    return False


def _lead_past(block: Block, target: Block) -> bool:
    has_phis = target.values[0].op == op.PHI
    sources = block.predecessors
    doubled = any(before in target.predecessors for before in sources) or len(set(sources)) != len(sources)
    if has_phis and doubled:
        return False
    for before in sources:
        last = before.values[-1]
        if last.op == op.JUMP:
            last.attr = target
        else:
            last.attr = tuple(target if way is block else way for way in last.attr)
    index = target.predecessors.index(block)
    target.predecessors = [*target.predecessors[:index], *sources, *target.predecessors[index + 1 :]]
    for phi in target.values:
        if phi.op != op.PHI:
            break
        through = phi.args[index]
        own = through.args if through in block.values else [through] * len(sources)
        phi.args = [*phi.args[:index], *own, *phi.args[index + 1 :]]
    block.predecessors = []
    block.values = block.values[-1:]
    return True


def _merge_blocks(function: Function) -> bool:
    """Append a block to its only predecessor, where that leads nowhere else."""
    gone: set[Block] = set()
    for block in function.blocks:
        if block in gone or (not block.predecessors and block is not function.entry):
            continue
        while block.values[-1].op == op.JUMP:
            target: Block = block.values[-1].attr
            if len(target.predecessors) != 1 or target is block or target.values[0].op == op.PHI:
                break
            block.values.pop()
            block.values += target.values
            for successor in target.successors:
                successor.predecessors = [block if before is target else before for before in successor.predecessors]
            target.predecessors = []
            gone.add(target)
    if gone:
        function.blocks = [block for block in function.blocks if block not in gone]
    return bool(gone)
