"""Initialisers: lists, nested and designated ones, strings for arrays of characters.  ISO C 6.7.9.

What a list leaves out is zero, padding included: the verifier wants all of a key's or a record's bytes written.
"""

from __future__ import annotations

from pycparser import c_ast

from probee.compiler.lang.c import convert, memory
from probee.compiler.lang.c.assign import store_aggregate
from probee.compiler.lang.c.complaint import no_such_member
from probee.compiler.lang.c.constant import span_of
from probee.compiler.lang.c.literal import string_bytes
from probee.compiler.lang.c.lower import Lowerer
from probee.compiler.lang.c.value import Place, is_aggregate
from probee.errors import CompileError, TypeMismatch, Unsupported
from probee.model.ctype import ArrayType, CType, IntType, StructType, size_of, strip

MAX_ELEMENTS = 1024  # of [first ... last]


def complete_array(low: Lowerer, ctype: CType, initialiser: c_ast.Node | None) -> CType:
    """Return an array's type with the number of elements that its initialiser gives it."""
    bare = strip(ctype)
    if not isinstance(bare, ArrayType) or bare.count or initialiser is None:
        return ctype
    if isinstance(initialiser, c_ast.InitList):
        if _is_string(bare, initialiser):
            return complete_array(low, ctype, initialiser.exprs[0])
        return ArrayType(bare.element, _count(low, initialiser))
    if isinstance(initialiser, c_ast.Constant) and initialiser.type.endswith("string"):
        return ArrayType(bare.element, len(string_bytes(initialiser.value, span_of(initialiser))) + 1)
    return ctype


def _count(low: Lowerer, initialiser: c_ast.InitList) -> int:
    at = most = 0
    for each in initialiser.exprs or ():
        if isinstance(each, c_ast.NamedInitializer) and not isinstance(each.name[0], c_ast.ID):
            at = _indexes(low, each.name[0])[-1]
        at += 1
        most = max(most, at)
    return most


def _is_string(array: ArrayType, initialiser: c_ast.InitList) -> bool:
    """Return whether a list is one string for an array of characters."""
    exprs = initialiser.exprs or []
    element = strip(array.element)
    return (
        len(exprs) == 1 and isinstance(exprs[0], c_ast.Constant) and exprs[0].type.endswith("string")
        and isinstance(element, IntType) and element.size == 1
    )  # fmt: skip


def initialise(low: Lowerer, place: Place, initialiser: c_ast.Node) -> None:
    """Give a fresh variable its first value."""
    bare = strip(place.type)
    if isinstance(initialiser, c_ast.InitList):
        if isinstance(bare, ArrayType) and _is_string(bare, initialiser):
            initialise(low, place, initialiser.exprs[0])
        elif isinstance(bare, (ArrayType, StructType)) or size_of(bare) > 8:
            size = size_of(bare)
            low.b.zero(memory.writable(low, place, span_of(initialiser)), size, place.offset)
            _Filler(low).fill(place, list(initialiser.exprs or ()))
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
    """Walks a list of initialisers and the members that they are for."""

    __slots__ = ("low",)

    def __init__(self, low: Lowerer) -> None:
        self.low = low

    def fill(self, place: Place, exprs: list[c_ast.Node]) -> None:
        """Fill one braced aggregate."""
        bare = self.low.source.scope.complete(strip(place.type))
        rest = self._array(place, bare, exprs) if isinstance(bare, ArrayType) else self._struct(place, bare, exprs)
        if rest:
            raise CompileError("there are more values than members", span_of(rest[0]))

    def _struct(self, place: Place, bare: CType, exprs: list[c_ast.Node]) -> list[c_ast.Node]:
        if not isinstance(bare, StructType):
            raise TypeMismatch(f"'{bare.spelling()}' takes no list", span_of(exprs[0]) if exprs else 0)
        members = [each for each in bare.members if each.name or not each.bit_size]
        at = 0
        while exprs:
            head = exprs[0]
            if isinstance(head, c_ast.NamedInitializer):
                at = self._designated(place, bare, exprs.pop(0)) + 1
                continue
            if at >= len(members) or (bare.kind == "union" and at):
                return exprs
            exprs = self._one(self._member(place, bare, (members[at],)), exprs)
            at += 1
        return exprs

    def _designated(self, place: Place, struct: StructType, node: c_ast.NamedInitializer) -> int:
        """Follow .a.b[2]; return the index of the first member named."""
        first = node.name[0]
        if not isinstance(first, c_ast.ID):
            raise CompileError("a struct's members are named by '.name'", span_of(first))
        path = struct.find(first.name)
        if not path:
            raise no_such_member(struct, first.name, span_of(first) or span_of(node))
        self._follow(self._member(place, struct, path), node.name[1:], node.expr)
        return [each.name for each in struct.members].index(path[0].name) if path[0] in struct.members else 0

    def _follow(self, place: Place, names: list[c_ast.Node], value: c_ast.Node) -> None:
        for name in names:
            bare = self.low.source.scope.complete(strip(place.type))
            if isinstance(name, c_ast.ID):
                path = bare.find(name.name) if isinstance(bare, StructType) else ()
                if not path or not isinstance(bare, StructType):
                    raise no_such_member(bare, name.name, span_of(name))
                place = self._member(place, bare, path)
            else:
                indexes = _indexes(self.low, name)
                if len(indexes) > 1:
                    raise Unsupported("[first ... last] must be the first designator", span_of(value))
                place = self._element(place, bare, indexes[0], span_of(value))
        initialise(self.low, place, value)

    def _array(self, place: Place, array: ArrayType, exprs: list[c_ast.Node]) -> list[c_ast.Node]:
        at = 0
        while exprs:
            head = exprs[0]
            if isinstance(head, c_ast.NamedInitializer):
                if isinstance(head.name[0], c_ast.ID):
                    return exprs
                exprs.pop(0)
                for at in _indexes(self.low, head.name[0]):
                    self._follow(self._element(place, array, at, span_of(head.expr)), head.name[1:], head.expr)
            elif at >= array.count:
                return exprs
            else:
                exprs = self._one(self._element(place, array, at, span_of(head)), exprs)
            at += 1
        return exprs

    def _one(self, place: Place, exprs: list[c_ast.Node]) -> list[c_ast.Node]:
        """Initialise one member; without braces of its own, an aggregate takes as many values as it has members."""
        bare = self.low.source.scope.complete(strip(place.type))
        head = exprs[0]
        if isinstance(bare, (ArrayType, StructType)) and not isinstance(head, c_ast.InitList):
            string = isinstance(head, c_ast.Constant) and head.type.endswith("string")
            whole = string if isinstance(bare, ArrayType) else is_aggregate(self.low.type_of(head))
            if not whole:
                if isinstance(bare, ArrayType):
                    return self._array(place, bare, exprs)
                return self._struct(place, bare, exprs)
        initialise(self.low, place, head)
        return exprs[1:]

    def _member(self, place: Place, struct: StructType, path: tuple[object, ...]) -> Place:
        outer = Place(struct, place.base, place.offset, variable=place.variable)
        return memory.member(self.low, outer, path)  # type: ignore[arg-type]

    def _element(self, place: Place, array: CType, index: int, span: int) -> Place:
        if not isinstance(array, ArrayType):
            raise TypeMismatch(f"'{array.spelling()}' has no elements", span)
        if index < 0 or (array.count and index >= array.count):
            raise CompileError(f"index {index} is outside the array, which has {array.count} elements", span)
        return Place(array.element, place.base, place.offset + index * size_of(array.element), variable=place.variable)


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
