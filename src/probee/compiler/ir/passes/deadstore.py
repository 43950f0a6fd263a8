"""Drops writes to slots that are overwritten or given up before anybody reads them, and the part of a zero() that is.

Follows, backwards through the function, which bytes of the slots will still be read: one bit a byte, all slots side by side
in one number.  Slots whose address gets away count as read everywhere, and so does what a helper reads, since the verifier
wants it initialised; helpers that only fill their buffer do not read it.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.passes.effect import escaped_slots, locate
from probee.compiler.ir.type import VOID
from probee.compiler.ir.unit import Block, Function, Unit, Value

# Helpers that take uninitialised memory (ARG_PTR_TO_UNINIT_MEM in kernel/trace/bpf_trace.c), and whether they fill all of it
_FILLS = {
    "probe_read": True, "probe_read_kernel": True, "probe_read_user": True, "get_current_comm": True,
    "probe_read_str": False, "probe_read_kernel_str": False, "probe_read_user_str": False,
}  # fmt: skip
_MAP_ARGUMENTS = {
    "map_lookup_elem": ("key_size",), "map_delete_elem": ("key_size",), "map_update_elem": ("key_size", "value_size"),
}  # fmt: skip
_WRITES = frozenset((op.STORE, op.ZERO, op.COPY))
_WORD = 8

Effect = tuple[Value, int, int]  # a value, the bytes that it reads, those that it overwrites


def run(function: Function, unit: Unit) -> bool:
    """Remove dead writes; return whether there were any."""
    slots = [value for value in function.entry.values if value.op == op.ALLOCA]
    escaped = escaped_slots(function) if slots else set()
    slots = [slot for slot in slots if slot not in escaped]
    if not slots:
        return False
    memory = _Memory(slots, unit)
    effects = {block: memory.effects(block) for block in function.blocks}
    after = _live_after(function, effects)
    changed = False
    for block in function.blocks:
        if effects[block]:
            changed |= _clean(block, effects[block], after[block], memory)
    return changed


class _Memory:
    """Where each slot's bits are, and what operations do to them."""

    def __init__(self, slots: list[Value], unit: Unit) -> None:
        self.start: dict[Value, int] = {}
        self.maps = unit.maps
        total = 0
        for slot in slots:
            self.start[slot] = total
            total += -(-slot.attr.size // _WORD) * _WORD

    def effects(self, block: Block) -> list[Effect]:
        found: list[Effect] = []
        for value in block.values:
            if value.args:
                rule = _EFFECTS.get(value.op)
                if rule is not None:
                    read, written = rule(self, value)
                    if read or written:
                        found.append((value, read, written))
        return found

    def part(self, pointer: Value, offset: int, size: int | None) -> tuple[int, bool]:
        """Return the bytes that an access reaches, and whether it surely reaches all of those; 0 for none of ours."""
        if pointer.type.space != "stack":
            return 0, False
        root, distance = locate(pointer)
        start = self.start.get(root) if isinstance(root, Value) else None
        if start is None:
            return 0, False
        whole: int = root.attr.size  # type: ignore[union-attr]
        if distance is None or size is None:
            return ((1 << whole) - 1) << start, False
        first, last = max(0, distance + offset), min(whole, distance + offset + size)
        return (((1 << last - first) - 1) << start + first if last > first else 0), True

    def read(self, pointer: Value, offset: int, size: int | None) -> int:
        return self.part(pointer, offset, size)[0]

    def written(self, pointer: Value, offset: int, size: int | None) -> int:
        bits, sure = self.part(pointer, offset, size)
        return bits if sure else 0

    def load(self, value: Value) -> tuple[int, int]:
        return self.read(value.args[0], value.attr, value.type.size), 0

    def store(self, value: Value) -> tuple[int, int]:
        return 0, self.written(value.args[0], value.attr, value.args[1].type.size)

    def zero(self, value: Value) -> tuple[int, int]:
        return 0, self.written(value.args[0], *value.attr)

    def copy(self, value: Value) -> tuple[int, int]:
        to, source, size = value.attr
        return self.read(value.args[1], source, size), self.written(value.args[0], to, size)

    def atomic(self, value: Value) -> tuple[int, int]:
        return self.read(value.args[0], 0, None), 0

    def helper(self, value: Value) -> tuple[int, int]:
        name, args = value.attr, value.args
        fills = _FILLS.get(name)
        read = written = 0
        for index, arg in enumerate(args):
            if index == 0 and fills is not None:
                size = args[1].attr if fills and args[1].op == op.CONST else None
                written |= self.written(arg, 0, size) if size is not None else 0
            elif arg.type.space == "stack":
                read |= self.read(arg, 0, self._size_of(name, index, args))
        return read, written

    def _size_of(self, name: str, index: int, args: list[Value]) -> int | None:
        """Return how many bytes a helper reads through an argument, None when that is not known."""
        fields = _MAP_ARGUMENTS.get(name, ())
        if 0 < index <= len(fields) and args[0].op == op.MAP and args[0].attr in self.maps:
            return int(getattr(self.maps[args[0].attr], fields[index - 1])) or None
        return None


_EFFECTS = {
    op.LOAD: _Memory.load, op.STORE: _Memory.store, op.ZERO: _Memory.zero, op.COPY: _Memory.copy,
    op.ATOMIC: _Memory.atomic, op.COMPARE_EXCHANGE: _Memory.atomic, op.HELPER: _Memory.helper,
}  # fmt: skip


def _live_after(function: Function, effects: dict[Block, list[Effect]]) -> dict[Block, int]:
    """Return the bytes that are read after the end of each block, before they are overwritten."""
    reads: dict[Block, int] = {}
    keeps: dict[Block, int] = {}
    for block, found in effects.items():
        live, kept = 0, -1
        for _, read, written in reversed(found):
            live = live & ~written | read
            kept &= ~written
        reads[block], keeps[block] = live, kept
    before = dict.fromkeys(function.blocks, 0)
    after = dict.fromkeys(function.blocks, 0)
    work = list(function.blocks)  # depth-first order: the last ones are nearest to the ends
    waiting = set(work)
    while work:
        block = work.pop()
        waiting.discard(block)
        live = 0
        for successor in block.successors:
            live |= before[successor]
        after[block] = live
        live = live & keeps[block] | reads[block]
        if live != before[block]:
            before[block] = live
            for source in block.predecessors:
                if source not in waiting:
                    waiting.add(source)
                    work.append(source)
    return after


def _clean(block: Block, effects: list[Effect], live: int, memory: _Memory) -> bool:
    """Drop or shorten the block's dead writes, from its end."""
    instead: dict[Value, list[Value]] = {}
    for value, read, written in reversed(effects):
        if value.op in _WRITES and written:
            if not written & live:
                instead[value] = []
                continue
            if value.op == op.ZERO and written & ~live:
                parts = _live_parts(value, live, memory)
                if parts is not None:
                    instead[value] = parts
        live = live & ~written | read
    if instead:
        block.values = [new for value in block.values for new in instead.get(value, (value,))]
    return bool(instead)


def _live_parts(value: Value, live: int, memory: _Memory) -> list[Value] | None:
    """Return a zero() cut down to the words of which something is read, None when that is all of them."""
    pointer = value.args[0]
    slot, distance = locate(pointer)
    assert isinstance(slot, Value) and distance is not None
    offset, size = value.attr
    parts: list[tuple[int, int]] = []
    end = offset + size
    while offset < end:
        following = min(end, offset + _WORD - (offset + distance) % _WORD)
        first = memory.start[slot] + offset + distance
        if live >> first & (1 << following - offset) - 1:
            if parts and parts[-1][1] == offset:
                parts[-1] = parts[-1][0], following
            else:
                parts.append((offset, following))
        offset = following
    if sum(last - first for first, last in parts) == size:
        return None
    return [Value(op.ZERO, VOID, [pointer], (first, last - first), value.span) for first, last in parts]
