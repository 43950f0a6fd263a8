"""Moves slots that do not fit the 512-byte stack to per-CPU scratch memory, biggest first.

What moves is decided here: as long as the deepest chain of calls needs too much, the largest slot on it that may move.  Before
Linux 5.12 (commit 01f810ace9ed "bpf: Allow variable-offset stack access") so does what is indexed by a variable; atomics that
fetch came with the same version.  How a function gets at its scratch memory is claim.py's.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.unit import Function, Unit, Value

STACK_BYTES = 512
RESERVE = 32  # per function: spilled registers, the buffer of probe reads, the key of the lookup
ROOMY_RESERVE = 96  # … where that was not enough
TIGHT_RESERVE = 256
_CALLBACK_CONTEXT = {"loop": 2, "for_each_map_elem": 2, "user_ringbuf_drain": 2}  # these arguments must be in the stack


def scratch(unit: Unit) -> Unit:
    """Move what does not fit, in every program."""
    options = unit.options
    reserve = TIGHT_RESERVE if options.get("tight") else ROOMY_RESERVE if options.get("roomy") else RESERVE
    for program in unit.programs:
        pinned = _Pinned(program.functions)
        frames = {function.name: _StackFrame(function, reserve, pinned) for function in program.functions}
        if "atomic_fetch" not in unit.features:
            for frame in frames.values():
                frame.move(_indexed(frame.function))
        while True:
            name = _fullest(program.functions[0].name, frames)
            if name is None:
                break
            if not frames[name].move_largest():
                break  # code generation says what is too large
        for function in program.functions:
            if frames[function.name].moved:
                from probee.compiler.ir.passes.claim import Placement

                Placement(program, function, unit).place(frames[function.name].moved)
    return unit


class _StackFrame:
    """What a function keeps in the stack, and what it could do without."""

    def __init__(self, function: Function, reserve: int, pinned: _Pinned) -> None:
        self.function = function
        self.pinned = pinned
        self.reserve = reserve
        self.slots = [value for value in function.entry.values if value.op == op.ALLOCA]
        self.size = self._size()
        if self.size > STACK_BYTES - reserve:
            self._share()
        self.moved: list[Value] = []
        self.callees = [
            value.attr for block in function.blocks for value in block.values if value.op in (op.CALLBACK, op.CALL)
        ]
        self._movable: list[Value] | None = None

    def _share(self) -> None:
        from probee.compiler.ir.passes.share import share_allocas

        if share_allocas(self.function, self.pinned.of(self.function)):
            self.slots = [value for value in self.function.entry.values if value.op == op.ALLOCA]
            self.size = self._size()

    def _size(self) -> int:
        return sum(-(-slot.attr.size // 8) * 8 for slot in self.slots)

    @property
    def depth(self) -> int:
        return -(-(self.size + self.reserve) // 32) * 32

    @property
    def movable(self) -> list[Value]:
        """The slots that may move, largest last."""
        if self._movable is None:
            pinned = self.pinned.of(self.function)
            self._movable = sorted((slot for slot in self.slots if slot not in pinned), key=lambda slot: int(slot.attr.size))
        return self._movable

    def move_largest(self) -> bool:
        return self.move(set(self.movable[-1:]))

    def move(self, slots: set[Value]) -> bool:
        """Move those of some slots that may; return whether there was one."""
        moving = [slot for slot in self.movable if slot in slots] if slots else []
        self.moved += moving
        self._movable = [slot for slot in self.movable if slot not in slots] if slots else self._movable
        self.size -= sum(-(-slot.attr.size // 8) * 8 for slot in moving)
        return bool(moving)


def _indexed(function: Function) -> set[Value]:
    """Return the slots of which some pointer is at a distance that is not constant."""
    return {
        root(value)
        for block in function.blocks
        for value in block.values
        if value.op == op.OFFSET and value.type.space == "stack" and value.args[1].op != op.CONST
    }


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


class _Pinned:
    """The slots that must stay in each function, found when first asked for.

    A static function takes a map's value where it takes a stack pointer: the verifier follows each call.
    """

    def __init__(self, functions: list[Function]) -> None:
        self._functions = {function.name: function for function in functions}
        self._of: dict[str, set[Value]] = {}

    def of(self, function: Function) -> set[Value]:
        if function.name not in self._of:
            self._of[function.name] = set()
            self._of[function.name] = _pinned(function, self)
        return self._of[function.name]

    def parameters(self, name: str) -> set[int]:
        """Return the parameters of a function whose memory must stay where it is."""
        function = self._functions.get(name)
        return {value.attr for value in self.of(function) if value.op == op.PARAM} if function is not None else set()


def _pinned(function: Function, all: _Pinned) -> set[Value]:
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
            elif value.op in (op.PHI, op.KFUNC, op.RETURN):
                for arg in value.args:
                    _pin(arg, pinned)
            elif value.op == op.CALL and any(arg.type.space == "stack" for arg in value.args):
                for index in all.parameters(value.attr):
                    _pin(value.args[index], pinned)
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
