"""What chooses: conditions, && and ||, ?:, _Generic.  ISO C 6.5.13 to 6.5.15, 6.5.1.1."""

from __future__ import annotations

from collections.abc import Callable

from pycparser import c_ast

from probee.compiler.ir import op
from probee.compiler.ir.type import I32
from probee.compiler.ir.unit import Block, Value
from probee.compiler.lang.c import convert, memory
from probee.compiler.lang.c.assign import store_aggregate
from probee.compiler.lang.c.constant import common_type, compatible, evaluate, span_of
from probee.compiler.lang.c.declare import decay
from probee.compiler.lang.c.lower import OPERANDS, PLACES, Lowerer
from probee.compiler.lang.c.value import (
    INT,
    Operand,
    Place,
    is_aggregate,
    is_integer,
    is_pointer,
    is_scalar,
    is_signed,
    is_wide,
    pointee,
)
from probee.errors import CompileError, TypeMismatch
from probee.model.ctype import VOID, CType, size_of


def truth(low: Lowerer, node: c_ast.Node) -> Value:
    """Return, as an IR bool, whether an expression is not 0."""
    operand = low.value(node)
    if operand is not None:
        return convert.truth(low, operand)
    from probee.compiler.lang.c.wide import truth as truth_of_wide

    return truth_of_wide(low, node)


def logical(low: Lowerer, node: c_ast.Node) -> Operand:
    """&& and || as a value."""
    b = low.b
    result = low.variable(INT, "truth")
    yes, no, end = b.new_block(), b.new_block(), b.new_block()
    condition(low, node, yes, no)
    for block, number in ((yes, 1), (no, 0)):
        b.at(block)
        b.store(result.slot, b.const(number, I32))
        b.jump(end)
    b.at(end)
    return Operand(INT, b.load(result.slot, I32))


def condition(low: Lowerer, node: c_ast.Node, yes: Block, no: Block) -> None:
    """Evaluate an expression and go one of two ways."""
    b = low.b
    if isinstance(node, c_ast.BinaryOp) and node.op in ("&&", "||"):
        middle = b.new_block()
        if node.op == "&&":
            condition(low, node.left, middle, no)
        else:
            condition(low, node.left, yes, middle)
        b.at(middle)
        condition(low, node.right, yes, no)
        return
    if isinstance(node, c_ast.UnaryOp) and node.op == "!":
        condition(low, node.expr, no, yes)
        return
    test = truth(low, node)
    if test.op == op.CONST:
        b.jump(yes if test.attr else no)
    else:
        b.branch(test, yes, no)


def _ternary(low: Lowerer, node: c_ast.TernaryOp) -> Operand | None:
    ctype = _ternary_type(low, node)
    if node.iftrue is None:
        return low.in_memory(node, _wide_elvis(low, node, ctype)) if is_wide(ctype) else _elvis(low, node)
    if is_scalar(ctype):
        place = _choose(low, node, ctype)
        return memory.load(low, place, span_of(node))
    if is_aggregate(ctype):
        return low.in_memory(node, _choose(low, node, ctype))
    _branch(low, node, low.value)
    return None


def _ternary_place(low: Lowerer, node: c_ast.TernaryOp) -> Place:
    """A struct, one of two."""
    ctype = _ternary_type(low, node)
    if not is_aggregate(ctype):
        raise CompileError("this has no address", span_of(node))
    if node.iftrue is not None:
        return _choose(low, node, ctype)
    if not is_wide(ctype):
        raise TypeMismatch(f"'{ctype.spelling()}' is neither true nor false", span_of(node.cond))
    return _wide_elvis(low, node, ctype)


def _choose(low: Lowerer, node: c_ast.TernaryOp, ctype: CType) -> Place:
    variable = low.variable(ctype, "choice", key=("?:", id(node)))
    place = Place(ctype, variable.slot, variable=variable)

    def store(branch: c_ast.Node) -> None:
        if is_aggregate(ctype):
            store_aggregate(low, place, branch)
        else:
            memory.store_into(low, ctype, place, low.operand(branch), span_of(branch))

    _branch(low, node, store)
    return place


def _branch(low: Lowerer, node: c_ast.TernaryOp, lower: Callable[[c_ast.Node], object]) -> None:
    """Lower what is to be done with either expression, each on its way."""
    b = low.b
    yes, no, end = b.new_block(), b.new_block(), b.new_block()
    condition(low, node.cond, yes, no)
    for block, branch in ((yes, node.iftrue), (no, node.iffalse)):
        b.at(block)
        lower(branch)
        b.jump(end)
    b.at(end)


def _elvis(low: Lowerer, node: c_ast.TernaryOp) -> Operand:
    """x ?: y, which evaluates x once"""
    b, span = low.b, span_of(node)
    operand = low.operand(node.cond)
    ctype = operand.type if is_pointer(operand.type) else common_type(operand.type, low.type_of(node.iffalse))
    result = low.variable(ctype, "choice", key=("?:", id(node)))
    place = Place(ctype, result.slot, variable=result)
    no, end = b.new_block(), b.new_block()
    memory.store_into(low, ctype, place, operand, span)
    b.branch(convert.truth(low, operand), end, no)
    b.at(no)
    memory.store_into(low, ctype, place, low.operand(node.iffalse), span)
    b.jump(end)
    b.at(end)
    return memory.load(low, place, span)


def _wide_elvis(low: Lowerer, node: c_ast.TernaryOp, ctype: CType) -> Place:
    """x ?: y of 128 bits"""
    from probee.compiler.lang.c.wide import truth_at

    b = low.b
    result = low.variable(ctype, "choice", key=("?:", id(node)))
    place = Place(ctype, result.slot, variable=result)
    no, end = b.new_block(), b.new_block()
    store_aggregate(low, place, node.cond)
    b.branch(truth_at(low, place, span_of(node)), end, no)
    b.at(no)
    store_aggregate(low, place, node.iffalse)
    b.jump(end)
    b.at(end)
    return place


def _ternary_type(low: Lowerer, node: c_ast.TernaryOp) -> CType:
    first = node.iftrue if node.iftrue is not None else node.cond
    left, right = (decay(low.type_of(branch)) for branch in (first, node.iffalse))
    if is_pointer(left) and is_pointer(right):
        return right if pointee(left) is VOID and evaluate(first, low.scope) == 0 else left
    if is_pointer(left) or is_pointer(right):
        return left if is_pointer(left) else right
    if is_integer(left) and is_integer(right):
        return common_type(left, right)
    wide = [each for each in (left, right) if is_wide(each)]
    if wide and all(is_wide(each) or is_integer(each) for each in (left, right)):
        return next((each for each in wide if not is_signed(each)), wide[0])
    if is_aggregate(left) and size_of(left) != size_of(right):
        raise TypeMismatch(f"'{left.spelling()}' and '{right.spelling()}' have no type in common", span_of(node))
    return left


def _chosen(low: Lowerer, node: c_ast.GenericSelection) -> c_ast.Node:
    """Return the expression that _Generic chooses by the type of its first."""
    ctype = decay(low.type_of(node.expr))
    default = None
    for each in node.associations:
        if each.type is None:
            default = each.expr
        elif compatible(ctype, low.scope.type_of(each.type)):
            return each.expr
    if default is None:
        raise TypeMismatch(
            f"_Generic has nothing for '{ctype.spelling()}', and no default", span_of(node.expr) or span_of(node)
        )
    return default


def _generic(low: Lowerer, node: c_ast.GenericSelection) -> Operand | None:
    return low.value(_chosen(low, node))


def _generic_place(low: Lowerer, node: c_ast.GenericSelection) -> Place:
    return low.place(_chosen(low, node))


OPERANDS[c_ast.TernaryOp] = _ternary
PLACES[c_ast.TernaryOp] = _ternary_place
OPERANDS[c_ast.GenericSelection] = _generic
PLACES[c_ast.GenericSelection] = _generic_place
