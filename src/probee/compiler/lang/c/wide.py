"""Integers of 128 bits, which live in memory: what programs do with IPv6 addresses and long sums.

They are compared, tested, cut to 64 bits, added, subtracted, negated, combined bit by bit and shifted by constants; not
multiplied or divided.
"""

from __future__ import annotations

from pycparser import c_ast

from probee.compiler.ir import op
from probee.compiler.ir.type import I64
from probee.compiler.ir.unit import Value
from probee.compiler.lang.c import convert, memory
from probee.compiler.lang.c.assign import assigned
from probee.compiler.lang.c.constant import span_of
from probee.compiler.lang.c.lower import Lowerer
from probee.compiler.lang.c.value import UNSIGNED_LONG_LONG, Operand, Place, is_aggregate, is_scalar, is_signed, is_wide
from probee.errors import CompileError, TypeMismatch, Unsupported
from probee.model.ctype import CType, IntType, strip

_HALF = UNSIGNED_LONG_LONG


def _halves(low: Lowerer, node: c_ast.Node, operand: Operand | None) -> tuple[Value, Value]:
    """Return the low and the high half of an operand; a narrower one is extended."""
    if operand is not None:
        return _extended(low, operand)
    return _loaded(low, _place(low, node), span_of(node))


def _loaded(low: Lowerer, place: Place, span: int) -> tuple[Value, Value]:
    halves = (Place(_HALF, place.base, place.offset + at) for at in (0, 8))
    first, second = (convert.number(low, memory.load(low, half, span)) for half in halves)
    return first, second


def _extended(low: Lowerer, operand: Operand) -> tuple[Value, Value]:
    lower = convert.wide(low, operand)
    return lower, low.b.ashr(lower, 63) if is_signed(operand.type) else low.b.const(0)


def _place(low: Lowerer, node: c_ast.Node) -> Place:
    made = low.made.get((low.frame.path, node))
    ctype = made.type if made is not None else low.type_of(node)
    if not is_aggregate(ctype):
        raise CompileError("this has no value: it is void", span_of(node))
    if not isinstance(strip(ctype), IntType):
        raise TypeMismatch(f"a value of type '{ctype.spelling()}' cannot be computed with", span_of(node))
    return low.place(node)


def binary(low: Lowerer, node: c_ast.BinaryOp, left: Operand | None, right: Operand | None) -> Operand | None:
    """Return a comparison's result, and None of what is of 128 bits; None stands for an operand of so many."""
    if node.op not in _COMPARISONS:
        if node.op not in _COMPUTED:
            raise Unsupported(f"'{node.op}' on integers of 128 bits is not supported", span_of(node))
        return low.in_memory(node, _computed(low, node, left, right))
    b = low.b
    one, two = _halves(low, node.left, left), _halves(low, node.right, right)
    if node.op in ("==", "!="):
        apart = b.or_(b.xor(one[0], two[0]), b.xor(one[1], two[1]))
        return convert.from_truth(low, b.compare(op.EQ if node.op == "==" else op.NE, apart, 0))
    wides = (low.type_of(side) for side, operand in ((node.left, left), (node.right, right)) if operand is None)
    upper = _COMPARISONS[node.op][all(is_signed(ctype) for ctype in wides)]
    lower = _COMPARISONS[node.op][0]
    same = b.zext(b.compare(op.EQ, one[1], two[1]), I64)
    by_lower = b.and_(same, b.zext(b.compare(lower, one[0], two[0]), I64))
    by_upper = b.and_(b.xor(same, 1), b.zext(b.compare(upper, one[1], two[1]), I64))
    return convert.from_truth(low, b.compare(op.NE, b.or_(by_lower, by_upper), 0))


_COMPARISONS = {  # operator → (unsigned, signed)
    "==": (op.EQ, op.EQ), "!=": (op.NE, op.NE), "<": (op.ULT, op.SLT), "<=": (op.ULE, op.SLE), ">": (op.UGT, op.SGT),
    ">=": (op.UGE, op.SGE),
}  # fmt: skip
_COMPUTED = ("+", "-", "&", "|", "^", "<<", ">>")
_BITWISE = {"&": op.AND, "|": op.OR, "^": op.XOR}
_Halves = tuple[Value, Value]


def _compute(low: Lowerer, operator: str, one: _Halves, two: _Halves, ctype: CType, span: int) -> _Halves:
    """Return `one operator two`; `ctype` is the type of the result."""
    b = low.b
    if operator in _BITWISE:
        operation = _BITWISE[operator]
        return b.binary(operation, one[0], two[0]), b.binary(operation, one[1], two[1])
    if operator == "+":
        lower = b.add(one[0], two[0])
        carry = b.zext(b.compare(op.ULT, lower, one[0]), I64)
        return lower, b.add(b.add(one[1], two[1]), carry)
    if operator == "-":
        borrow = b.zext(b.compare(op.ULT, one[0], two[0]), I64)
        return b.sub(one[0], two[0]), b.sub(b.sub(one[1], two[1]), borrow)
    if operator not in ("<<", ">>") or two[0].op != op.CONST:
        raise Unsupported(f"'{operator}' on integers of 128 bits is not supported, except shifts by constants", span)
    by = two[0].attr & 127
    if by == 0:
        return one
    if operator == ">>":
        shifted = b.ashr if is_signed(ctype) else b.lshr
        if by >= 64:
            return shifted(one[1], by - 64), b.ashr(one[1], 63) if is_signed(ctype) else b.const(0)
        return b.or_(b.lshr(one[0], by), b.shl(one[1], 64 - by)), shifted(one[1], by)
    if by >= 64:
        return b.const(0), b.shl(one[0], by - 64)
    return b.shl(one[0], by), b.or_(b.shl(one[1], by), b.lshr(one[0], 64 - by))


def _result(low: Lowerer, ctype: CType, halves: _Halves, span: int) -> Place:
    """Put a result where it is looked at."""
    variable = low.variable(ctype, "result")
    place = Place(ctype, variable.slot, variable=variable)
    _store(low, place, halves, span)
    return place


def computed(low: Lowerer, node: c_ast.BinaryOp) -> Place:
    """Return where the result of an operator on 128 bits lies."""
    return _computed(low, node, low.value(node.left), low.value(node.right))


def _computed(low: Lowerer, node: c_ast.BinaryOp, left: Operand | None, right: Operand | None) -> Place:
    wides = [found for side in (node.left, node.right) if is_wide(found := low.type_of(side))]
    if not wides or node.op not in _COMPUTED:
        raise CompileError("this has no address", span_of(node))
    shift = node.op in ("<<", ">>")
    ctype = wides[0] if shift else next((each for each in wides if not is_signed(each)), wides[0])
    one, two = _halves(low, node.left, left), _halves(low, node.right, right)
    return _result(low, ctype, _compute(low, node.op, one, two, ctype, span_of(node)), span_of(node))


def changed(low: Lowerer, node: c_ast.UnaryOp) -> Place:
    """Return where the result of a unary operator on 128 bits lies."""
    if node.op in ("++", "--", "p++", "p--"):
        return incremented(low, node, assigned(low, node.expr))
    span = span_of(node)
    if node.op not in ("+", "-", "~") or is_scalar(low.type_of(node.expr)):
        raise CompileError("this has no address", span)
    place = _place(low, node.expr)
    zero = (low.b.const(0), low.b.const(0))
    ones = (low.b.const(-1), low.b.const(-1))
    operation, one = {"+": ("+", zero), "-": ("-", zero), "~": ("^", ones)}[node.op]
    halves = _compute(low, operation, one, _loaded(low, place, span), place.type, span)
    return _result(low, place.type, halves, span)


def incremented(low: Lowerer, node: c_ast.UnaryOp, place: Place) -> Place:
    """Do ++ or -- to an integer of 128 bits at a place; return where the result lies."""
    span = span_of(node)
    if not is_wide(place.type):
        raise CompileError("this has no address", span)
    old = _result(low, place.type, _loaded(low, place, span), span) if node.op.startswith("p") else place
    change(low, place, node.op[-1], None, span)
    return old


def change(low: Lowerer, place: Place, operator: str, node: c_ast.Node | None, span: int) -> None:
    """Do `place operator= node`, `place operator= 1` without a node."""
    two = (low.b.const(1), low.b.const(0)) if node is None else _halves(low, node, low.value(node))
    _store(low, place, _compute(low, operator, _loaded(low, place, span), two, place.type, span), span)


def store(low: Lowerer, place: Place, operand: Operand, span: int) -> None:
    """Store a narrower number, extended as its type says."""
    _store(low, place, _extended(low, operand), span)


def _store(low: Lowerer, place: Place, halves: tuple[Value, Value], span: int) -> None:
    base = memory.writable(low, place, span)
    for at, half in zip((0, 8), halves, strict=True):
        low.b.store(base, half, place.offset + at)


def truth(low: Lowerer, node: c_ast.Node) -> Value:
    """Return, as an IR bool, whether an integer of 128 bits is not 0."""
    return truth_at(low, _place(low, node), span_of(node))


def truth_at(low: Lowerer, place: Place, span: int) -> Value:
    """Return, as an IR bool, whether an integer of 128 bits at a place is not 0."""
    first, second = _loaded(low, place, span)
    return low.b.compare(op.NE, low.b.or_(first, second), 0)


def low_half(low: Lowerer, node: c_ast.Node, to: CType) -> Operand:
    """Return the low 64 bits of an integer of 128."""
    if isinstance(strip(low.type_of(node)), IntType):
        first, _ = _halves(low, node, None)
        assert first.type is I64
        return Operand(_HALF, first)
    raise TypeMismatch(f"a struct does not become '{to.spelling()}'", span_of(node))
