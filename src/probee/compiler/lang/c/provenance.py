"""Provenance: which memory the pointers in local variables point to, learnt while a function is lowered.

BCC's rule is where a pointer comes from, not its type: a packet's header is loaded from, the same struct behind a kprobe's
argument is read by a helper.  Every pointer value knows its memory (the IR's pointer type); what is kept here is the join of
all that is assigned to each place in each local variable.  When a place was read before something of another kind was assigned
to it (in a loop, say), `changed` asks for the function to be lowered once more with what is known by then.

A pointer that comes out of other memory (a map's value, a struct on the stack seen through a pointer) is a number to the
kernel's verifier, and so points to kernel memory: reading through it takes a helper.
"""

from __future__ import annotations

from probee.compiler.lang.c.value import Variable
from probee.errors import TypeMismatch

ANYWHERE = "kernel"  # a helper reads from any address
_UNMIXABLE = frozenset(("packet", "packet_end", "context"))

Location = tuple[object, ...]


class Provenance:
    """What is known of a unit's variables; one for all attempts at a program."""

    __slots__ = ("_known", "_read", "changed")

    def __init__(self) -> None:
        self._known: dict[Location, str] = {}
        self._read: set[Location] = set()
        self.changed = False

    def begin(self) -> None:
        """Start another lowering."""
        self._read.clear()
        self.changed = False

    def assign(self, variable: Variable, offset: int, space: str, span: int) -> str:
        """Note that a pointer to `space` is stored in a variable; return what its pointers point to, as far as is known."""
        location = (variable.key, offset)
        old = self._known.get(location)
        new = join(old, space, span)
        if new != old:
            self._known[location] = new
            self.changed = self.changed or location in self._read
        return new

    def read(self, variable: Variable, offset: int) -> str:
        """Return where a pointer that is loaded from a variable points to."""
        location = (variable.key, offset)
        self._read.add(location)
        return self._known.get(location, ANYWHERE)

    def copy(self, to: Variable, to_offset: int, source: Variable, from_offset: int, size: int) -> None:
        """Note that `size` bytes of one variable, pointers included, are copied to another."""
        for (key, offset), space in list(self._known.items()):
            if key == source.key and isinstance(offset, int) and from_offset <= offset < from_offset + size:
                self.assign(to, to_offset + offset - from_offset, space, 0)


def join(old: str | None, new: str, span: int) -> str:
    """Return the memory that covers both."""
    if old is None or old == new:
        return new
    if old in _UNMIXABLE or new in _UNMIXABLE:
        raise TypeMismatch(f"this pointer points to {_named(old)} in one place and to {_named(new)} in another", span)
    return ANYWHERE


def _named(space: str) -> str:
    names = {
        "packet": "the packet", "packet_end": "the packet's end", "context": "the context", "map": "a map's value",
        "ringbuf": "a reserved record", "stack": "the stack", "kernel": "kernel memory", "user": "user memory",
        "trusted": "a kernel object",
    }  # fmt: skip
    return names.get(space, space)
