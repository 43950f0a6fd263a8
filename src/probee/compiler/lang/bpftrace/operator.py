"""Types of operators, and constant folding (reference §4.2, §4.3).

Operands of arithmetic are 64 bits wide.  An operation is signed when one of its operands is, where an integer that only
literals have made takes the other's sign.  Only literals fold here: a cast keeps its type, and the passes fold the rest.
"""

from __future__ import annotations

from probee.compiler.lang.bpftrace import ast
from probee.compiler.lang.bpftrace import type as t
from probee.compiler.lang.bpftrace.resolve import Resolver
from probee.compiler.lang.bpftrace.scope import Known, Unresolved, VariableInfo
from probee.compiler.lang.bpftrace.type import Ty
from probee.compiler.lang.bpftrace.unify import unify
from probee.errors import CompileError, TypeMismatch, UnknownName

COMPARISONS = frozenset(("==", "!=", "<", "<=", ">", ">="))
IN_MEMORY = frozenset((
    "string", "array", "tuple", "record", "buffer", "inet", "macaddr", "struct", "usym", "ustack", "timestamp",
))  # fmt: skip
_U64 = (1 << 64) - 1
_OVERFLOW = "unable to fold literals due to overflow or underflow"


def literal(node: ast.Expr) -> int | bytes | None:
    """Return the value of a literal, or of what folded to one."""
    meaning = node.meaning
    return meaning.value if isinstance(meaning, Known) and meaning.literal else None


# -- one operand


def unary(resolver: Resolver, node: ast.Unary) -> Ty:
    type = resolver.expr(node.operand)
    known = literal(node.operand)
    if node.op == "!":
        resolver.check_condition(node.operand)
        if isinstance(known, int):
            node.meaning = Known(not known)
        return t.BOOL
    type = read(type)
    if type.kind not in ("int", "enum"):
        raise TypeMismatch(f"The {node.op} operator can not be used on expressions of type '{type}'", node.span)
    if isinstance(known, int):
        return _fold_unary(node, known, type)
    return t.int_of(8, signed=type.signed or node.op == "-")


def _fold_unary(node: ast.Unary, known: int, type: Ty) -> Ty:
    if node.op == "-" and known > 1 << 63:
        raise CompileError("negative value will underflow", node.span)
    value = -known if node.op == "-" else ~known & _U64 if known >= 0 else ~known
    node.meaning = Known(value)
    return t.literal_type(value)


def increment(resolver: Resolver, node: ast.IncDec) -> Ty:
    """`++` and `--` make an integer 64 bits wide, unless its size was declared."""
    target = node.target
    if not isinstance(target, ast.Variable):
        return _increment_map(resolver, node, target)
    type = resolver.expr(target)
    _check_countable(node, type)
    info = target.meaning
    assert isinstance(info, VariableInfo)
    if type.kind == "pointer" or info.fixed:
        return type
    result = t.int_of(8, signed=type.signed or node.op == "--")
    resolver.grow_variable(info, unify(type, result) or result)
    return result


def _increment_map(resolver: Resolver, node: ast.IncDec, target: ast.MapRef | ast.MapAccess) -> Ty:
    info = resolver.map_use(target)
    info.read = info.written = info.counts = True
    if info.value is None:
        raise Unresolved(UnknownName(f"Undefined map: @{info.name}", node.span))
    _check_countable(node, info.value)
    if info.value.kind != "pointer":
        joined = unify(info.value, t.int_of(8, signed=info.value.signed or node.op == "--"))
        assert joined is not None
        resolver.grow_map(info, joined)
    target.type = info.value
    return info.value


def _check_countable(node: ast.IncDec, type: Ty) -> None:
    if type.kind not in ("int", "enum", "pointer"):
        raise TypeMismatch(f"The {node.op} operator can not be used on expressions of type '{type}'", node.span)


# -- two operands


def binary(resolver: Resolver, node: ast.Binary) -> Ty:
    """Long chains lean to the left: walk down first, so that their length does not matter."""
    chain = [node]
    while isinstance(chain[-1].left, ast.Binary):
        chain.append(chain[-1].left)
    resolver.expr(chain[-1].left)
    for inner in reversed(chain):
        resolver.expr(inner.right)
        inner.meaning = None
        inner.type = _binary(resolver, inner)
    result: Ty = node.type
    return result


def _binary(resolver: Resolver, node: ast.Binary) -> Ty:
    """Return the type of one operation whose operands are resolved; signed numbers divide as such (upstream's do not)."""
    left, right = node.left.type, node.right.type
    if left.kind == "pointer" or right.kind == "pointer":
        return _pointer_binary(resolver, node, left, right)
    if {left.kind, right.kind} & IN_MEMORY:
        return _memory_binary(node, left, right)
    left, right = read(left), read(right)
    if not (left.is_int and right.is_int):
        raise _mismatch(node, left, right)
    folded = _fold(node)
    if folded is not None:
        return folded
    _warn_of_signs(resolver, node, left, right)
    if node.op in COMPARISONS or (left.kind == right.kind == "bool"):
        return t.BOOL
    signed = t.meeting_sign(left, right)
    return t.int_of(8, signed=signed or node.op == "-")


def _warn_of_signs(resolver: Resolver, node: ast.Binary, left: Ty, right: Ty) -> None:
    """Say that an unsigned 64-bit number meets a signed one, which is what both are then taken for."""
    if node.op in ("<<", ">>") or left.kind != "int" or right.kind != "int" or left.flexible or right.flexible:
        return
    if left.signed == right.signed or literal(node.left) is not None or literal(node.right) is not None:
        return
    unsigned = node.right if left.signed else node.left
    if unsigned.type.size == 8 and unsigned.type.kind == "int":
        message = (
            f"Expression of type: {unsigned.type} being cast to type: int64. This may cause unexpected results. "
            "Use an explicit cast to suppress this warning."
        )
        resolver.script.warn(message, unsigned.span)


def read(type: Ty) -> Ty:
    """An aggregation that is read gives a number; a symbol compares as its address."""
    if type.kind in t.READABLE:
        return t.int_of(8, signed=type.signed)
    return t.UINT64 if type.kind in t.WORDS else type


def _mismatch(node: ast.Binary, left: Ty, right: Ty) -> TypeMismatch:
    if node.op in COMPARISONS:
        return TypeMismatch(f"Type mismatch for '{node.op}': comparing {left} with {right}", node.span)
    return TypeMismatch(f"The {node.op} operator can not be used on expressions of types {left}, {right}", node.span)


def _pointer_binary(resolver: Resolver, node: ast.Binary, left: Ty, right: Ty) -> Ty:
    left, right = read(left), read(right)
    if node.op in COMPARISONS and all(side.kind == "pointer" or side.is_int for side in (left, right)):
        if left.kind == right.kind and left != right and "void *" not in (t.spell(left), t.spell(right)):
            message = f"comparison of distinct pointer types: {t.target_name(left)}, {t.target_name(right)}"
            resolver.script.warn(message, node.span)
        return t.BOOL
    if left.kind == "pointer" and right.is_int and node.op in ("+", "-"):
        return left
    if right.kind == "pointer" and left.is_int and node.op == "+":
        return right
    raise TypeMismatch(f"The {node.op} operator can not be used on expressions of types {left}, {right}", node.span)


def _memory_binary(node: ast.Binary, left: Ty, right: Ty) -> Ty:
    """Strings, arrays, buffers and tuples compare for equality only; `+` joins two literals, or takes off one's beginning."""
    if node.op == "+" and left.kind == "string" and right.is_int:
        known, drop = literal(node.left), literal(node.right)
        if isinstance(known, bytes) and isinstance(drop, int) and 0 <= drop <= len(known):
            node.meaning = Known(known[drop:])
            return t.string(len(known) - drop + 1)
    if node.op == "+" and left.kind == right.kind == "string":
        one, two = literal(node.left), literal(node.right)
        if isinstance(one, bytes) and isinstance(two, bytes):
            node.meaning = Known(one + two)
            return t.string(len(one) + len(two) + 1)
    if node.op in COMPARISONS and (left.kind == right.kind or _text_and_bytes(left, right)):
        a, b = literal(node.left), literal(node.right)
        if isinstance(a, bytes) and isinstance(b, bytes):
            table = {"==": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}
            node.meaning = Known(table[node.op])
            return t.BOOL
    if node.op not in ("==", "!="):
        raise _mismatch(node, left, right) if node.op not in COMPARISONS else TypeMismatch(
            f"The {node.op} operator can not be used on expressions of types {left}, {right}", node.span
        )
    if left.kind == right.kind == "string" or _text_and_bytes(left, right):
        return t.BOOL
    if left.kind == right.kind == "array" and left.element is not None and right.element is not None:
        if left.count != right.count:
            raise TypeMismatch("Only arrays of same size support comparison operators.", node.span)
        if left.element != right.element or not left.element.is_int:
            raise TypeMismatch("Only arrays of same sized integer support comparison operators.", node.span)
        return t.BOOL
    if left.kind == right.kind and left.kind in IN_MEMORY and unify(left, right) is not None:
        return t.BOOL
    raise _mismatch(node, left, right)


def _text_and_bytes(left: Ty, right: Ty) -> bool:
    sides = {left.kind: left, right.kind: right}
    array = sides.get("array")
    return "string" in sides and array is not None and array.element is not None and array.element.size == 1


# -- folding


def _fold(node: ast.Binary) -> Ty | None:
    a, b = literal(node.left), literal(node.right)
    if not isinstance(a, int) or not isinstance(b, int):
        return None
    value = fold_binary(node.op, int(a), int(b))
    if value is None:
        raise CompileError(_OVERFLOW, node.span)
    node.meaning = Known(value)
    return t.BOOL if node.op in COMPARISONS else t.literal_type(value)


def fold_binary(op: str, a: int, b: int) -> int | None:
    """Return `a op b` for constants, true signed arithmetic; None on overflow, or division by zero."""
    if op in COMPARISONS:
        table = {"==": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}
        return table[op]
    if op in ("/", "%"):
        if b == 0:
            return None
        quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        value = quotient if op == "/" else a - quotient * b
    elif op in ("<<", ">>"):
        if not 0 <= b < 64:
            return None
        value = a << b if op == "<<" else a >> b
    else:
        value = {"+": a + b, "-": a - b, "*": a * b, "&": a & b, "|": a | b, "^": a ^ b}[op]
    return value if -(1 << 63) <= value <= _U64 else None


def logical(resolver: Resolver, node: ast.Logical) -> Ty:
    chain = [node]
    while isinstance(chain[-1].left, ast.Logical):
        chain.append(chain[-1].left)
    resolver.condition(chain[-1].left)
    for inner in reversed(chain):
        resolver.condition(inner.right)
        inner.type, inner.meaning = t.BOOL, None
        a, b = literal(inner.left), literal(inner.right)
        if isinstance(a, int) and isinstance(b, int):
            inner.meaning = Known(bool(a and b) if inner.op == "&&" else bool(a or b))
    return t.BOOL
