"""Moves slots that do not fit the 512-byte stack to per-CPU scratch memory, biggest first.

One per-CPU array map, "scratch", serves the whole unit; an entry is one frame of one function, and a function whose program
may nest on a CPU has as many entries as it can nest.  Such a frame begins with a claim word: the entry code claims the first
free frame by an atomic exchange and every return gives it back.  Where no frame is free, the run is counted as dropped
(index NO_SCRATCH of the loss map) and returns at once.  Without fetching atomics (before Linux 5.12, commit 981f94c3e921)
runs nest on a CPU like interrupts, the last one ends first, so that a plain load and store claim as well.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.build import Builder
from probee.compiler.ir.passes.dominance import reverse_postorder
from probee.compiler.ir.passes.share import share_allocas
from probee.compiler.ir.type import I32, I64, VOID, pointer
from probee.compiler.ir.unit import Block, Function, Program, Unit, Value, connect, replace
from probee.errors import CompileError
from probee.model.spec import MapSpec, MapType, ProgramType

STACK_BYTES = 512
RESERVE = 96  # per function: spilled registers, the buffer of probe reads, the key of the lookup
VALUE_BYTES = 32768  # PCPU_MIN_UNIT_SIZE bounds the values of per-CPU maps
MAP_NAME = "scratch"
NO_SCRATCH = 1  # index in the loss map

# What an entry returns that found no scratch: as if it had not run
_RESULTS = {ProgramType.TRACEPOINT: 1, ProgramType.SCHED_CLS: 0xFFFF_FFFF, ProgramType.XDP: 2}
_CALLBACK_CONTEXT = {"loop": 2, "for_each_map_elem": 2, "user_ringbuf_drain": 2}  # these arguments must be in the stack


def scratch(unit: Unit) -> Unit:
    """Move what does not fit, in every program."""
    for program in unit.programs:
        frames = {function.name: _StackFrame(function) for function in program.functions}
        while True:
            name = _fullest(program.functions[0].name, frames)
            if name is None:
                break
            if not frames[name].move_largest():
                break  # code generation says what is too large
        for function in program.functions:
            if frames[function.name].moved:
                _Placement(program, function, unit).place(frames[function.name].moved)
    return unit


class _StackFrame:
    """What a function keeps in the stack, and what it could do without."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.slots = [value for value in function.entry.values if value.op == op.ALLOCA]
        self.size = self._size()
        if self.size > STACK_BYTES - RESERVE and share_allocas(function):
            self.slots = [value for value in function.entry.values if value.op == op.ALLOCA]
            self.size = self._size()
        self.moved: list[Value] = []
        self.callees = [
            value.attr for block in function.blocks for value in block.values if value.op in (op.CALLBACK, op.CALL)
        ]
        self._movable: list[Value] | None = None

    def _size(self) -> int:
        return sum(-(-slot.attr.size // 8) * 8 for slot in self.slots)

    @property
    def depth(self) -> int:
        return -(-(self.size + RESERVE) // 32) * 32

    @property
    def movable(self) -> list[Value]:
        """The slots that may move, largest last."""
        if self._movable is None:
            pinned = _pinned(self.function)
            self._movable = sorted((slot for slot in self.slots if slot not in pinned), key=lambda slot: int(slot.attr.size))
        return self._movable

    def move_largest(self) -> bool:
        if not self.movable:
            return False
        slot = self.movable.pop()
        self.moved.append(slot)
        self.size -= -(-slot.attr.size // 8) * 8
        return True


def _fullest(name: str, frames: dict[str, _StackFrame]) -> str | None:
    """Return the function with the largest movable slot on a chain of calls that is too deep, None when all fit."""
    depth, chain = _deepest(name, frames, ())
    if depth <= STACK_BYTES:
        return None
    candidates = [each for each in chain if frames[each].movable]
    return max(candidates, key=lambda each: frames[each].movable[-1].attr.size, default=chain[0])


def _deepest(name: str, frames: dict[str, _StackFrame], chain: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
    """Return the bytes of the deepest chain of calls from a function, and the functions on it."""
    if name in chain or name not in frames:
        return 0, chain
    chain = (*chain, name)
    below = [_deepest(callee, frames, chain) for callee in set(frames[name].callees)]
    depth, path = max(below, default=(0, chain))
    return frames[name].depth + depth, path


def _pinned(function: Function) -> set[Value]:
    """Return the slots that must stay: those that hold pointers, meet other pointers in a phi, or must be in the stack."""
    pinned: set[Value] = set()
    for block in function.blocks:
        for value in block.values:
            if value.op == op.STORE:
                stored = value.args[1]
                if stored.type.is_pointer and stored.type.space not in ("kernel", "user"):
                    _pin(value.args[0], pinned)
                    if stored.type.nullable:
                        _pin(stored, pinned)
            elif value.op == op.COPY and value.attr[2] >= 8 and value.args[1].type.space == "stack":
                if root(value.args[1]) in pinned:
                    _pin(value.args[0], pinned)
            elif value.op in (op.PHI, op.CALL, op.KFUNC, op.RETURN):
                for arg in value.args:
                    _pin(arg, pinned)
            elif value.op == op.HELPER:
                for index, arg in enumerate(value.args):
                    if "dynptr" in value.attr or _CALLBACK_CONTEXT.get(value.attr) == index:
                        _pin(arg, pinned)
    return pinned


def _pin(pointer: Value, pinned: set[Value]) -> None:
    if pointer.type.is_pointer and pointer.type.space == "stack":
        pinned.add(root(pointer))


def root(pointer: Value) -> Value:
    """Return what a pointer's offsets are counted from."""
    while pointer.op == op.OFFSET:
        pointer = pointer.args[0]
    return pointer


class _Placement:
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
        """Put the code that finds a frame before the function's first block."""
        function = self.function
        connect(function)
        own, body = list(function.blocks), function.entry
        head, landing = Block(), Block()
        head.values = [value for value in body.values if value.op == op.ALLOCA and value not in offsets]
        body.values = [value for value in body.values if value.op != op.ALLOCA]
        function.blocks.insert(0, head)
        b = Builder(function)
        b.block, b.span = head, function.span
        key = b.alloca(8, 8, "scratch key")
        frame = self._claim(b, key, landing) if self.nesting > 1 else self._find(b, key, landing)
        b.at(landing)
        places = {slot: b.offset(frame, b.const(offset)) for slot, offset in offsets.items()}
        b.jump(body)
        replace(function, places)
        if self.nesting > 1:
            self._release(frame, own)
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
