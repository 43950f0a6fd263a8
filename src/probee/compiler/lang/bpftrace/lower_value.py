"""Scalars: VALUES gives an expression's IR value by node class; conditions, arithmetic, comparison, branches, casts."""

from __future__ import annotations

from collections.abc import Callable

from probee.compiler.ir import op
from probee.compiler.ir.type import BOOL, I64
from probee.compiler.ir.unit import Value
from probee.compiler.lang.bpftrace import ast, lower_place, place
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.expression import is_decided
from probee.compiler.lang.bpftrace.lower import Lowerer
from probee.compiler.lang.bpftrace.operator import IN_MEMORY, read
from probee.compiler.lang.bpftrace.place import Place
from probee.compiler.lang.bpftrace.resolve import known_int
from probee.compiler.lang.bpftrace.scope import Known, Outside, VariableInfo, Within
from probee.compiler.lang.bpftrace.type import Ty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ARITHMETIC = {
    "+": op.ADD, "-": op.SUB, "*": op.MUL, "&": op.AND, "|": op.OR, "^": op.XOR, "<<": op.SHL, ">>": op.LSHR,
}  # fmt: skip
_UNSIGNED = {"==": op.EQ, "!=": op.NE, "<": op.ULT, "<=": op.ULE, ">": op.UGT, ">=": op.UGE}
_SIGNED = {"==": op.EQ, "!=": op.NE, "<": op.SLT, "<=": op.SLE, ">": op.SGT, ">=": op.SGE}
DIVIDE_WARNING = "Divide or modulo by 0 detected. This can lead to unexpected results. 1 is being used as the result."


# -- conditions


def condition(low: Lowerer, node: ast.Expr) -> Value:
    """Return a bool."""
    b = low.b
    if isinstance(node, ast.Binary) and node.op in _UNSIGNED and not isinstance(node.meaning, Known):
        return _compare(low, node)
    if isinstance(node, ast.Unary) and node.op == "!":
        inner = low.condition(node.operand)
        if inner.op in op.NEGATED:
            return b.emit(op.NEGATED[inner.op], BOOL, inner.args)
        return b.compare(op.EQ, b.zext(inner, I64), 0)
    if isinstance(node.meaning, Known):
        return b.compare(op.NE, b.const(int(bool(node.meaning.value))), 0)
    value = low.value(node) if node.type.is_scalar or node.type.kind in t.READABLE else place.load(b, word(low.place(node)))
    if value.type.is_pointer:
        value = b.address(value)
    return b.compare(op.NE, value, 0)


def word(where: Place) -> Place:
    """Return the first eight bytes of a place as a number."""
    return where.at(0, t.UINT64)


def as_value(low: Lowerer, truth: Value) -> Value:
    return low.b.zext(truth, I64)


# -- values


def _logical(low: Lowerer, node: ast.Logical) -> Value:
    """Short circuit; a chain of one operator shares its exit."""
    b = low.b
    parts: list[ast.Expr] = []
    left: ast.Expr = node
    while isinstance(left, ast.Logical) and left.op == node.op:
        parts.append(left.right)
        left = left.left
    parts.append(left)
    parts.reverse()
    is_and = node.op == "&&"
    result = place.alloca(b, t.UINT64)
    place.store(b, result, b.const(0 if is_and else 1))
    end = b.new_block()
    for part in parts:
        go_on = b.new_block()
        truth = low.condition(part)
        b.branch(truth, go_on, end) if is_and else b.branch(truth, end, go_on)
        b.at(go_on)
    place.store(b, result, b.const(1 if is_and else 0))
    b.jump(end)
    b.at(end)
    return place.load(b, result)


def _unary(low: Lowerer, node: ast.Unary) -> Value:
    b = low.b
    if node.op == "!":
        return as_value(low, condition(low, node))
    value = readable(low, node.operand)
    if node.op == "-":
        return b.sub(b.const(0), value)
    type = node.operand.type
    narrow = type.kind == "int" and not type.signed and type.size < 8  # its upper bits stay zero
    return b.xor(value, (1 << 8 * type.size) - 1 if narrow else -1)


def _binary(low: Lowerer, node: ast.Binary) -> Value:
    """A chain of arithmetic leans to the left: from its first operand on, so that its length does not matter."""
    if not _is_arithmetic(node):
        return as_value(low, _compare(low, node)) if node.op in _UNSIGNED else _pointer_arithmetic(low, node)
    chain = [node]
    while _is_arithmetic(chain[-1].left):
        chain.append(chain[-1].left)  # type: ignore[arg-type]
    left = readable(low, chain[-1].left)
    for inner in reversed(chain):
        low.b.span = inner.span
        if isinstance(inner.meaning, Known):
            left = low.b.const(int(inner.meaning.value))
        else:
            left = _arithmetic(low, inner, left, readable(low, inner.right))
    return left


def _is_arithmetic(node: ast.Expr) -> bool:
    return isinstance(node, ast.Binary) and node.op not in _UNSIGNED and node.type.is_int


def _arithmetic(low: Lowerer, node: ast.Binary, left: Value, right: Value) -> Value:
    if node.op in ("/", "%"):
        return _divide(low, node, left, right)
    value = low.b.binary(_ARITHMETIC[node.op], left, right)
    return low.b.and_(value, 1) if node.type.kind == "bool" else value


def readable(low: Lowerer, node: ast.Expr) -> Value:
    """Return an operand as an i64: ints, pointers as addresses, aggregations as their current value, symbols as addresses."""
    if node.type.kind in t.WORDS:
        return place.load(low.b, word(low.place(node)))
    return low.number(node)


def _pointer_arithmetic(low: Lowerer, node: ast.Binary) -> Value:
    b = low.b
    pointer, number = (node.left, node.right) if node.left.type.kind == "pointer" else (node.right, node.left)
    size = t.pointee(pointer.type).size or 1
    base, by = low.value(pointer), readable(low, number)
    by = b.mul(by, size) if size != 1 else by
    return b.offset(base, b.sub(b.const(0), by) if node.op == "-" else by)


def _divide(low: Lowerer, node: ast.Binary, left: Value, right: Value) -> Value:
    b = low.b
    signed = node.type.signed
    operation = (op.SDIV if signed else op.UDIV) if node.op == "/" else (op.SREM if signed else op.UREM)
    known = known_int(node.right)
    if known:
        return b.binary(operation, left, right)
    result = place.alloca(b, t.UINT64)

    def warn() -> None:
        from probee.compiler.lang.bpftrace.lower_record import warn

        warn(low, DIVIDE_WARNING, node.span)
        place.store(b, result, b.const(1))

    low.diamond(
        b.compare(op.EQ, right, 0), warn, lambda: place.store(b, result, b.binary(operation, left, right))
    )
    return place.load(b, result)


def _compare(low: Lowerer, node: ast.Binary) -> Value:
    b = low.b
    left, right = node.left.type, node.right.type
    if {left.kind, right.kind} & IN_MEMORY:
        from probee.compiler.lang.bpftrace.lower_compare import compare_memory

        equal = compare_memory(low, node.left, node.right)
        return b.compare(op.NE if node.op == "==" else op.EQ, equal, 0)
    a, z = readable(low, node.left), readable(low, node.right)
    signed = left.kind != "pointer" and right.kind != "pointer" and t.meeting_sign(read(left), read(right))
    return b.compare((_SIGNED if signed else _UNSIGNED)[node.op], a, z)


def _ternary(low: Lowerer, node: ast.Ternary | ast.IfExpr) -> Value:
    b = low.b
    if is_decided(node):
        return low.value(chosen(node))
    result = place.alloca(b, _slot(node.type))
    if isinstance(node, ast.Ternary) and node.then is None:
        return _elvis(low, node, result)
    then, otherwise = node.then, node.otherwise
    assert then is not None and otherwise is not None
    low.diamond(
        low.condition(node.condition),
        lambda: low.into(then, result, padded=True),
        lambda: low.into(otherwise, result, padded=True),
    )
    return place.load(b, result)


def _elvis(low: Lowerer, node: ast.Ternary, result: Place) -> Value:
    """`a ?: b` evaluates a once."""
    b = low.b
    value = low.value(node.condition)
    place.store(b, result, low.convert(value, node.condition.type, result.type))
    truth = b.compare(op.NE, b.address(value) if value.type.is_pointer else value, 0)
    low.diamond(truth, lambda: None, lambda: low.into(node.otherwise, result, padded=True))
    return place.load(b, result)


def chosen(node: ast.Ternary | ast.IfExpr) -> ast.Expr:
    """Return the branch that a condition known at compile time takes."""
    assert isinstance(node.condition.meaning, Known)
    branch = (node.then or node.condition) if node.condition.meaning.value else node.otherwise
    assert branch is not None
    return branch


def _slot(type: Ty) -> Ty:
    return t.int_of(8, signed=type.signed) if type.is_int else type


def _block(low: Lowerer, node: ast.Block) -> Value:
    return low.value(low.statements_of(node))


def _increment(low: Lowerer, node: ast.IncDec) -> Value:
    b = low.b
    step = 1 if node.op == "++" else -1
    if not isinstance(node.target, ast.Variable):
        from probee.compiler.lang.bpftrace import lower_map

        return lower_map.increment(low, node, step)
    info = node.target.meaning
    assert isinstance(info, VariableInfo) and info.type is not None
    where = low.variable_place(info)
    old = place.load(b, where)
    if info.type.kind == "pointer":
        new = b.offset(old, step * (t.pointee(info.type).size or 1))
    else:
        new = low.convert(b.add(old, step), t.INT64, info.type)
    place.store(b, where, new)
    return new if node.prefix else old


def _cast(low: Lowerer, node: ast.Cast) -> Value:
    b, source, target = low.b, node.operand.type, node.type
    if source.kind == "array":
        return place.load(b, low.place(node.operand).at(0, t.int_of(source.size, signed=target.signed)))
    if source.kind == "string" and target.kind == "pointer":
        return b.pointer(b.address(place.address(b, low.place(node.operand))), "kernel")
    if source.kind == "string":  # to bool: not empty
        return as_value(low, b.compare(op.NE, place.load(b, low.place(node.operand).at(0, t.UINT8)), 0))
    value = low.value(node.operand) if source.kind == "pointer" else readable(low, node.operand)
    if target.kind != "pointer":
        return low.convert(value, source if source.is_int else t.UINT64, target)
    if source.is_int and source.signed and source.size < 8:  # an address has no sign
        value = b.and_(value, (1 << 8 * source.size) - 1)
    return low.convert(value, t.UINT64, target)


def _call(low: Lowerer, node: ast.Call | ast.Identifier) -> Value:
    from probee.compiler.lang.bpftrace.function import lower_call

    value = lower_call(low, node, None)
    assert value is not None
    return value


def _map(low: Lowerer, node: ast.MapRef | ast.MapAccess) -> Value:
    from probee.compiler.lang.bpftrace import lower_map

    return lower_map.read(low, node)


def _comptime(low: Lowerer, node: ast.Comptime) -> Value:
    return low.value(node.operand)


def _expansion(low: Lowerer, node: ast.Expansion) -> Value:
    with Within(low.script, node):
        return low.value(node.body)


def _argument(low: Lowerer, node: ast.Argument) -> Value:
    with Outside(low.script):
        return low.value(node.value)


VALUES: dict[type, Callable[[Lowerer, Any], Value]] = {
    ast.Logical: _logical,
    ast.Unary: _unary,
    ast.Binary: _binary,
    ast.Ternary: _ternary,
    ast.IfExpr: _ternary,
    ast.Block: _block,
    ast.IncDec: _increment,
    ast.Cast: _cast,
    ast.Call: _call,
    ast.Identifier: _call,
    ast.MapRef: _map,
    ast.MapAccess: _map,
    **lower_place.FIELD_VALUES,
    ast.Comptime: _comptime,
    ast.Expansion: _expansion,
    ast.Argument: _argument,
}

