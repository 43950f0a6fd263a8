"""Initialisers: lists, nested and designated ones, strings for arrays of characters.  ISO C 6.7.9.

What a list leaves out is zero, padding included: the verifier wants all of a key's or a record's bytes written.
"""

from __future__ import annotations

from collections import deque

from pycparser import c_ast

from probee.compiler.lang.c import convert, memory
from probee.compiler.lang.c.assign import store_aggregate
from probee.compiler.lang.c.complaint import no_such_member
from probee.compiler.lang.c.constant import compatible, span_of
from probee.compiler.lang.c.literal import string_bytes
from probee.compiler.lang.c.lower import Lowerer
from probee.compiler.lang.c.value import Place, is_aggregate, is_wide
from probee.errors import CompileError, TypeMismatch, Unsupported
from probee.model.ctype import ArrayType, CType, IntType, Member, StructType, size_of, strip

MAX_ELEMENTS = 1024  # of [first ... last]


def complete_array(low: Lowerer, ctype: CType, initialiser: c_ast.Node | None) -> CType:
    """Return an array's type with the number of elements that its initialiser gives it."""
    bare = strip(ctype)
    if not isinstance(bare, ArrayType) or bare.count or initialiser is None:
        return ctype
    if isinstance(initialiser, c_ast.InitList):
        if _is_string(bare, initialiser):
            return complete_array(low, ctype, initialiser.exprs[0])
        return ArrayType(bare.element, _Filler(low, initialiser.exprs or []).count(bare))
    if isinstance(initialiser, c_ast.Constant) and initialiser.type.endswith("string"):
        return ArrayType(bare.element, len(string_bytes(initialiser.value, span_of(initialiser))) + 1)
    return ctype


def _is_string(array: ArrayType, initialiser: c_ast.InitList) -> bool:
    """Return whether a list is one string for an array of characters."""
    exprs = initialiser.exprs or []
    return len(exprs) == 1 and _fits_string(array, exprs[0])


def _fits_string(array: ArrayType, value: c_ast.Node) -> bool:
    element = strip(array.element)
    string = isinstance(value, c_ast.Constant) and value.type.endswith("string")
    return string and isinstance(element, IntType) and element.size == 1


def initialise(low: Lowerer, place: Place, initialiser: c_ast.Node) -> None:
    """Give a fresh variable its first value."""
    bare = strip(place.type)
    if isinstance(initialiser, c_ast.InitList):
        if isinstance(bare, ArrayType) and _is_string(bare, initialiser):
            initialise(low, place, initialiser.exprs[0])
        elif is_wide(bare) and initialiser.exprs:
            _initialise_scalar(low, place, initialiser)
        elif isinstance(bare, (ArrayType, StructType)) or size_of(bare) > 8:
            size = size_of(bare)
            low.b.zero(memory.writable(low, place, span_of(initialiser)), size, place.offset)
            _Filler(low, initialiser.exprs or []).fill(place)
        else:
            _initialise_scalar(low, place, initialiser)
    elif isinstance(bare, ArrayType):
        _initialise_array(low, place, bare, initialiser)
    elif is_aggregate(bare):
        store_aggregate(low, place, initialiser)
    else:
        span = span_of(initialiser)
        memory.store_into(low, place.type, place, low.operand(initialiser), span)


def _initialise_scalar(low: Lowerer, place: Place, initialiser: c_ast.InitList) -> None:
    exprs = initialiser.exprs or []
    if len(exprs) > 1:
        raise CompileError("a scalar takes one value", span_of(exprs[1]))
    if exprs and isinstance(exprs[0], c_ast.NamedInitializer):
        raise TypeMismatch(f"'{place.type.spelling()}' has no members", span_of(exprs[0].name[0]) or span_of(initialiser))
    if exprs:
        initialise(low, place, exprs[0])
        return
    from probee.compiler.ir.type import int_type
    from probee.compiler.lang.c.value import INT, Operand

    zero = Operand(INT, low.b.const(0, int_type(4)))
    memory.store(low, place, convert.convert(low, zero, place.type, span_of(initialiser)), span_of(initialiser))


def _initialise_array(low: Lowerer, place: Place, array: ArrayType, initialiser: c_ast.Node) -> None:
    from probee.compiler.lang.c.expression import store_bytes

    if not (isinstance(initialiser, c_ast.Constant) and initialiser.type.endswith("string")):
        if isinstance(initialiser, c_ast.CompoundLiteral):
            memory.copy(low, place, low.place(initialiser), span_of(initialiser))
            return
        raise TypeMismatch("an array is initialised with a list in braces or a string", span_of(initialiser))
    data = string_bytes(initialiser.value, span_of(initialiser)) + b"\0"
    if len(data) - 1 > array.count:
        raise CompileError(f"this string of {len(data) - 1} characters does not fit into {array.count}", span_of(initialiser))
    padded = data[: array.count].ljust(array.count, b"\0")
    store_bytes(low, memory.writable(low, place, span_of(initialiser)), padded, place.offset)


class _Filler:
    """Walks a list of initialisers and the members that they are for.

    `values` are those to come; `shifts` says how far from the next one's place others lie that take the same: those of
    [first ... last], whose last one is initialised and then copied.  `n_counted` is None unless the elements are only counted.
    """

    __slots__ = ("low", "n_counted", "shifts", "values")

    def __init__(self, low: Lowerer, values: list[c_ast.Node]) -> None:
        self.low = low
        self.values = deque(values)
        self.shifts: list[int] = []
        self.n_counted: int | None = None

    def fill(self, place: Place) -> None:
        """Fill one braced aggregate."""
        self._walk(place, [], braced=True)
        if self.values:
            raise CompileError("there are more values than members", span_of(self.values[0]))

    def count(self, array: ArrayType) -> int:
        """Return how many elements a list gives an array that says no number."""
        self.n_counted = 0
        self._walk(Place(array, self.low.b.const(0)), [], braced=True)
        return self.n_counted

    def _walk(self, place: Place, names: list[c_ast.Node], *, braced: bool) -> None:
        """Fill an aggregate from the member that designators name, or its first, until it is full or the values end.

        Without braces of its own it also ends at the next designator, which is for the aggregate that has them.
        """
        bare, at = self._bare(place), 0
        while self.values:
            head = self.values[0]
            if isinstance(head, c_ast.NamedInitializer) and not names:
                if not braced:
                    return
                names = head.name
                self.values[0] = head.expr
            if names:
                at, names = self._find(bare, names)
            elif at >= self._n_parts(bare) and not (braced and self.n_counted is not None):
                return
            part = self._part(place, bare, at)
            if names:
                self._walk(part, names, braced=False)
            else:
                self._one(part)
            names = []
            at = self._n_parts(bare) if isinstance(bare, StructType) and bare.kind == "union" else at + 1
            if braced and self.n_counted is not None:
                self.n_counted = max(self.n_counted, at)

    def _one(self, place: Place) -> None:
        """Initialise one member; without braces of its own, an aggregate takes as many values as it has members."""
        bare, value = self._bare(place), self.values[0]
        if isinstance(bare, (ArrayType, StructType)) and not isinstance(value, c_ast.InitList):
            whole = _fits_string(bare, value) if isinstance(bare, ArrayType) else self._fits(bare, value)
            if not whole:
                self._walk(place, [], braced=False)
                return
        self.values.popleft()
        shifts, self.shifts = self.shifts, []
        if self.n_counted is not None:
            return
        initialise(self.low, place, value)
        for shift in shifts:
            other = Place(place.type, place.base, place.offset + shift, bits=place.bits, variable=place.variable)
            if isinstance(bare, ArrayType) or is_aggregate(bare):
                memory.copy(self.low, other, place, span_of(value))
            else:
                memory.store_into(self.low, place.type, other, memory.load(self.low, place, span_of(value)), span_of(value))

    def _fits(self, struct: StructType, value: c_ast.Node) -> bool:
        """Return whether a value is all of a struct, not of its first member."""
        found = self.low.source.scope.complete(strip(self.low.type_of(value)))
        return is_aggregate(found) and compatible(found, struct)

    def _bare(self, place: Place) -> CType:
        return self.low.source.scope.complete(strip(place.type))

    def _n_parts(self, bare: CType) -> int:
        if isinstance(bare, ArrayType):
            return bare.count
        if isinstance(bare, StructType):
            return len(_members(bare))
        raise TypeMismatch(f"'{bare.spelling()}' takes no list", span_of(self.values[0]) if self.values else 0)

    def _find(self, bare: CType, names: list[c_ast.Node]) -> tuple[int, list[c_ast.Node]]:
        """Return which part of an aggregate the first designator names, and the designators that are for that part."""
        name = names[0]
        if isinstance(name, c_ast.ID):
            path = bare.find(name.name) if isinstance(bare, StructType) else ()
            if not isinstance(bare, StructType) or not path:
                raise no_such_member(bare, name.name, span_of(name) or span_of(self.values[0]))
            at = next(at for at, each in enumerate(_members(bare)) if each is path[0])
            return at, names[1:] if len(path) == 1 else names  # a member of an anonymous one is also that one's
        indexes = _indexes(self.low, name)
        if not isinstance(bare, ArrayType):
            raise TypeMismatch(f"'{bare.spelling()}' has no elements", span_of(name) or span_of(self.values[0]))
        size = size_of(bare.element)
        self.shifts = [(at - indexes[-1]) * size + shift for at in indexes for shift in (*self.shifts, 0)][:-1]
        if len(self.shifts) >= MAX_ELEMENTS:
            raise Unsupported(f"more than {MAX_ELEMENTS} elements at once", span_of(name))
        return indexes[-1], names[1:]

    def _part(self, place: Place, bare: CType, at: int) -> Place:
        if isinstance(bare, StructType):
            outer = Place(bare, place.base, place.offset, variable=place.variable)
            return memory.member(self.low, outer, (_members(bare)[at],))
        assert isinstance(bare, ArrayType)
        if at < 0 or (bare.count and at >= bare.count):
            message = f"index {at} is outside the array, which has {bare.count} elements"
            raise CompileError(message, span_of(self.values[0]))
        return Place(bare.element, place.base, place.offset + at * size_of(bare.element), variable=place.variable)


def _members(struct: StructType) -> list[Member]:
    """Return what a list initialises of a struct: not its bit fields without a name."""
    return [each for each in struct.members if each.name or not each.bit_size]


def _indexes(low: Lowerer, node: c_ast.Node) -> range:
    """Return the elements that a designator names: [2] or GNU's [2 ... 5]."""
    from probee.compiler.lang.c.constant import evaluate

    node = node.expr if isinstance(node, c_ast.ArrayDesignator) else node
    ends = (node.left, node.right) if isinstance(node, c_ast.BinaryOp) and node.op == "..." else (node, node)
    first, last = (evaluate(end, low.scope) for end in ends)
    if first is None or last is None or last < first:
        raise CompileError("an element is named by a constant", span_of(node))
    if last - first >= MAX_ELEMENTS:
        raise Unsupported(f"more than {MAX_ELEMENTS} elements at once", span_of(node))
    return range(first, last + 1)
