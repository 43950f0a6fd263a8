"""Integers of 128 bits, which live in memory: what programs do with IPv6 addresses, compared, tested and cut to 64 bits."""

from __future__ import annotations

from pycparser import c_ast

from probee.compiler.ir import op
from probee.compiler.ir.type import I64
from probee.compiler.ir.unit import Value
from probee.compiler.lang.c import convert, memory
from probee.compiler.lang.c.lower import Lowerer, span_of
from probee.compiler.lang.c.value import UNSIGNED_LONG_LONG, Operand, Place, is_aggregate, is_signed
from probee.errors import CompileError, TypeMismatch, Unsupported
from probee.model.ctype import CType, IntType, strip

_HALF = UNSIGNED_LONG_LONG


def _halves(low: Lowerer, node: c_ast.Node, operand: Operand | None) -> tuple[Value, Value]:
    """Return the low and the high half of an operand; a narrower one is extended."""
    if operand is not None:
        lower = convert.wide(low, operand)
        return lower, low.b.ashr(lower, 63) if is_signed(operand.type) else low.b.const(0)
    place = _place(low, node)
    halves = (Place(_HALF, place.base, place.offset + at, variable=None) for at in (0, 8))
    first, second = (convert.number(low, memory.load(low, half, span_of(node))) for half in halves)
    return first, second


def _place(low: Lowerer, node: c_ast.Node) -> Place:
    ctype = low.type_of(node)
    if not is_aggregate(ctype):
        raise CompileError("this has no value: it is void", span_of(node))
    if not isinstance(strip(ctype), IntType):
        raise TypeMismatch(f"a value of type '{ctype.spelling()}' cannot be computed with", span_of(node))
    return low.place(node)


def binary(low: Lowerer, node: c_ast.BinaryOp, left: Operand | None, right: Operand | None) -> Operand:
    """Return `left == right` or `left != right`; None stands for an operand of 128 bits."""
    one, two = _halves(low, node.left, left), _halves(low, node.right, right)
    if node.op not in ("==", "!="):
        raise Unsupported(f"'{node.op}' on integers of 128 bits: only == and != are supported", span_of(node))
    apart = low.b.or_(low.b.xor(one[0], two[0]), low.b.xor(one[1], two[1]))
    return convert.from_truth(low, low.b.compare(op.EQ if node.op == "==" else op.NE, apart, 0))


def truth(low: Lowerer, node: c_ast.Node) -> Value:
    """Return, as an IR bool, whether an integer of 128 bits is not 0."""
    first, second = _halves(low, node, None)
    return low.b.compare(op.NE, low.b.or_(first, second), 0)


def low_half(low: Lowerer, node: c_ast.Node, to: CType) -> Operand:
    """Return the low 64 bits of an integer of 128."""
    if isinstance(strip(low.type_of(node)), IntType):
        first, _ = _halves(low, node, None)
        assert first.type is I64
        return Operand(_HALF, first)
    raise TypeMismatch(f"a struct does not become '{to.spelling()}'", span_of(node))
