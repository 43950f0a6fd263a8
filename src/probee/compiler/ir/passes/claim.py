"""How a function gets at its scratch memory: a frame in a per-CPU map, found where it is first needed.

One per-CPU array map, "scratch", serves the whole unit; an entry is one frame of one function, and a function whose program
may nest on a CPU has as many entries as it can nest.  Such a frame begins with a claim word: the first free frame is claimed
by an atomic exchange and every return gives it back.  Where no frame is free, the run is counted as dropped (index NO_SCRATCH
of the loss map) and returns at once.  Without fetching atomics (before Linux 5.12, commit 981f94c3e921) runs nest on a CPU
like interrupts, the last one ends first, so that a plain load and store claim as well.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.build import Builder
from probee.compiler.ir.dominance import reverse_postorder
from probee.compiler.ir.passes.effect import locate
from probee.compiler.ir.passes.region import split, where_needed
from probee.compiler.ir.type import I32, I64, VOID, pointer
from probee.compiler.ir.unit import Block, Function, Program, Unit, Value, connect
from probee.errors import CompileError
from probee.model.spec import MapSpec, MapType, ProgramType

VALUE_BYTES = 32768  # PCPU_MIN_UNIT_SIZE bounds the values of per-CPU maps
MAP_NAME = "scratch"
NO_SCRATCH = 1  # index in the loss map

# What an entry returns that found no scratch: as if it had not run
_RESULTS = {ProgramType.TRACEPOINT: 1, ProgramType.SCHED_CLS: 0xFFFF_FFFF, ProgramType.XDP: 2}


class Placement:
    """Gives one function its frames in the scratch map, and the code that finds one."""

    def __init__(self, program: Program, function: Function, unit: Unit) -> None:
        self.function = function
        self.unit = unit
        self.nesting = max(1, program.nesting)
        default = _RESULTS.get(program.type, 0) if function.kind == "program" else int(function.kind == "callback")
        self.result = default
        self.first_key = 0

    def place(self, slots: list[Value]) -> None:
        offsets: dict[Value, int] = {}
        size = 8 if self.nesting > 1 else 0
        for slot in sorted(slots, key=lambda slot: -slot.attr.size):
            offsets[slot] = size
            size += -(-slot.attr.size // 8) * 8
        if size > VALUE_BYTES:
            raise too_large(slots, size)
        self._reserve(size)
        self._enter(offsets)

    def _reserve(self, size: int) -> None:
        """Add this function's frames to the map."""
        spec = self.unit.maps.get(MAP_NAME)
        self.first_key = spec.max_entries if spec is not None else 0
        size = max(size, spec.value_size if spec is not None else 0)
        entries = self.first_key + self.nesting
        self.unit.maps[MAP_NAME] = MapSpec(MAP_NAME, MapType.PERCPU_ARRAY, 4, size, entries, role="scratch")

    def _enter(self, offsets: dict[Value, int]) -> None:
        """Put the code that finds a frame where the first of the slots is needed: not before a predicate that says no."""
        function = self.function
        connect(function)
        head, returns = where_needed(function, set(offsets), release=self.nesting > 1)
        body, landing = split(function, head), Block()
        returns = [body if block is head else block for block in returns]
        function.entry.values = [value for value in function.entry.values if value not in offsets]
        b = Builder(function)
        b.block, b.span = head, function.span
        key = b.alloca(8, 8, "scratch key")
        frame = self._claim(b, key, landing) if self.nesting > 1 else self._find(b, key, landing)
        b.at(landing)
        b.jump(body)
        for block in function.blocks:
            _point(block, frame, offsets)
        if self.nesting > 1:
            self._release(frame, returns)
        connect(function)
        _retype(function)

    def _find(self, b: Builder, key: Value, landing: Block) -> Value:
        """Look up the only frame; the key is in range, so that only the verifier needs the way out."""
        found = self._lookup(b, key, self.first_key)
        out = b.new_block()
        b.branch(b.check_null(found), landing, out)
        b.at(out)
        self._return(b)
        b.at(landing)
        return b.non_null(found)

    def _claim(self, b: Builder, key: Value, landing: Block) -> Value:
        """Try one frame after the other; the first whose claim word was 0 is ours."""
        candidates: list[Value] = []
        full = b.new_block()
        for index in range(self.nesting):
            found = self._lookup(b, key, self.first_key + index)
            attempt, following = b.new_block(), b.new_block() if index + 1 < self.nesting else full
            b.branch(b.check_null(found), attempt, full)
            b.at(attempt)
            candidate = b.non_null(found)
            self._take(b, candidate, landing, following)
            landing.predecessors.append(b.block)
            candidates.append(candidate)
            b.at(following)
        self._count(b, key)
        self._return(b)
        frame = Value(op.PHI, pointer("map"), candidates, None, self.function.span)
        landing.values.append(frame)
        return frame

    def _take(self, b: Builder, candidate: Value, landing: Block, following: Block) -> None:
        """Go to `landing` with the frame claimed, or to `following` when somebody has it."""
        free = b.new_block()
        one = b.const(1)
        atomic = "atomic_fetch" in self.unit.features
        claimed = b.atomic("xchg", candidate, one, fetch=True) if atomic else b.load(candidate, I64)
        b.branch(b.compare(op.EQ, claimed, 0), free, following)
        b.at(free)
        if not atomic:
            b.store(candidate, one)
        b.jump(landing)

    def _lookup(self, b: Builder, key: Value, number: int) -> Value:
        b.store(key, b.const(number, I32))
        return b.helper("map_lookup_elem", b.map(MAP_NAME), key, type=pointer("map", nullable=True))

    def _count(self, b: Builder, key: Value) -> None:
        """Count one dropped run, and continue in a new block."""
        loss = self.unit.loss_map
        b.store(key, b.const(NO_SCRATCH, I32))
        found = b.helper("map_lookup_elem", b.map(loss), key, type=pointer("map", nullable=True))
        add, out = b.new_block(), b.new_block()
        b.branch(b.check_null(found), add, out)
        b.at(add)
        b.atomic("add", b.non_null(found), b.const(1))
        b.jump(out)
        b.at(out)

    def _return(self, b: Builder) -> None:
        result = self.function.result
        b.return_(b.const(self.result, result) if result is not VOID else None)

    def _release(self, frame: Value, blocks: list[Block]) -> None:
        """Give the frame back before every return of the function's own blocks."""
        for block in blocks:
            last = block.values[-1]
            if last.op == op.RETURN:
                zero = Value(op.CONST, I64, [], 0, last.span)
                block.values[-1:] = [zero, Value(op.STORE, VOID, [frame, zero], 0, last.span), last]


def _point(block: Block, frame: Value, offsets: dict[Value, int]) -> None:
    """Replace slots, and what lies at constant distances in them, by places in the frame.

    Each use makes its own: no register holds one for long.
    """
    out: list[Value] = []
    for value in block.values:
        if _in_slot(value, offsets) is not None:
            continue  # its users count from the frame
        for index, arg in enumerate(value.args):
            distance = _in_slot(arg, offsets)
            if distance is not None:
                constant = Value(op.CONST, I64, [], distance)
                place = Value(op.OFFSET, pointer("map"), [frame, constant], None, value.span)
                out += (constant, place)
                value.args[index] = place
        out.append(value)
    block.values = out


def _in_slot(value: Value, offsets: dict[Value, int]) -> int | None:
    """Return how far from the frame's start a pointer into a slot is, None for anything else."""
    if value.type.space != "stack":
        return None
    root, distance = locate(value)
    return offsets[root] + distance if isinstance(root, Value) and root in offsets and distance is not None else None


def _retype(function: Function) -> None:
    """Pointers counted from a moved slot point into map memory now."""
    in_map = pointer("map")
    for block in reverse_postorder(function):
        for value in block.values:
            if value.op == op.OFFSET and value.args[0].type is in_map:
                value.type = in_map


def too_large(slots: list[Value], size: int) -> CompileError:
    """Return the error that names the largest variables."""
    largest = sorted(slots, key=lambda slot: -slot.attr.size)[:4]
    names = ", ".join(f"{slot.attr.name or 'a temporary'} ({slot.attr.size} bytes)" for slot in largest)
    message = f"local variables need {size} bytes, {VALUE_BYTES} is the most that a program can have: {names}"
    return CompileError(message, largest[0].span, hint="make strings smaller (max_strlen), or keep them in a map")
