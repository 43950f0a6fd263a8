"""Provenance: which memory the pointers in local variables point to, learnt while a function is lowered.

BCC's rule is where a pointer comes from, not its type: a packet's header is loaded from, the same struct behind a kprobe's
argument is read by a helper.  Every pointer value knows its memory (the IR's pointer type); what is kept here is the join of
all that is assigned to each place in each local variable.  When a place was read before something of another kind was assigned
to it (in a loop, say), `changed` asks for the function to be lowered once more with what is known by then.

A pointer that always points to one place in one variable (`struct cursor *c = &mine;`, an argument `&mine` of a static
function) is taken for that variable, so that pointers behind it are known, too (`c->at`): `target` tells it, unless somebody
else may write that pointer (`escaped`).  Any other pointer out of memory, a map's value say, is a number to the kernel's
verifier, and so points to kernel memory: reading through it takes a helper.
"""

from __future__ import annotations

from probee.compiler.ir import op
from probee.compiler.ir.unit import Function, Value
from probee.compiler.lang.c.value import Variable
from probee.errors import TypeMismatch

ANYWHERE = "kernel"  # a helper reads from any address
_UNMIXABLE = frozenset(("packet", "packet_end", "context"))
_OWN = frozenset(("stack", "map", "ringbuf", "own"))  # memory that is written directly

Location = tuple[object, int]  # (key of a variable, offset)


class Provenance:
    """What is known of a unit's variables; one for all attempts at a program."""

    __slots__ = ("_known", "_read", "_relied", "_targets", "changed", "escaped", "mixed")

    def __init__(self) -> None:
        self._known: dict[Location, str] = {}
        self._read: set[Location] = set()
        self._targets: dict[Location, Location | None] = {}  # None: several
        self._relied: set[Location] = set()  # whose target was asked for
        self.mixed: dict[Location, tuple[str, str]] = {}  # what pointers that point to two kinds of memory do point to
        self.escaped: set[object] = set()  # keys of variables that are written through pointers nobody follows
        self.changed = False

    def begin(self) -> None:
        """Start another lowering."""
        self._read.clear()
        self._relied.clear()
        self.changed = False

    def assign(self, variable: Variable, offset: int, space: str, span: int, target: Location | None = None) -> str:
        """Note that a pointer to `space` is stored in a variable; return what its pointers point to, as far as is known.

        `target` is the location that it is the address of, None when that is not known.
        """
        location = (variable.key, offset)
        self._aim(location, target)
        old = self._known.get(location)
        new = join(old, space, span)
        if new != old:
            if old is not None and new == ANYWHERE and (old in _OWN or space in _OWN):
                self.mixed[location] = (_named(old), _named(space))
            self._known[location] = new
            self.changed = self.changed or location in self._read
        return new

    def _aim(self, location: Location, target: Location | None) -> None:
        """Note that a pointer is given an address; what it cannot be told to point to, somebody else may write."""
        old = self._targets.get(location, target)
        if location[0] in self.escaped or old != target:
            self._escape(target)
        if old != target:
            self._escape(old)
            self.changed = self.changed or (old is not None and location in self._relied)
            target = None
        self._targets[location] = target

    def _escape(self, target: Location | None) -> None:
        """Note that a variable is written through pointers nobody follows; so is then what it points to."""
        if target is None or target[0] in self.escaped:
            return
        self.escaped.add(target[0])
        self.changed = self.changed or any(location[0] == target[0] for location in self._relied)
        for location, inner in list(self._targets.items()):
            if location[0] == target[0]:
                self._escape(inner)

    def target(self, variable: Variable, offset: int) -> Location | None:
        """Return the one location that the pointer in a variable points to, when there is only one."""
        location = (variable.key, offset)
        found = self._targets.get(location) if variable.key not in self.escaped else None
        if found is not None:
            self._relied.add(location)
        return found

    def read(self, variable: Variable, offset: int) -> str:
        """Return where a pointer that is loaded from a variable points to."""
        location = (variable.key, offset)
        self._read.add(location)
        return self._known.get(location, ANYWHERE)

    def copy(self, to: Variable, to_offset: int, source: Variable, from_offset: int, size: int) -> None:
        """Note that `size` bytes of one variable, pointers included, are copied to another."""
        copied = {
            to_offset + offset - from_offset: (space, self._targets.get((key, offset)))
            for (key, offset), space in self._known.items()
            if key == source.key and from_offset <= offset < from_offset + size
        }
        self.overwrite(to, to_offset, size, frozenset(copied))
        for offset, (space, target) in copied.items():
            self.assign(to, offset, space, 0, target)

    def overwrite(self, variable: Variable, offset: int, size: int, but: frozenset[int] = frozenset()) -> None:
        """Note that `size` bytes of a variable are copied from where no pointers are known, save at the offsets `but`."""
        for location, space in list(self._known.items()):
            if location[0] == variable.key and offset <= location[1] < offset + size and location[1] not in but:
                if space in _UNMIXABLE:  # a null, then: the verifier has the last word
                    self._aim(location, None)
                else:
                    self.assign(variable, location[1], ANYWHERE, 0)

    def check(self, function: Function, targets: dict[Value, Location], tracked: set[Value]) -> None:
        """Look for variables that hold pointers whose target was relied on and that are written in ways nobody followed.

        `targets` are the pointers that are known to point to a variable; `tracked` are the stores and copies that were told to
        `assign` and `copy`.
        """
        if not self._relied:
            return
        relied: dict[object, list[int]] = {}
        for key, offset in self._relied:
            relied.setdefault(key, []).append(offset)
        for value in (value for block in function.blocks for value in block.values if value not in tracked):
            for index, argument in enumerate(value.args):
                pointer, moved = root(argument)
                target = targets.get(pointer)
                pointers = relied.get(target[0], []) if target is not None else []
                if target is not None and pointers and not _is_harmless(value, index, moved + target[1], pointers):
                    self._escape(target)


def root(value: Value) -> tuple[Value, int]:
    """Return what a pointer was before constants moved it, and by how much they did."""
    moved = 0
    while value.op == op.NON_NULL or (value.op == op.OFFSET and value.args[1].op == op.CONST):
        if value.op == op.OFFSET:
            by = value.args[1].attr
            moved += by - (1 << 64) if by >> 63 else by
        value = value.args[0]
    return value, moved


def _is_harmless(value: Value, index: int, moved: int, pointers: list[int]) -> bool:
    """Return whether an operation neither writes the pointers behind its argument nor lets others do so."""
    if value.op == op.STORE and index == 0:
        return not _overlap(moved + value.attr, value.args[1].type.bits // 8, pointers)
    if value.op == op.COPY and index == 0:
        return not _overlap(moved + value.attr[0], value.attr[2], pointers)
    if value.op == op.OFFSET:
        return value.args[1].op == op.CONST
    return value.op in (op.NON_NULL, op.LOAD, op.ZERO, op.CHECK_NULL, op.COPY) or value.op in op.COMPARISONS


def _overlap(offset: int, size: int, pointers: list[int]) -> bool:
    return any(offset < at + 8 and at < offset + size for at in pointers)


def join(old: str | None, new: str, span: int) -> str:
    """Return the memory that covers both."""
    if old is None or old == new:
        return new
    if old in _UNMIXABLE or new in _UNMIXABLE:
        raise TypeMismatch(f"this pointer points to {_named(old)} in one place and to {_named(new)} in another", span)
    return "own" if old in _OWN and new in _OWN else ANYWHERE


def _named(space: str) -> str:
    names = {
        "packet": "the packet", "packet_end": "the packet's end", "context": "the context", "map": "a map's value",
        "ringbuf": "a reserved record", "stack": "the stack", "kernel": "kernel memory", "user": "user memory",
        "trusted": "a kernel object", "own": "memory of the program's",
    }  # fmt: skip
    return names.get(space, space)
