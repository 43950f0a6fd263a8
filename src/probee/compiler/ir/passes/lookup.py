"""Does not look up a key again whose value was read just before: `/@start[tid]/ { … nsecs - @start[tid] … }` looks up once.

A second lookup of the same key in the same map is the first one where all that is done with it is to read what was read
through the first, and the run has not written to that map in between.  The value of the first read is used, not its pointer:
another CPU may have given the entry to another key by now.  Followed along blocks with one way in.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.dominance import reverse_postorder
from probee.compiler.ir.passes import known
from probee.compiler.ir.passes.effect import READS, TELLING, WRITES, escaped_slots, locate
from probee.compiler.ir.type import Type
from probee.compiler.ir.unit import Block, Function, Unit, Value, replace

LOOKUP = "map_lookup_elem"
_HARMLESS = TELLING | READS | WRITES.keys()
_CHANGES = ("map_update_elem", "map_delete_elem")
_WRITING = frozenset((op.STORE, op.ZERO, op.COPY, op.ATOMIC, op.COMPARE_EXCHANGE))

Cell = tuple[int, int, object]  # offset, size, the value or a constant's number
Reads = dict[tuple[int, Type], Value]  # (offset, type) → the load
Repeated = tuple[Value, Reads]  # the first lookup, what was read through it by then


def run(function: Function, unit: Unit) -> bool:
    """Remove repeated lookups; return whether there were any."""
    repeated = _repeated(function, unit)
    if not repeated or not _reuse(function, repeated):
        return False
    known.run(function, unit)  # the first pointer is checked once more now
    return True


class _State:
    """What slots hold, which keys were looked up, and what was read through the pointers."""

    __slots__ = ("lookups", "reads", "slots")

    def __init__(self) -> None:
        self.slots: dict[Value, tuple[Cell, ...]] = {}
        self.lookups: dict[object, Value] = {}  # (map, key) → pointer
        self.reads: dict[Value, Reads] = {}  # pointer → what was read

    def copy(self) -> _State:
        new = _State()
        new.slots, new.lookups = dict(self.slots), dict(self.lookups)
        new.reads = {pointer: dict(reads) for pointer, reads in self.reads.items()}
        return new

    def write(self, slot: Value, start: int, size: int, content: object) -> None:
        """Note a store to a slot, whole cells of which it replaces."""
        end = start + size
        kept = [cell for cell in self.slots.get(slot, ()) if cell[0] >= end or cell[0] + cell[1] <= start]
        self.slots[slot] = tuple(sorted([*kept, (start, size, content)], key=lambda cell: cell[0]))

    def key(self, slot: Value, start: int, size: int) -> tuple[Cell, ...] | None:
        """Return what a range of a slot holds, None when not all of it is known."""
        cells = [(at - start, length, what) for at, length, what in self.slots.get(slot, ()) if start <= at < start + size]
        reached = 0
        for at, length, _ in cells:
            if at != reached:
                return None
            reached += length
        return tuple(cells) if reached == size else None

    def forget(self, map: str | None) -> None:
        """The run changes what is in a map, or in some map: nothing that was read there still holds."""
        for pointer in list(self.reads):
            if map is None or pointer.args[0].attr == map:
                del self.reads[pointer]
        self.lookups = {} if map is None else {key: found for key, found in self.lookups.items() if found.args[0].attr != map}


def _repeated(function: Function, unit: Unit) -> dict[Value, Repeated]:
    """Return the lookups that an earlier one may stand for, with that one and what was read through it by then."""
    escaped = escaped_slots(function)
    ends: dict[Block, _State] = {}
    found: dict[Value, Repeated] = {}
    for block in reverse_postorder(function):
        before = block.predecessors[0] if len(block.predecessors) == 1 else None
        state = ends[before].copy() if before in ends else _State()
        for value in block.values:
            if value.op == op.HELPER:
                _call(state, value, unit, found)
            elif value.op in (op.CALL, op.KFUNC):
                state.forget(None)
                state.slots = {slot: cells for slot, cells in state.slots.items() if slot not in escaped}
            elif value.op == op.LOAD:
                root, distance = locate(value.args[0])
                if distance is not None and isinstance(root, Value) and root in state.reads:
                    state.reads[root].setdefault((distance + value.attr, value.type), value)
            elif value.op in _WRITING:
                _write(state, value)
        state.slots = {slot: cells for slot, cells in state.slots.items() if slot not in escaped}
        ends[block] = state
    return found


def _write(state: _State, value: Value) -> None:
    pointer = value.args[0]
    root, distance = locate(pointer)
    if pointer.type.space == "map":
        looked_up = isinstance(root, Value) and root.op == op.HELPER and root.attr == LOOKUP and root.args[0].op == op.MAP
        state.forget(root.args[0].attr if looked_up and isinstance(root, Value) else None)
    elif pointer.type.space == "own":
        state.forget(None)
        state.slots.clear()
    elif pointer.type.space == "stack":
        if not isinstance(root, Value) or root.op != op.ALLOCA:
            state.slots.clear()
        elif distance is None or value.op not in (op.STORE, op.ZERO):
            state.slots.pop(root, None)
        elif value.op == op.ZERO:
            state.write(root, distance + value.attr[0], value.attr[1], 0)
        else:
            what = value.args[1]
            state.write(root, distance + value.attr, what.type.size, what.attr if what.op == op.CONST else what)


def _call(state: _State, value: Value, unit: Unit, found: dict[Value, Repeated]) -> None:
    name, args = value.attr, value.args
    if name == LOOKUP:
        if args[0].op == op.MAP and args[0].attr in unit.maps:
            _look_up(state, value, unit.maps[args[0].attr].key_size, found)
        return
    if name in _CHANGES and args[0].op == op.MAP:
        state.forget(args[0].attr)
        return
    if name not in _HARMLESS:
        state.forget(None)
        state.slots.clear()
    elif name in WRITES:
        target = args[WRITES[name]]
        if target.type.space in ("map", "own"):
            state.forget(None)
        root = locate(target)[0]
        if isinstance(root, Value) and root.op == op.ALLOCA:
            state.slots.pop(root, None)
        elif target.type.space in ("stack", "own"):
            state.slots.clear()


def _look_up(state: _State, value: Value, key_size: int, found: dict[Value, Repeated]) -> None:
    slot, distance = locate(value.args[1])
    content = state.key(slot, distance, key_size) if distance is not None and isinstance(slot, Value) else None
    if content is None:
        return
    key = (value.args[0].attr, content)
    first = state.lookups.get(key)
    if first is not None:
        found[value] = first, dict(state.reads[first])
    else:
        state.lookups[key] = value
        state.reads[value] = {}


def _reuse(function: Function, repeated: dict[Value, Repeated]) -> bool:
    """Let those lookups go of which nothing is needed but what is known."""
    loads: dict[Value, dict[Value, Value]] = {}  # lookup → its loads → the earlier ones
    proofs: dict[Value, list[Value]] = {}  # lookup → its checks and proofs
    refused: set[Value] = set()
    for block in function.blocks:
        for value in block.values:
            for arg in value.args:
                root, distance = locate(arg) if arg.type.space == "map" else (None, None)
                if not isinstance(root, Value) or root not in repeated:
                    continue
                if value.op in (op.CHECK_NULL, op.NON_NULL):
                    proofs.setdefault(root, []).append(value)
                elif value.op == op.LOAD and distance is not None:
                    earlier = repeated[root][1].get((distance + value.attr, value.type))
                    if earlier is None:
                        refused.add(root)
                    else:
                        loads.setdefault(root, {})[value] = earlier
                elif value.op != op.OFFSET:
                    refused.add(root)
    gone = [lookup for lookup in repeated if lookup not in refused]
    changes: dict[Value, Value] = {}
    for lookup in gone:
        changes.update(loads.get(lookup, {}))
        for proof in proofs.get(lookup, ()):
            proof.args = [repeated[lookup][0]]
    replace(function, changes)
    return bool(gone)
