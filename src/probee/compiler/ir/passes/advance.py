"""A pointer that a loop moves by a constant becomes the pointer it began as and a distance that the loop counts.

`for (p = t; p < t + 8; p++)`: the kernel's verifier learns nothing from a comparison of pointers, from one of numbers it does;
and a loop that counts numbers may be unrolled.  Comparisons with pointers of the same origin become those of distances.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.passes.effect import locate
from probee.compiler.ir.type import I64
from probee.compiler.ir.unit import Block, Function, Unit, Value

_SPACES = ("stack", "map", "ringbuf")
# what is asked of two pointers → what is asked of their distances from one origin
_OF_DISTANCES = {
    op.ULT: op.SLT, op.ULE: op.SLE, op.UGT: op.SGT, op.UGE: op.SGE, op.EQ: op.EQ, op.NE: op.NE, op.SUB: op.SUB,
}  # fmt: skip


def run(function: Function, unit: Unit) -> bool:
    """Replace such pointers; return whether there was one."""
    made: dict[Value, Value] = {}  # phi → what it is now
    for block in function.blocks:
        for phi in [value for value in block.values if value.op == op.PHI and value.type.space in _SPACES]:
            moved = _moves(phi)
            if moved is not None:
                made[phi] = _count(block, phi, *moved)
    if not made:
        return False
    distances = {pointer: (pointer.args[0], pointer.args[1]) for pointer in made.values()}
    for block in function.blocks:
        for value in list(block.values):
            value.args = [made.get(arg, arg) for arg in value.args]
            if value.op in _OF_DISTANCES and all(arg.type.is_pointer or arg.op == op.ADDRESS for arg in value.args):
                _compare(block, value, distances)
    return True


def _moves(phi: Value) -> tuple[Value, list[tuple[bool, int]]] | None:
    """Return (origin, for each argument whether it is the phi itself moved, and how far from that or the origin).

    None of a pointer that begins as several, or is moved by what is no constant.
    """
    located = [locate(arg) for arg in phi.args]
    outside = [index for index, (root, _) in enumerate(located) if root is not phi]
    if not outside or len(outside) == len(located):
        return None
    origin = phi.args[outside[0]]
    if any(phi.args[index] is not origin for index in outside):
        root = located[outside[0]][0]
        if not isinstance(root, Value) or any(located[index][0] is not root for index in outside):
            return None
        origin = root
    else:
        located = [(root, 0 if index in outside else distance) for index, (root, distance) in enumerate(located)]
    if origin.type.nullable or origin.op == op.CONST or any(distance is None for _, distance in located):
        return None
    return origin, [(root is phi, distance or 0) for root, distance in located]


def _count(block: Block, phi: Value, origin: Value, steps: list[tuple[bool, int]]) -> Value:
    """Count how far the pointer is from its origin; return the pointer made of it."""
    counter = Value(op.PHI, I64, [], None, phi.span)
    for predecessor, (moved, distance) in zip(block.predecessors, steps, strict=True):
        number = Value(op.CONST, I64, [], distance & (1 << 64) - 1, phi.span)
        new = [number, Value(op.ADD, I64, [counter, number], None, phi.span)] if moved else [number]
        predecessor.values[-1:-1] = new
        counter.args.append(new[-1])
    pointer = Value(op.OFFSET, origin.type, [origin, counter], None, phi.span)
    after = next(index for index, value in enumerate(block.values) if value.op != op.PHI)
    block.values.insert(after, pointer)
    block.values[block.values.index(phi)] = counter
    return pointer


def _compare(block: Block, value: Value, distances: dict[Value, tuple[Value, Value]]) -> None:
    """Compare, or subtract, distances instead of two pointers of one origin, if a loop counts one of them."""
    sides = [_from_origin(arg.args[0] if arg.op == op.ADDRESS else arg, distances) for arg in value.args]
    if sides[0][0] is not sides[1][0] or any(constant is None for _, _, constant in sides):
        return
    if all(counter is None for _, counter, _ in sides):
        return
    at = block.values.index(value)
    new: list[Value] = []
    args: list[Value] = []
    for _, counter, constant in sides:
        number = Value(op.CONST, I64, [], (constant or 0) & (1 << 64) - 1, value.span)
        new.append(number)
        if counter is not None and constant:
            number = Value(op.ADD, I64, [counter, number], None, value.span)
            new.append(number)
        args.append(counter if counter is not None and not constant else number)
    block.values[at:at] = new
    value.op, value.args = _OF_DISTANCES[value.op], args


def _from_origin(pointer: Value, distances: dict[Value, tuple[Value, Value]]) -> tuple[object, Value | None, int | None]:
    """Return (origin, counted distance, constant distance) of a pointer."""
    total = 0
    while True:
        if pointer in distances:
            base, counter = distances[pointer]
            origin, distance = locate(base)
            return origin, counter, None if distance is None else distance + total
        if pointer.op == op.NON_NULL:
            pointer = pointer.args[0]
        elif pointer.op == op.OFFSET and pointer.args[1].op == op.CONST:
            by = pointer.args[1].attr
            total += by - (1 << 64) if by >> 63 else by
            pointer = pointer.args[0]
        else:
            return pointer, None, total
