"""Which bytes of the slots operations read and overwrite, as bits of one number (no pass itself).

The bytes of a slot that every operation treats alike share one bit, so that the numbers stay small: a string of a thousand
bytes that is only written and read whole is one.  A helper reads what it is given, since the verifier wants it initialised;
those that only fill their buffer do not.
"""

from __future__ import annotations

from itertools import pairwise

from probee.compiler.ir import op
from probee.compiler.ir.passes.effect import locate
from probee.compiler.ir.unit import Block, Unit, Value

# Helpers that take uninitialised memory (ARG_PTR_TO_UNINIT_MEM in kernel/trace/bpf_trace.c), and whether they fill all of it.
# get_current_comm does not in Linux 6.1, for one (strscpy without padding): keys with a name in them must be zero there.
_FILLS = {
    "probe_read": True, "probe_read_kernel": True, "probe_read_user": True, "get_current_comm": False,
    "probe_read_str": False, "probe_read_kernel_str": False, "probe_read_user_str": False,
}  # fmt: skip
_MAP_ARGUMENTS = {
    "map_lookup_elem": ("key_size",), "map_delete_elem": ("key_size",), "map_update_elem": ("key_size", "value_size"),
}  # fmt: skip

Extent = tuple[Value, int, int, bool]  # a slot, the first byte, the one behind the last; whether surely all of them
Access = tuple[Value, list[Extent], "Extent | None"]  # a value, what it reads, what it overwrites
Effect = tuple[Value, int, int]  # the same in bits


class Bytes:
    """The slots of a function; `effects` are those of each block's values that reach one."""

    def __init__(self, slots: list[Value], blocks: list[Block], unit: Unit) -> None:
        self.slots = set(slots)
        self.maps = unit.maps
        accesses = {block: self._accesses(block) for block in blocks}
        self.bit: dict[Value, dict[int, int]] = {}  # slot → byte where it is cut → number of the bit from there on
        self._number(accesses)
        self.effects: dict[Block, list[Effect]] = {block: self._in_bits(found) for block, found in accesses.items()}

    def _accesses(self, block: Block) -> list[Access]:
        found: list[Access] = []
        for value in block.values:
            rule = _RULES.get(value.op) if value.args else None
            if rule is not None:
                read, written = rule(self, value)
                if read or written is not None:
                    found.append((value, read, written))
        return found

    def _number(self, accesses: dict[Block, list[Access]]) -> None:
        """Cut each slot where some access begins or ends."""
        cuts: dict[Value, set[int]] = {}
        for found in accesses.values():
            for _, read, written in found:
                for slot, start, end, _ in read if written is None else [*read, written]:
                    cuts.setdefault(slot, set()).update((start, end))
        total = 0
        for slot, at in cuts.items():
            self.bit[slot] = {byte: total + index for index, byte in enumerate(sorted(at))}
            total += len(at) - 1

    def _in_bits(self, found: list[Access]) -> list[Effect]:
        effects: list[Effect] = []
        for value, parts, written in found:
            read = 0
            for slot, start, end, _ in parts:
                bit = self.bit[slot]
                read |= (1 << bit[end]) - (1 << bit[start])
            bits = 0
            if written is not None and written[3]:
                bit = self.bit[written[0]]
                bits = (1 << bit[written[2]]) - (1 << bit[written[1]])
            effects.append((value, read, bits))
        return effects

    def live(self, slot: Value, start: int, end: int, bits: int) -> list[tuple[int, int]]:
        """Return the ranges of a slot's bytes, between two cuts, whose bits are set."""
        cuts = [(byte, bit) for byte, bit in self.bit[slot].items() if start <= byte <= end]
        return [(byte, behind) for (byte, bit), (behind, _) in pairwise(cuts) if bits >> bit & 1]

    # -- what operations do

    def part(self, pointer: Value, offset: int, size: int | None) -> Extent | None:
        """Return the bytes that an access reaches, None for none of ours."""
        if pointer.type.space != "stack":
            return None
        root, distance = locate(pointer)
        if not isinstance(root, Value) or root not in self.slots:
            return None
        whole: int = root.attr.size
        if distance is None or size is None:
            return root, 0, whole, False
        first, last = max(0, distance + offset), min(whole, distance + offset + size)
        return (root, first, last, True) if last > first else None

    def _read(self, pointer: Value, offset: int, size: int | None) -> list[Extent]:
        part = self.part(pointer, offset, size)
        return [part] if part is not None else []

    def load(self, value: Value) -> tuple[list[Extent], Extent | None]:
        return self._read(value.args[0], value.attr, value.type.size), None

    def store(self, value: Value) -> tuple[list[Extent], Extent | None]:
        return [], self.part(value.args[0], value.attr, value.args[1].type.size)

    def zero(self, value: Value) -> tuple[list[Extent], Extent | None]:
        return [], self.part(value.args[0], *value.attr)

    def copy(self, value: Value) -> tuple[list[Extent], Extent | None]:
        to, source, size = value.attr
        return self._read(value.args[1], source, size), self.part(value.args[0], to, size)

    def atomic(self, value: Value) -> tuple[list[Extent], Extent | None]:
        return self._read(value.args[0], 0, None), None

    def helper(self, value: Value) -> tuple[list[Extent], Extent | None]:
        name, args = value.attr, value.args
        fills = _FILLS.get(name)
        read: list[Extent] = []
        written = None
        for index, arg in enumerate(args):
            if index == 0 and fills is not None:
                written = self.part(arg, 0, args[1].attr) if fills and args[1].op == op.CONST else None
            elif arg.type.space == "stack":
                read += self._read(arg, 0, self._size_of(name, index, args))
        return read, written

    def _size_of(self, name: str, index: int, args: list[Value]) -> int | None:
        """Return how many bytes a helper reads through an argument, None when that is not known."""
        fields = _MAP_ARGUMENTS.get(name, ())
        if 0 < index <= len(fields) and args[0].op == op.MAP and args[0].attr in self.maps:
            return int(getattr(self.maps[args[0].attr], fields[index - 1])) or None
        return None


_RULES = {
    op.LOAD: Bytes.load, op.STORE: Bytes.store, op.ZERO: Bytes.zero, op.COPY: Bytes.copy, op.ATOMIC: Bytes.atomic,
    op.COMPARE_EXCHANGE: Bytes.atomic, op.HELPER: Bytes.helper,
}  # fmt: skip
