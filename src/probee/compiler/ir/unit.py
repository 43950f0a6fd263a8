"""What the IR is made of: values in blocks in functions in programs in a unit.

One value class and one block class, slotted and mutable by the pass that owns them; no use lists (each pass does one walk
and one rewrite).  A span is an int (errors.make_span), 0 where there is none.
"""

from __future__ import annotations

from probee.compiler.ir.type import VOID, Type
from probee.model.spec import Action, AttachType, LateConstant, LinkSpec, MapSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from probee.model.ctype import CType


class Value:
    """One operation and its result; see op.py for what `args` and `attr` are per operation."""

    __slots__ = ("args", "attr", "id", "op", "span", "type")

    def __init__(self, op: str, type: Type, args: list[Value], attr: Any = None, span: int = 0) -> None:
        self.op = op
        self.type = type
        self.args = args
        self.attr = attr
        self.span = span
        self.id = 0

    def __repr__(self) -> str:
        return f"<{self.op} {self.type} {self.attr if self.attr is not None else ''}>"


class Slot:
    """What an alloca reserves: `size` bytes at a multiple of `align`; `name` is for messages."""

    __slots__ = ("align", "name", "size")

    def __init__(self, size: int, align: int = 8, name: str = "") -> None:
        self.size = size
        self.align = align
        self.name = name

    def __repr__(self) -> str:
        return f"{self.name or 'slot'}:{self.size}"


class FieldAccess:
    """Which kernel field a load's offset was resolved from; travels beside `attr` through Function.fields."""

    __slots__ = ("path", "root")

    def __init__(self, root: str, path: str) -> None:
        self.root = root
        self.path = path


class Block:
    """Straight-line values; the last one is a terminator.  `predecessors` is filled by `connect`."""

    __slots__ = ("id", "predecessors", "values")

    def __init__(self) -> None:
        self.values: list[Value] = []
        self.predecessors: list[Block] = []
        self.id = 0

    @property
    def successors(self) -> tuple[Block, ...]:
        last = self.values[-1]
        if last.op == "jump":
            return (last.attr,)
        return last.attr if last.op == "branch" else ()

    def __repr__(self) -> str:
        return f"b{self.id}"


class Function:
    """`kind` is "program" (parameter 0 is the context), "callback" (static, address taken) or "subprogram" (static, called).

    `fields` maps a load (by identity of its Value) to the kernel field it reads, for relocations.
    """

    __slots__ = ("blocks", "fields", "kind", "name", "parameters", "result", "span")

    def __init__(self, name: str, parameters: tuple[Type, ...], result: Type, *, kind: str = "program", span: int = 0) -> None:
        self.name = name
        self.parameters = parameters
        self.result = result
        self.kind = kind
        self.span = span
        self.blocks: list[Block] = []
        self.fields: dict[Value, FieldAccess] = {}

    @property
    def entry(self) -> Block:
        return self.blocks[0]


class Program:
    """A BPF program: its entry function, and the callbacks and subprograms that only it uses.

    `nesting` is how many instances may be under way on one CPU at once (1 where the kernel forbids recursion), which is how
    many scratch slots it gets.
    """

    __slots__ = ("attach_target", "attach_type", "functions", "name", "nesting", "probe", "sleepable", "type")

    def __init__(
        self,
        name: str,
        type: int,
        functions: list[Function],
        *,
        probe: str = "",
        attach_type: int = AttachType.NONE,
        attach_target: str = "",
        nesting: int = 1,
        sleepable: bool = False,
    ) -> None:
        self.name = name
        self.type = type
        self.functions = functions
        self.probe = probe
        self.attach_type = attach_type
        self.attach_target = attach_target
        self.nesting = nesting
        self.sleepable = sleepable


class Unit:
    """A whole script in IR: programs, and the inert things that go into the ObjectSpec unchanged.

    `maps` may grow in passes (scratch).  `features` are the names of kernel features that passes and codegen may use
    ("atomic_fetch", …), already asked of the Target.  The map named by `loss_map` is a per-CPU array of u64 counters: index 0
    counts records that found no room in the ring, 1 runs that found no free scratch slot, 2 refused map updates.
    `types` are C types that the object's BTF is to have, by the names of ObjectSpec.types.
    """

    __slots__ = ("actions", "constants", "features", "links", "loss_map", "maps", "options", "programs", "types", "warnings")

    def __init__(self) -> None:
        self.programs: list[Program] = []
        self.maps: dict[str, MapSpec] = {}
        self.actions: list[Action] = []
        self.constants: dict[str, LateConstant] = {}
        self.links: list[LinkSpec] = []
        self.features: frozenset[str] = frozenset()
        self.options: dict[str, int | str | bool] = {}
        self.warnings: list[str] = []
        self.loss_map = "loss"
        self.types: dict[str, CType] = {}


def connect(function: Function) -> None:
    """Number the blocks and fill in their predecessors, dropping blocks that nothing reaches.

    Phi arguments are in the order of `predecessors`, so this must not run between adding an edge and its phi argument;
    predecessors that stay keep their order.
    """
    incoming: dict[Block, list[Block]] = {}  # of those that are reached, in that order
    waiting: dict[Block, list[Block]] = {}
    stack = [function.entry]
    while stack:
        block = stack.pop()
        if block in incoming:
            continue
        incoming[block] = waiting.setdefault(block, [])
        successors = block.successors
        for successor in successors:
            waiting.setdefault(successor, []).append(block)
        stack += successors[::-1]
    for number, (block, sources) in enumerate(incoming.items()):
        block.id = number
        if sources != block.predecessors:
            _reconnect(block, sources)
    function.blocks = list(incoming)


def _reconnect(block: Block, incoming: list[Block]) -> None:
    """Set the predecessors: those it already had first, in their order, with the phis' arguments kept in step."""
    left = list(incoming)
    kept: list[int] = []
    for index, old in enumerate(block.predecessors):
        if old in left:
            left.remove(old)
            kept.append(index)
    if len(kept) != len(block.predecessors):
        for value in block.values:
            if value.op != "phi":
                break
            value.args = [value.args[index] for index in kept]
    block.predecessors = [block.predecessors[index] for index in kept] + left


def replace(function: Function, changes: dict[Value, Value]) -> None:
    """Rewrite every argument by `changes`, following chains; the replaced values themselves stay where they are."""

    def final(value: Value) -> Value:
        while value in changes:
            value = changes[value]
        return value

    for block in function.blocks:
        for value in block.values:
            args = value.args
            for index, arg in enumerate(args):
                if arg in changes:
                    args[index] = final(arg)


def number(function: Function) -> int:
    """Give every value an id, in order of the text form; returns how many there are."""
    count = 0
    for block in function.blocks:
        for value in block.values:
            if value.type is not VOID:
                value.id = count
                count += 1
    return count
