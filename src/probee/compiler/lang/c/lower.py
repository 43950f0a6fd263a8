"""The state of lowering C to IR, and its entry points: `operand`, `place`, `condition`, `effect`, `statement`.

What happens to each kind of node is registered by the modules that know (expression.py, assign.py, call.py, statement.py …) in
the tables here.  A static function is lowered again at each place that calls it, as bcc inlines them all, so that what is known
of its arguments is known inside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pycparser import c_ast

from probee.compiler.ir.build import Builder
from probee.compiler.ir.type import Type, pointer
from probee.compiler.ir.unit import Block, Unit, Value
from probee.compiler.lang.c.constant import span_of
from probee.compiler.lang.c.provenance import Provenance, root
from probee.compiler.lang.c.scope import Scope, Symbol
from probee.compiler.lang.c.unit import FunctionDeclaration, TranslationUnit
from probee.compiler.lang.c.value import INT, Operand, Place, Variable, is_pointer, is_wide
from probee.errors import CompileError, Unsupported
from probee.model.ctype import CType, size_of
from probee.model.target import Target
from probee.model.usdt import UsdtPlace

OperandOf = Callable[["Lowerer", "c_ast.Node"], "Operand | None"]
PlaceOf = Callable[["Lowerer", "c_ast.Node"], Place]
StatementOf = Callable[["Lowerer", "c_ast.Node"], None]
_Found = TypeVar("_Found")

OPERANDS: dict[type[c_ast.Node], OperandOf] = {}
PLACES: dict[type[c_ast.Node], PlaceOf] = {}
STATEMENTS: dict[type[c_ast.Node], StatementOf] = {}


class Frame:
    """A function that is being lowered: a program, or a static function at one of its calls.

    `path` are the calls that led here, for keys of variables; `leave` is where `return` goes, None in the program itself.
    """

    __slots__ = ("declaration", "gotos", "labels", "leave", "path", "result")

    def __init__(self, declaration: FunctionDeclaration, path: tuple[object, ...], leave: Block | None) -> None:
        self.declaration = declaration
        self.path = path
        self.leave = leave
        self.result: Variable | None = None
        self.labels: dict[str, Block] = {}
        self.gotos: dict[str, int] = {}  # label → span of a goto to it


class Loop:
    """Where `break` and `continue` go; a switch has no `again`."""

    __slots__ = ("again", "leave")

    def __init__(self, leave: Block, again: Block | None) -> None:
        self.leave = leave
        self.again = again


class Lowerer:
    """Lowers one program.  `context` is the program's parameter, `context_type` what it points to."""

    def __init__(
        self, source: TranslationUnit, unit: Unit, target: Target, builder: Builder, provenance: Provenance, context: Value
    ) -> None:
        self.source = source
        self.unit = unit
        self.target = target
        self.b = builder
        self.provenance = provenance
        self.context = context
        self.scope: Scope = source.scope
        self.frames: list[Frame] = []
        self.loops: list[Loop] = []
        self.usdt: UsdtPlace | None = None
        self.unused: c_ast.Node | None = None  # a statement's expression, whose value nobody looks at
        self.cases: list[dict[int, Block]] = []  # of the switches around
        self.unroll = False  # the next loop is to be written out
        self.constants: dict[int, Variable] = {}  # by the node of their declaration
        self.made: dict[tuple[tuple[object, ...], c_ast.Node], Place] = {}  # what is in memory of the expressions of a frame
        self.variables: dict[object, Variable] = {}  # by key
        self.literals: set[Value] = set()  # the slots of strings
        self.targets: dict[Value, tuple[object, int]] = {}  # pointers that point to one known location: (key, offset)
        self.mixed: dict[Value, tuple[str, str]] = {}  # pointers that point to two kinds of memory
        self.tracked: set[Value] = set()  # stores and copies that provenance was told
        self.labels_met: set[tuple[tuple[object, ...], str]] = set()
        self._types: dict[tuple[tuple[object, ...], c_ast.Node], CType] = {}  # of expressions, by where they are
        self._n_variables = 0

    def warn(self, message: str, span: int) -> None:
        """Note something that the program had better not do, once."""
        if (message, span) not in self.source.warnings:
            self.source.warnings.append((message, span))

    @property
    def frame(self) -> Frame:
        return self.frames[-1]

    # -- entry points
    def operand(self, node: c_ast.Node) -> Operand:
        """Return an expression's value: a scalar.  Arrays and functions have become pointers."""
        found = self.value(node)
        if found is None:
            if is_wide(self.type_of(node)):
                from probee.compiler.lang.c.wide import low_half

                return low_half(self, node, _void())
            from probee.compiler.lang.c.complaint import no_value

            raise no_value(self, node)
        return found

    def value(self, node: c_ast.Node) -> Operand | None:
        """Return an expression's value, None when it is void or in memory: `place` then tells where, and evaluates nothing."""
        span = self.b.span
        self.b.span = span_of(node) or span
        lower = OPERANDS.get(type(node))
        if lower is None:
            raise Unsupported(f"{_construct(node)} is not supported", span_of(node))
        self._reach()
        result = lower(self, node)
        self.b.span = span
        return result

    def place(self, node: c_ast.Node) -> Place:
        """Return where something is: an lvalue, or a struct that an expression makes."""
        made = self.made.get((self.frame.path, node))
        if made is not None:
            return made
        span = self.b.span
        self.b.span = span_of(node) or span
        lower = PLACES.get(type(node))
        if lower is None:
            raise CompileError("this has no address", span_of(node))
        self._reach()
        result = lower(self, node)
        self.b.span = span
        return result

    def in_memory(self, node: c_ast.Node, place: Place) -> Operand | None:
        """Note where an evaluated expression's value is, which is a struct or an integer of 128 bits."""
        self.made[self.frame.path, node] = place
        return None

    def statement(self, node: c_ast.Node | None) -> None:
        if node is None:
            return
        self._reach()
        self.b.span = span_of(node) or self.b.span
        lower = STATEMENTS.get(type(node))
        if lower is not None:
            lower(self, node)
        else:
            self.unused = node
            self.value(node)

    def _reach(self) -> None:
        """Go on behind a jump: nothing leads here, but a label may."""
        if self.b.terminated:
            self.b.at(self.b.new_block())

    def type_of(self, node: c_ast.Node) -> CType:
        """Return an expression's type without evaluating it."""
        key = (self.frame.path, node)
        if key not in self._types:
            self._types[key] = self._type(node)
        return self._types[key]

    def _type(self, node: c_ast.Node) -> CType:
        if type(node) in PLACES:
            try:
                place = self._tried(node, self.place)
                return INT if place.bits is not None and place.bits[1] < 32 else place.type
            except CompileError:
                if type(node) not in OPERANDS:
                    raise
        operand = self._tried(node, self.value)
        return operand.type if operand is not None else _void()

    def _tried(self, node: c_ast.Node, lower: Callable[[c_ast.Node], _Found]) -> _Found:
        """Lower an expression to nowhere; what it made in memory and which labels it has is forgotten."""
        b, frame = self.b, self.frame
        block, provenance, made = b.block, self.provenance.changed, self.made
        labels, gotos, met = frame.labels, frame.gotos, self.labels_met
        b.block = b.new_block()  # placed nowhere
        self.made, frame.labels, frame.gotos, self.labels_met = dict(made), dict(labels), dict(gotos), set(met)
        try:
            return lower(node)
        finally:
            b.block, self.provenance.changed, self.made = block, provenance, made
            frame.labels, frame.gotos, self.labels_met = labels, gotos, met

    def type_in(self, node: c_ast.Node, scope: Scope) -> CType:
        """Return an expression's type as a scope sees it."""
        outer, self.scope = self.scope, scope
        try:
            return self.type_of(node)
        finally:
            self.scope = outer

    # -- variables
    def variable(self, type: CType, name: str, *, key: object = None) -> Variable:
        """Return a new local variable, in the frame's memory."""
        self._n_variables += 1
        size = size_of(type)
        slot = self.b.alloca(max(size, 1), _alignment(size), name)
        found = Variable((*self.frame.path, key if key is not None else (name, self._n_variables)), type, slot)
        self.variables[found.key] = found
        self.targets[slot] = (found.key, 0)
        return found

    def declare(self, name: str, variable: Variable) -> None:
        symbol = Symbol("variable", name, variable.type)
        symbol.meaning = variable
        self.scope.declare(name, symbol)

    def pointer_type(self, variable: Variable, offset: int) -> Type:
        """Return the IR's type of the pointer that a variable holds."""
        space = self.provenance.read(variable, offset)
        return pointer(space, nullable=space in NULLABLE)

    def target_of(self, value: Value) -> tuple[object, int] | None:
        """Return (key of a variable, offset) where a pointer certainly points to, None when that is not known."""
        value, moved = root(value)
        found = self.targets.get(value)
        return None if found is None else (found[0], found[1] + moved)

    def holds_pointer(self, place: Place) -> bool:
        """Return whether a place is a pointer in a local variable, whose memory is known."""
        return place.variable is not None and place.bits is None and is_pointer(place.type)


NULLABLE = frozenset(("map", "ringbuf", "stack", "own"))  # spaces of whose pointers the verifier wants to see them checked


def _alignment(size: int) -> int:
    return 8 if size >= 8 or size == 0 else 4 if size >= 4 else 2 if size >= 2 else 1


def _construct(node: c_ast.Node) -> str:
    return {"Alignas": "_Alignas", "Pragma": "#pragma here"}.get(type(node).__name__, type(node).__name__)


def _void() -> CType:
    from probee.model.ctype import VOID

    return VOID
