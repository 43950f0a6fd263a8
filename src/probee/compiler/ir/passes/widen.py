"""Writes neighbouring constants together: bytes of a string, a zero() and what is stored over it, become few aligned stores.

A store takes a 32-bit immediate; a larger number costs three instruction slots, two halves cost two.  Stores of one block to
one slot or ring record are gathered until something may read them or write between them, and made where the first one was.
Map values stay as they are: others see them half written.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.passes.effect import escaped_slots, locate
from probee.compiler.ir.type import I64, VOID, int_type
from probee.compiler.ir.unit import Block, Function, Unit, Value

_LARGEST_ZERO = 64  # a longer one stays as it is
_SPACES = ("stack", "ringbuf")
_REACHES = frozenset((op.LOAD, op.STORE, op.ZERO, op.COPY, op.ATOMIC, op.COMPARE_EXCHANGE, op.HELPER, op.CALL, op.KFUNC))
_CONSTANT = frozenset((op.STORE, op.ZERO))
_CALLS = frozenset((op.HELPER, op.CALL, op.KFUNC))


class _Group:
    """Constant stores to one root: what each byte is in the end, and what they cost."""

    __slots__ = ("bytes", "cost", "distance", "members", "others", "pointer")

    def __init__(self, pointer: Value, distance: int) -> None:
        self.pointer = pointer
        self.distance = distance  # of the pointer from the root
        self.bytes: dict[int, int] = {}
        self.members: list[Value] = []
        self.others: list[tuple[int, int]] = []  # bytes that other stores between them write
        self.cost = 0

    def is_between(self, start: int, end: int) -> bool:
        """Return whether bytes were written by another store since the group began."""
        return any(first < end and start < last for first, last in self.others)

    def add(self, member: Value, start: int, content: bytes) -> None:
        self.members.append(member)
        self.bytes.update(enumerate(content, start))
        if member.op == op.ZERO:
            self.cost += len(_pieces(self.bytes, start, start + len(content)))
        else:
            self.cost += 1 if _fits(content) else 3

    def rewritten(self) -> list[Value] | None:
        """Return the stores that do the same, None when they are no fewer instructions."""
        if len(self.members) == 1 and self.cost < 3:
            return None
        parts: list[tuple[int, bytes]] = []
        todo = sorted(self.bytes)
        while todo:
            length = next((n for n in range(1, len(todo)) if todo[n] != todo[0] + n), len(todo))
            parts += _pieces(self.bytes, todo[0], todo[0] + length)
            todo = todo[length:]
        if len(parts) >= self.cost:
            return None
        out: list[Value] = []
        for start, content in parts:
            constant = Value(op.CONST, int_type(len(content)), [], int.from_bytes(content, "little"))
            out += [constant, Value(op.STORE, VOID, [self.pointer, constant], start - self.distance, self.members[0].span)]
        return out


def _pieces(content: dict[int, int], start: int, end: int) -> list[tuple[int, bytes]]:
    """Cut a range of bytes into aligned stores of what fits an immediate."""
    parts: list[tuple[int, bytes]] = []
    data = bytes([content[at] for at in range(start, end)])
    at = start
    while at < end:
        size = 8
        while at % size or at + size > end or not _fits(data[at - start : at - start + size]):
            size >>= 1
        parts.append((at, data[at - start : at - start + size]))
        at += size
    return parts


def _fits(content: bytes) -> bool:
    """Return whether a number can be stored by one instruction."""
    return len(content) < I64.size or -(1 << 31) <= int.from_bytes(content, "little", signed=True) < 1 << 31


def run(function: Function, unit: Unit) -> bool:
    """Rewrite the constant stores of every block; return whether any changed."""
    blocks = [block for block in function.blocks if any(value.op in _CONSTANT for value in block.values)]
    escaped = escaped_slots(function) if blocks else set()
    changed = [_Widening(escaped).run(block) for block in blocks]
    return any(changed)


class _Widening:
    def __init__(self, escaped: set[Value]) -> None:
        self.escaped = escaped
        self.groups: dict[Value, _Group] = {}
        self.instead: dict[Value, list[Value]] = {}

    def run(self, block: Block) -> bool:
        for value in block.values:
            if value.op in _REACHES and not self._gather(value) and self.groups and not self._passes(value):
                self._disturb(value)
        self._finish(list(self.groups))
        if self.instead:
            block.values = [new for value in block.values for new in self.instead.get(value, (value,))]
        return bool(self.instead)

    def _gather(self, value: Value) -> bool:
        """Add a constant store to its group; return whether it is one."""
        if value.op == op.STORE:
            what = value.args[1]
            if what.op != op.CONST or not what.type.is_int:
                return False
            offset, content = value.attr, what.attr.to_bytes(what.type.size, "little")
        elif value.op == op.ZERO and value.attr[1] <= _LARGEST_ZERO:
            offset, content = value.attr[0], bytes(value.attr[1])
        else:
            return False
        pointer = value.args[0]
        if pointer.type.space not in _SPACES:
            return False
        root, distance = locate(pointer)
        if distance is None or not _is_own(root):
            return False
        assert isinstance(root, Value)
        group = self.groups.get(root)
        start = offset + distance
        if group is not None and group.is_between(start, start + len(content)):
            self._finish([root])
            group = None
        if group is None:
            group = self.groups[root] = _Group(pointer, distance)
        group.add(value, start, content)
        return True

    def _passes(self, value: Value) -> bool:
        """Note a store of something else beside a group's bytes, which changes nothing; return whether it is one."""
        if value.op != op.STORE or value.args[1].type.space in _SPACES:
            return False
        root, distance = locate(value.args[0])
        if distance is None or not isinstance(root, Value) or root not in self.groups:
            return False
        start = value.attr + distance
        end = start + value.args[1].type.size
        group = self.groups[root]
        if any(byte in group.bytes for byte in range(start, end)):
            return False
        group.others.append((start, end))
        return True

    def _disturb(self, value: Value) -> None:
        """Finish the groups that an operation may read or write."""
        finished: list[Value] = []
        for arg in value.args:
            if arg.type.space in _SPACES:
                root = locate(arg)[0]
                if not _is_own(root):
                    finished = list(self.groups)
                    break
                assert isinstance(root, Value)
                finished.append(root)
        if value.op in _CALLS:
            finished += [root for root in self.groups if root in self.escaped]
        self._finish(finished)

    def _finish(self, roots: list[Value]) -> None:
        for root in roots:
            group = self.groups.pop(root, None)
            if group is not None:
                parts = group.rewritten()
                if parts is not None:
                    self.instead.update((member, []) for member in group.members)
                    self.instead[group.members[0]] = parts


def _is_own(root: Value | str) -> bool:
    """Return whether a root is memory that no other root reaches."""
    return isinstance(root, Value) and (root.op == op.ALLOCA or (root.op == op.HELPER and root.attr == "ringbuf_reserve"))
